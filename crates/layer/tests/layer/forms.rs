//! Answers of models that are stored in one form answer requests for another, and requests for several things find each of them by itself.

use std::sync::Mutex;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use larder_semantics::content::model::When;
use larder_semantics::content::{ContentKind, ContentRules};
use larder_semantics::{Policy, TtlMode};
use larder_tower::{CacheService, Invalidation, InvalidationTarget, RouteRules};
use tokio::sync::Semaphore;

use crate::common::{self, Origin, Read, header, response, send, with_rules};
use crate::shared_tier::{now, replicas_with};

fn rules(kind: ContentKind, change: impl FnOnce(&mut ContentRules)) -> RouteRules {
    let mut content = ContentRules::new(kind);
    (content.post, content.when) = (true, When::Always);
    change(&mut content);
    let policy = Policy::default().with(|policy| (policy.ttl, policy.ttl_mode, policy.record_streams) = (60, TtlMode::Override, true));
    common::builder().policy(policy).content(Some(content)).build()
}

async fn post(cache: &CacheService<Origin>, target: &str, content: impl Into<Bytes>) -> Read {
    post_with(cache, target, content, None).await
}

async fn post_with(cache: &CacheService<Origin>, target: &str, content: impl Into<Bytes>, cookie: Option<&'static str>) -> Read {
    let mut request = Request::new(Full::new(content.into()));
    (*request.method_mut(), *request.uri_mut()) = (Method::POST, target.parse().expect("a target"));
    request.headers_mut().insert("host", "example.com".parse().expect("a value"));
    request.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
    request.headers_mut().extend(cookie.map(|cookie| (http::header::COOKIE, http::HeaderValue::from_static(cookie))));
    send(cache, request).await
}

const WHOLE: &str = r#"{"id":"c1","object":"chat.completion","created":17,"model":"gpt","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion_tokens":2}}"#;
const CHAT: &str = "/v1/chat/completions";
const ASK: &str = r#"{"model":"gpt","messages":[]}"#;
const STREAM: &str = r#"{"model":"gpt","messages":[],"stream":true}"#;
const STREAM_WITH_USAGE: &str = r#"{"model":"gpt","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#;

fn completions() -> Origin {
    Origin::new(|_| response(200, WHOLE).header("content-type", "application/json").header("etag", "\"1\""))
}

#[tokio::test]
async fn a_stored_answer_answers_requests_for_its_other_forms() {
    let origin = completions();
    let cache = with_rules(origin.clone(), rules(ContentKind::Chat, |rules| rules.converts = true)).0;
    assert_eq!(post(&cache, CHAT, ASK).await.x_cache(), "MISS");
    let stream = post(&cache, CHAT, STREAM).await;
    assert_eq!(header(&stream.response, "content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(header(&stream.response, "larder-usage-saved"), "10;in=8;out=2;model=\"gpt\"");
    assert_eq!(header(&stream.response, "etag"), "", "that is of the other form");
    assert!(header(&stream.response, "cache-status").contains("hit; ttl=60; detail=converted"), "{:?}", stream.response);
    assert!(stream.text().starts_with("data: {") && stream.text().ends_with("data: [DONE]\n\n") && !stream.text().contains("usage"));
    let counted = post(&cache, CHAT, STREAM_WITH_USAGE).await;
    assert!(counted.text().contains(r#""usage":{"completion_tokens":2,"prompt_tokens":8}"#), "{}", counted.text());
    assert_eq!(post(&cache, CHAT, ASK).await.text(), WHOLE, "as it came");
    assert_eq!(origin.count(), 1);
    let apart = with_rules(origin.clone(), rules(ContentKind::Chat, |_| ())).0;
    post(&apart, CHAT, ASK).await;
    assert_eq!(post(&apart, CHAT, STREAM).await.x_cache(), "MISS", "only where the route says so");
}

#[tokio::test]
async fn an_answer_that_cannot_be_converted_is_fetched_in_each_form() {
    let odd = Origin::new(|_| {
        response(200, r#"{"object":"chat.completion","choices":[{"index":0,"message":{"audio":{}},"finish_reason":"stop"}]}"#)
            .header("content-type", "application/json")
    });
    let cache = with_rules(odd.clone(), rules(ContentKind::Chat, |rules| rules.converts = true)).0;
    post(&cache, CHAT, ASK).await;
    assert_eq!(post(&cache, CHAT, STREAM).await.x_cache(), "MISS");
    assert_eq!(odd.count(), 2);
}

#[tokio::test]
async fn another_replica_converts_what_a_tier_has() {
    let origin = completions();
    let replicas = replicas_with(&origin, Some(&std::sync::Arc::default()), rules(ContentKind::Chat, |rules| rules.converts = true));
    post(&replicas[0], CHAT, ASK).await;
    assert!(post(&replicas[1], CHAT, STREAM).await.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(origin.count(), 1);
}

/// Embeds each text as its length, and notes what it was asked for.
fn embeddings() -> (Origin, std::sync::Arc<Mutex<Vec<String>>>) {
    let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&asked);
    let origin = Origin::waiting(move |request| {
        let log = std::sync::Arc::clone(&log);
        async move {
            let content = request.into_body().collect().await.expect("a content").to_bytes();
            let text = String::from_utf8(content.to_vec()).expect("text");
            let list = text.split_once("[").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(list, _)| list).to_owned();
            log.lock().unwrap().push(text);
            let items: Vec<&str> = list.split(',').collect();
            if items.contains(&"\"bad\"") {
                return Ok(response(400, r#"{"error":{}}"#).header("content-type", "application/json").build());
            }
            let data = items.iter().enumerate().map(|(index, item)| format!(r#"{{"index":{index},"embedding":[{}]}}"#, item.len() - 2));
            let body = format!(
                r#"{{"data":[{}],"model":"m","usage":{{"prompt_tokens":{}}}}}"#,
                data.collect::<Vec<_>>().join(","),
                items.iter().map(|item| item.len()).sum::<usize>()
            );
            Ok(response(200, body.leak()).header("content-type", "application/json").build())
        }
    });
    (origin, asked)
}

const EMBEDDINGS: &str = "/v1/embeddings";

fn input(list: &str) -> String {
    format!(r#"{{"input":{list},"model":"m"}}"#)
}

#[tokio::test]
async fn a_request_that_is_partly_known_asks_only_for_the_rest() {
    let (origin, asked) = embeddings();
    let cache = with_rules(origin, rules(ContentKind::Embeddings, |_| ())).0;
    let first = post(&cache, EMBEDDINGS, input(r#"["a","bbb"]"#)).await;
    assert_eq!(first.x_cache(), "MISS");
    assert!(first.text().starts_with(r#"{"data":[{"index":0,"#), "as it came: {}", first.text());
    let all = post(&cache, EMBEDDINGS, input(r#"["bbb","a"]"#)).await;
    assert_eq!((all.x_cache().as_str(), header(&all.response, "age").as_str()), ("HIT", "0"));
    assert_eq!(all.text(), r#"{"data":[{"embedding":[3],"index":0},{"embedding":[1],"index":1}],"model":"m","usage":{"prompt_tokens":8}}"#);
    assert_eq!(header(&all.response, "larder-usage-saved"), "8;in=8;out=0;model=\"m\"");
    let one = post(&cache, EMBEDDINGS, input(r#""bbb""#)).await;
    assert_eq!((one.x_cache().as_str(), one.text().contains("[3]")), ("HIT", true));
    let some = post(&cache, EMBEDDINGS, input(r#"["cc","a","dddd"]"#)).await;
    assert_eq!(some.x_cache(), "MISS");
    assert_eq!(
        some.text(),
        r#"{"data":[{"embedding":[2],"index":0},{"embedding":[1],"index":1},{"embedding":[4],"index":2}],"model":"m","usage":{"prompt_tokens":13}}"#
    );
    assert_eq!(header(&some.response, "larder-usage-saved"), "3;in=3;out=0;model=\"m\"");
    assert_eq!(post(&cache, EMBEDDINGS, input(r#"["dddd","cc","bbb","a"]"#)).await.x_cache(), "HIT");
    assert_eq!(*asked.lock().unwrap(), [input(r#"["a","bbb"]"#), input(r#"["cc","dddd"]"#)]);
}

#[tokio::test]
async fn an_error_for_the_rest_is_the_answer() {
    let (origin, asked) = embeddings();
    let cache = with_rules(origin, rules(ContentKind::Embeddings, |_| ())).0;
    post(&cache, EMBEDDINGS, input(r#"["a","b"]"#)).await;
    let refused = post(&cache, EMBEDDINGS, input(r#"["a","bad"]"#)).await;
    assert_eq!((refused.response.status().as_u16(), refused.text()), (400, r#"{"error":{}}"#));
    assert_eq!(post(&cache, EMBEDDINGS, input(r#"["b","a"]"#)).await.x_cache(), "HIT");
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn parts_are_found_in_a_tier_and_stored_there() {
    let (origin, asked) = embeddings();
    let replicas = replicas_with(&origin, Some(&std::sync::Arc::default()), rules(ContentKind::Embeddings, |_| ()));
    post(&replicas[0], EMBEDDINGS, input(r#"["a","bbb"]"#)).await;
    assert_eq!(post(&replicas[1], EMBEDDINGS, input(r#"["bbb","a"]"#)).await.x_cache(), "HIT");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_batch_of_calls_asks_for_those_that_are_not_stored() {
    let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&asked);
    let origin = Origin::waiting(move |request| {
        let log = std::sync::Arc::clone(&log);
        async move {
            let content = request.into_body().collect().await.expect("a content").to_bytes();
            log.lock().unwrap().push(String::from_utf8(content.to_vec()).expect("text"));
            let answer = match log.lock().unwrap().len() {
                1 => r#"[{"id":2,"error":{"code":-32000}},{"id":1,"result":"0x1"}]"#,
                2 => r#"[{"id":"b","result":"0x2"}]"#,
                _ => r#"[{"id":1,"result":"0x3"},{"id":2,"result":"0x4"}]"#,
            };
            Ok(response(200, answer).header("content-type", "application/json").build())
        }
    });
    let lifetimes = vec![("send".to_owned(), 0)];
    let rules = rules(ContentKind::JsonRpc, |rules| {
        (rules.rpc.lifetimes, rules.rpc.others) = (lifetimes, true);
    });
    let cache = with_rules(origin, rules).0;
    let first = post(&cache, "/rpc", r#"[{"id":1,"method":"a"},{"id":2,"method":"b"}]"#).await;
    assert_eq!(first.text(), r#"[{"id":2,"error":{"code":-32000}},{"id":1,"result":"0x1"}]"#, "as it came");
    let second = post(&cache, "/rpc", r#"[{"id":"a","method":"a"},{"id":"b","method":"b"}]"#).await;
    assert_eq!(second.text(), r#"[{"id":"a","result":"0x1"},{"id":"b","result":"0x2"}]"#);
    let alone = post(&cache, "/rpc", r#"{"id":7,"method":"b"}"#).await;
    assert_eq!((alone.x_cache().as_str(), alone.text()), ("HIT", r#"{"id":7,"result":"0x2"}"#));
    assert_eq!(post(&cache, "/rpc", r#"[{"id":1,"method":"b"},{"id":2,"method":"a"}]"#).await.x_cache(), "HIT");
    let passed = post(&cache, "/rpc", r#"[{"id":1,"method":"a"},{"id":2,"method":"send"}]"#).await;
    assert_eq!(passed.x_cache(), "BYPASS", "one of them has to reach the origin, so they all do");
    assert_eq!(asked.lock().unwrap()[1..2], [r#"[{"id":"b","method":"b"}]"#]);
}

/// The route's lifetime does not become the origin's by the way that a part took: requests with cookies share what the origin itself allows alone.
#[tokio::test]
async fn parts_are_for_clients_with_cookies_no_more_than_what_was_asked_for_alone() {
    let origin = |answer: &'static str| Origin::new(move |_| response(200, answer).header("content-type", "application/json"));
    let of_route = || {
        let mut content = ContentRules::new(ContentKind::JsonRpc);
        (content.post, content.when, content.rpc.others) = (true, When::Always, true);
        common::builder().policy(Policy::default().with(|policy| policy.ttl = 60)).content(Some(content)).build()
    };
    for (first, answer) in [
        (r#"{"id":1,"method":"a"}"#, r#"{"id":1,"result":"0x1"}"#),
        (r#"[{"id":1,"method":"a"},{"id":2,"method":"b"}]"#, r#"[{"id":1,"result":"0x1"},{"id":2,"result":"0x2"}]"#),
    ] {
        let cache = with_rules(origin(answer), of_route()).0;
        post(&cache, "/rpc", first).await;
        assert_eq!(post(&cache, "/rpc", r#"{"id":1,"method":"a"}"#).await.x_cache(), "HIT", "{first}");
        let known = post_with(&cache, "/rpc", r#"{"id":1,"method":"a"}"#, Some("session=1")).await;
        assert_ne!(known.x_cache(), "HIT", "{first}");
    }
}

/// Answers each text with itself, after the gate has let it, and takes that many seconds by the clock that the test holds.
fn slow_embeddings(gate: &std::sync::Arc<Semaphore>) -> Origin {
    let gate = std::sync::Arc::clone(gate);
    Origin::waiting(move |request| {
        let gate = std::sync::Arc::clone(&gate);
        async move {
            let content = request.into_body().collect().await.expect("a content").to_bytes();
            let count = String::from_utf8_lossy(&content).matches("text").count();
            gate.acquire().await.expect("open").forget();
            let data: Vec<_> = (0..count).map(|index| format!(r#"{{"index":{index},"embedding":[1]}}"#)).collect();
            let body = format!(r#"{{"data":[{}],"model":"m"}}"#, data.join(","));
            Ok(response(200, body.leak()).header("content-type", "application/json").header("age", "7").build())
        }
    })
}

#[tokio::test]
async fn a_purge_while_parts_are_fetched_holds_for_each_of_them() {
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let origin = slow_embeddings(&gate);
    let cache = with_rules(origin.clone(), rules(ContentKind::Embeddings, |_| ())).0;
    for (list, rest) in [(r#"["text 1","text 2"]"#, false), (r#"["text 3","text 1"]"#, true)] {
        if rest {
            gate.add_permits(1);
            post(&cache, EMBEDDINGS, input(r#"["text 1"]"#)).await;
        }
        let asked = origin.count();
        let purged = async {
            while origin.count() == asked {
                tokio::task::yield_now().await;
            }
            let url = InvalidationTarget::Url(format!("http://example.com{EMBEDDINGS}"));
            cache.cache().invalidate(&Invalidation::hard([url])).await;
            gate.add_permits(1);
        };
        assert_eq!(tokio::join!(post(&cache, EMBEDDINGS, input(list)), purged).0.x_cache(), "MISS");
        gate.add_permits(1);
        assert_eq!(post(&cache, EMBEDDINGS, input(list)).await.x_cache(), "MISS", "{list}");
        assert_eq!(post(&cache, EMBEDDINGS, input(list)).await.x_cache(), "HIT", "{list}");
        cache.cache().invalidate(&Invalidation::hard([InvalidationTarget::All])).await;
    }
}

#[tokio::test]
async fn rfc9111_4_2_3_parts_are_as_old_as_the_answer_that_they_came_in() {
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let origin = slow_embeddings(&gate);
    let (cache, hand) = with_rules(origin.clone(), rules(ContentKind::Embeddings, |_| ()));
    let late = async {
        while origin.count() == 0 {
            tokio::task::yield_now().await;
        }
        hand.advance(5);
        gate.add_permits(1);
    };
    tokio::join!(post(&cache, EMBEDDINGS, input(r#"["text 1","text 2"]"#)), late);
    let hit = post(&cache, EMBEDDINGS, input(r#"["text 2"]"#)).await;
    let age: u32 = header(&hit.response, "age").parse().expect("a number");
    assert!(hit.x_cache() == "HIT" && age >= 12, "7 when it was sent, and 5 until it was there: {age}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_several_things_waits_for_no_other_request_for_one_of_them() {
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let origin = slow_embeddings(&gate);
    let cache = with_rules(origin.clone(), rules(ContentKind::Embeddings, |_| ())).0;
    let (other, list) = (cache.clone(), input(r#"["text 1","text 2"]"#));
    let (tasks, started) = (tokio::task::LocalSet::new(), now());
    let several = tasks.spawn_local(async move { post(&other, EMBEDDINGS, list).await });
    let until = async |count: usize| {
        while origin.count() < count {
            tokio::task::yield_now().await;
        }
    };
    tasks.run_until(until(1)).await;
    let other = cache.clone();
    let one = tasks.spawn_local(async move { post(&other, EMBEDDINGS, input(r#""text 1""#)).await });
    tasks.run_until(until(2)).await;
    gate.add_permits(1);
    assert_eq!(tasks.run_until(several).await.expect("an answer").x_cache(), "MISS");
    assert_eq!((started.elapsed(), one.is_finished()), (std::time::Duration::ZERO, false));
    gate.add_permits(1);
    assert_eq!(tasks.run_until(one).await.expect("an answer").x_cache(), "MISS");
}
