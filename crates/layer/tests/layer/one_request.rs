//! Directives and failures of one request, which change nothing for others.

use crate::common;

use std::sync::Arc;
use std::time::Duration;

use common::{Origin, Reply, finish, get, header, request, response, send, start, with_rules};
use http::Request;
use larder_semantics::Reason;
use larder_tower::RequestBody;
use tokio::sync::Semaphore;

fn sends(request: &Request<RequestBody>, name: &str) -> bool {
    request.headers().contains_key(name)
}

fn good() -> Reply {
    response(200, "body").header("cache-control", "public, max-age=60, stale-while-revalidate=60").header("etag", "\"1\"")
}

/// Answers as it should, but for requests with this field.
fn spoiled(name: &'static str, spoilt: impl Fn() -> Reply + Send + Sync + 'static) -> Origin {
    Origin::new(move |request| if sends(request, name) { spoilt() } else { good() })
}

#[tokio::test]
async fn a_refusal_of_credentials_neither_evicts_nor_marks() {
    let origin = spoiled("authorization", || response(401, "who?").header("cache-control", "no-store"));
    let cache = common::service(origin.clone());
    let junk = [("authorization", "Bearer junk"), ("cache-control", "no-cache")];
    assert_eq!(send(&cache, request("GET", "/a", &junk)).await.response.status(), 401);
    let others = finish(start(&cache, [get("/a"), get("/a")])).await;
    assert!(others.iter().all(|other| other.as_ref().is_ok_and(|other| other.text() == "body")));
    assert_eq!(origin.count(), 2, "nobody goes alone because of it");
    assert_eq!(send(&cache, request("GET", "/a", &junk)).await.response.status(), 401);
    assert_eq!(send(&cache, get("/a")).await.outcome.reason, Reason::Fresh);
}

#[tokio::test]
async fn an_answer_to_credentials_ends_nothing_that_others_get() {
    for directives in ["no-store", "private", "max-age=60"] {
        let origin = spoiled("authorization", move || response(200, "mine").header("cache-control", directives).header("etag", "\"2\""));
        let cache = common::service(origin.clone());
        send(&cache, get("/a")).await;
        for method in ["GET", "HEAD"] {
            let fields = [("authorization", "Bearer mine"), ("cache-control", "no-cache")];
            send(&cache, request(method, "/a", &fields)).await;
            let other = send(&cache, get("/a")).await;
            assert_eq!((other.text(), other.outcome.reason), ("body", Reason::Fresh), "{method} {directives}");
        }
    }
}

#[tokio::test]
async fn a_304_to_credentials_that_forbids_storing_ends_nothing_that_others_get() {
    let origin = spoiled("authorization", || response(304, "").header("etag", "\"1\"").header("cache-control", "private"));
    let cache = common::service(origin);
    send(&cache, get("/a")).await;
    let mine = send(&cache, request("GET", "/a", &[("authorization", "Bearer mine"), ("cache-control", "no-cache")])).await;
    assert_eq!((mine.text(), mine.outcome.reason), ("body", Reason::Validated));
    assert_eq!(send(&cache, get("/a")).await.outcome.reason, Reason::Fresh);
}

#[tokio::test]
async fn a_refusal_of_one_request_replaces_nothing_and_marks_nothing() {
    for status in [400, 401, 403, 405, 406, 408, 413, 414, 416, 417, 429, 431] {
        for directives in ["no-store", "max-age=60"] {
            let origin = spoiled("x-odd", move || response(status, "no").header("cache-control", directives));
            let cache = common::service(origin.clone());
            send(&cache, get("/a")).await;
            for (target, fields) in [("/a", &[("x-odd", "1"), ("cache-control", "no-cache")][..]), ("/a?no_cache=1", &[("x-odd", "1")])] {
                assert_eq!(send(&cache, request("GET", target, fields)).await.response.status(), status);
                let other = send(&cache, get("/a")).await;
                assert_eq!((other.text(), other.outcome.reason), ("body", Reason::Fresh), "{status} {directives} {target}");
            }
        }
    }
}

#[tokio::test]
async fn the_refusal_of_a_leader_does_not_send_all_its_followers_up() {
    let origin = spoiled("x-odd", || response(400, "no"));
    let cache = common::service(origin.clone());
    let followers = (0..20).map(|_| get("/a"));
    let all = finish(start(&cache, std::iter::once(request("GET", "/a", &[("x-odd", "1")])).chain(followers))).await;
    let statuses: Vec<_> = all.iter().map(|one| one.as_ref().expect("an answer").response.status().as_u16()).collect();
    assert_eq!((statuses[0], &statuses[1..]), (400, &[200; 20][..]));
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn no_request_waits_long_where_all_are_refused() {
    let origin = Origin::new(|_| response(401, "who?"));
    let cache = common::service(origin.clone());
    let all = finish(start(&cache, (0..5).map(|_| get("/a")))).await;
    assert!(all.iter().all(|one| one.as_ref().is_ok_and(|one| one.response.status() == 401)));
    assert_eq!(origin.count(), 5, "two one after the other, and then the others at once");
}

#[tokio::test]
async fn a_failure_without_a_lifetime_takes_no_place() {
    for status in [405, 414, 501] {
        let origin = spoiled("x-odd", move || response(status, "no"));
        let rules = common::builder().stale_if_error(Duration::from_secs(600)).build();
        let (cache, hand) = with_rules(origin, rules);
        send(&cache, get("/a")).await;
        hand.advance(200);
        assert_eq!(send(&cache, request("GET", "/a", &[("x-odd", "1")])).await.response.status(), status);
        let stored = send(&cache, request("GET", "/a", &[("cache-control", "only-if-cached, max-stale")])).await;
        assert_eq!(stored.text(), "body", "{status}");
    }
}

#[tokio::test]
async fn a_no_store_request_starts_no_refresh() {
    let origin = Origin::new(|_| good());
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    send(&cache, get("/a")).await;
    hand.advance(61);
    let stale = send(&cache, request("GET", "/a", &[("cache-control", "no-store"), ("if-none-match", "\"0\"")])).await;
    assert_eq!((stale.text(), stale.outcome.stale), ("body", true));
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.count(), 1);
    // And the next that may be kept puts nothing off.
    while send(&cache, get("/a")).await.outcome.stale {
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_refresh_that_a_head_has_caused_brings_the_content() {
    let origin = Origin::waiting(|request| async move {
        let content = if request.method() == http::Method::HEAD { "" } else { "new" };
        Ok(response(200, content).header("cache-control", "max-age=60, stale-while-revalidate=60").build())
    });
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    send(&cache, get("/a")).await;
    hand.advance(61);
    assert!(send(&cache, request("HEAD", "/a", &[])).await.outcome.stale);
    while origin.count() < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let renewed = send(&cache, get("/a")).await;
    assert_eq!((renewed.text(), renewed.outcome.reason), ("new", Reason::Fresh));
}

#[tokio::test]
async fn fields_for_one_client_are_not_replayed() {
    let own = [("set-cookie2", "a=b"), ("authentication-info", "nextnonce=\"1\""), ("clear-site-data", "\"cookies\"")];
    let add = move |reply: Reply| own.iter().fold(reply, |reply, (name, value)| reply.header(name, value));
    let origin = Origin::new(move |request| match sends(request, "if-none-match") {
        true => add(response(304, "").header("etag", "\"1\"")),
        false => add(good()),
    });
    let (cache, hand) = with_rules(origin, common::rules());
    let has_own = |read: &common::Read| own.map(|(name, value)| header(&read.response, name) == value);
    assert_eq!(has_own(&send(&cache, get("/a")).await), [true; 3], "the client whose request it was");
    assert_eq!(has_own(&send(&cache, get("/a")).await), [false; 3]);
    hand.advance(200);
    let validated = send(&cache, get("/a")).await;
    assert_eq!((has_own(&validated), validated.outcome.reason), ([true; 3], Reason::Validated));
    assert_eq!(has_own(&send(&cache, get("/a")).await), [false; 3]);
}

#[tokio::test]
async fn rfc9110_9_3_2_a_stored_answer_to_head_has_no_content() {
    let (sender, body) = common::channel();
    let body = std::sync::Mutex::new(Some(body));
    let origin = Origin::new(move |request| match request.uri().path() {
        "/known" => good(),
        // Its length is known once it is stored.
        _ => common::streaming(200, body.lock().unwrap().take().expect("asked once")).header("cache-control", "max-age=60"),
    });
    let cache = common::service(origin);
    let mut sender = sender;
    sender.send_data(bytes::Bytes::from_static(b"body")).await.expect("room");
    drop(sender);
    for target in ["/known", "/unknown"] {
        assert_eq!(send(&cache, get(target)).await.text(), "body");
        let head = send(&cache, request("HEAD", target, &[])).await;
        assert_eq!((head.x_cache().as_str(), head.text(), header(&head.response, "content-length").as_str()), ("HIT", "", "4"), "{target}");
    }
}

#[tokio::test]
async fn a_field_whose_answer_is_never_stored_puts_off_no_refresh() {
    let origin = Origin::new(|_| response(200, "body").header("cache-control", "max-age=1, stale-while-revalidate=60"));
    let (cache, hand) = with_rules(origin.clone(), common::rules());
    send(&cache, get("/a")).await;
    hand.advance(2);
    for fields in [&[("x_a", "1")][..], &[("x-original-url", "/b")], &[]] {
        let answer = send(&cache, request("GET", "/a", fields)).await;
        assert_eq!((answer.x_cache().as_str(), answer.outcome.stale), ("HIT", true), "{fields:?}");
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((origin.count(), send(&cache, get("/a")).await.outcome.stale), (2, false));
}

#[tokio::test]
async fn an_error_that_an_unkeyed_field_may_have_caused_is_no_answer_to_others() {
    let gate = Arc::new(Semaphore::new(0));
    let answers = Arc::clone(&gate);
    let origin = Origin::waiting(move |request| {
        let (gate, reply) = (Arc::clone(&answers), if sends(&request, "x-original-url") { response(503, "closed") } else { good() });
        async move {
            gate.acquire().await.expect("open").forget();
            Ok(reply.build())
        }
    });
    let cache = common::service(origin.clone());
    let asking = start(&cache, [request("GET", "/a", &[("x-original-url", "/maintenance")]), get("/a"), get("/a")]);
    gate.add_permits(2);
    let status = |answer: Result<common::Read, _>| answer.expect("an answer").response.status().as_u16();
    assert_eq!(finish(asking).await.into_iter().map(status).collect::<Vec<_>>(), [503, 200, 200]);
    assert_eq!(origin.count(), 2, "the others wait for one of them");
}
