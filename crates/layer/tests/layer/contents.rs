//! Requests whose content is part of their key: POST that only reads, and QUERY (RFC 10008).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use larder_semantics::Reason;
use larder_semantics::content::graphql::{Document, DocumentReader};
use larder_semantics::content::{ContentKind, ContentRules};
use larder_tower::{CacheService, ContentDecoder, EffectiveTarget, Invalidation, InvalidationTarget, RouteRules};
use tokio::sync::Semaphore;

use crate::common::{self, Origin, Read, get, header, request, response, send, with_rules};

fn rules(kind: ContentKind) -> RouteRules {
    let mut content = ContentRules::new(kind);
    content.post = true;
    content.max_length = 100;
    common::builder().content(Some(content)).build()
}

fn with_content(method: &str, target: &str, content: &'static str, fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from_static(content.as_bytes())));
    *request.method_mut() = Method::try_from(method).expect("a method");
    *request.uri_mut() = target.parse().expect("a target");
    for (name, value) in [("host", "example.com"), ("content-type", "application/json")].iter().chain(fields) {
        let name = HeaderName::try_from(*name).expect("a name");
        request.headers_mut().insert(name, HeaderValue::try_from(*value).expect("a value"));
    }
    request
}

fn post(content: &'static str) -> Request<Full<Bytes>> {
    with_content("POST", "/search", content, &[])
}

/// An origin that answers a search with what was searched for.
fn echo(control: &'static str) -> Origin {
    Origin::waiting(move |request| async move {
        let method = request.method().clone();
        let content = request.into_body().collect().await.expect("the content").to_bytes();
        let answer = format!("{method} {}", String::from_utf8_lossy(&content));
        let body = Full::new(Bytes::from(answer)).map_err(Into::into).boxed_unsync();
        Ok(common::streaming(200, body).header("cache-control", control).header("etag", "\"1\"").build())
    })
}

fn summary(read: &Read) -> (String, String, Reason) {
    (read.x_cache(), String::from_utf8_lossy(read.body.as_ref().expect("whole")).into_owned(), read.outcome.reason)
}

#[tokio::test]
async fn posts_that_say_the_same_share_a_response_and_the_origin_gets_the_bytes_as_they_came() {
    let origin = echo("max-age=60");
    let cache = with_rules(origin.clone(), rules(ContentKind::Json)).0;
    let first = send(&cache, post(r#"{"b":1, "a":[2]}"#)).await;
    assert_eq!(summary(&first), ("MISS".to_owned(), r#"POST {"b":1, "a":[2]}"#.to_owned(), Reason::Absent));
    assert_eq!(summary(&send(&cache, post(r#"{"a":[2],"b":1}"#)).await).0, "HIT");
    assert_eq!(summary(&send(&cache, post(r#"{"a":[2],"b":2}"#)).await).0, "MISS");
    assert_eq!(origin.count(), 2);
    let key = first.outcome.key.expect("a key").text().to_owned();
    assert!(key.starts_with("v1:default:POST:http://example.com/search #body=json:") && key.len() == 53 + 64, "{key}");
}

#[tokio::test]
async fn a_get_and_a_post_of_one_url_share_nothing() {
    let origin = echo("max-age=60");
    let cache = with_rules(origin.clone(), rules(ContentKind::Bytes)).0;
    send(&cache, get("/search")).await;
    let empty = send(&cache, post("")).await;
    assert_eq!(summary(&empty), ("MISS".to_owned(), "POST ".to_owned(), Reason::Absent));
    assert_eq!(summary(&send(&cache, get("/search")).await), ("HIT".to_owned(), "GET ".to_owned(), Reason::Fresh));
}

#[tokio::test]
async fn a_post_that_reads_invalidates_nothing_and_another_one_does() {
    let origin = echo("max-age=60");
    let cache = with_rules(origin.clone(), rules(ContentKind::Json)).0;
    send(&cache, get("/search")).await;
    for content in ["{}", "no json", r#"{"a":1,"a":2}"#] {
        send(&cache, post(content)).await;
        assert_eq!(send(&cache, get("/search")).await.x_cache(), "HIT", "{content}");
    }
    let plain = CacheService::new(origin, Arc::clone(cache.cache()), common::rules());
    send(&plain, post("{}")).await;
    assert_eq!(send(&cache, get("/search")).await.x_cache(), "MISS");
}

#[tokio::test]
async fn content_without_a_key_passes_as_it_came() {
    let origin = echo("max-age=60");
    let cache = with_rules(origin.clone(), rules(ContentKind::Json)).0;
    let long: &'static str = Box::leak(format!("\"{}\"", "x".repeat(200)).into_boxed_str());
    for content in ["", "{", r#"{"a":1,"a":2}"#, long] {
        for _ in 0..2 {
            let read = send(&cache, post(content)).await;
            assert_eq!(summary(&read), ("BYPASS".to_owned(), format!("POST {content}"), Reason::BodyNotKeyed));
            assert!(header(&read.response, "cache-status").contains("fwd=request"), "{:?}", read.response);
        }
    }
    assert_eq!(origin.count(), 8);
}

#[tokio::test]
async fn rfc10008_a_query_is_safe_and_cacheable_by_its_content() {
    let origin = echo("max-age=60");
    let mut content = ContentRules::new(ContentKind::Json);
    content.post = false;
    let cache = with_rules(origin.clone(), common::builder().content(Some(content)).build()).0;
    let query = |content| with_content("QUERY", "/search", content, &[]);
    assert_eq!(summary(&send(&cache, query("{ }")).await), ("MISS".to_owned(), "QUERY { }".to_owned(), Reason::Absent));
    assert_eq!(summary(&send(&cache, query("{}")).await).0, "HIT");
    assert_eq!(send(&cache, post("{}")).await.outcome.reason, Reason::Method, "POST reads only where the rules say so");
}

#[tokio::test]
async fn requests_for_one_content_are_collapsed() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let origin = Origin::waiting(move |_| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.expect("open").forget();
            Ok(response(200, "found").header("cache-control", "max-age=60").build())
        }
    });
    let cache = with_rules(origin.clone(), rules(ContentKind::Json)).0;
    let waiting = common::start(&cache, ["{}", "{ }", "{  }"].map(post));
    gate.add_permits(3);
    for answer in common::finish(waiting).await {
        assert_eq!(answer.expect("an answer").text(), "found");
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_stale_answer_to_a_post_is_fetched_again_without_a_condition() {
    let origin = echo("max-age=60");
    let (cache, hand) = with_rules(origin.clone(), rules(ContentKind::Json));
    send(&cache, post("{}")).await;
    hand.advance(61);
    let conditional = with_content("POST", "/search", "{}", &[("if-none-match", "\"0\""), ("range", "bytes=0-1")]);
    assert_eq!(send(&cache, conditional).await.body.expect("whole"), "PO", "the range is answered from what was fetched");
    let fields = origin.fields(1);
    for name in ["if-none-match", "if-modified-since", "range"] {
        assert!(!fields.contains_key(name), "{name}");
    }
    assert_eq!(send(&cache, post("{}")).await.x_cache(), "HIT");
}

#[tokio::test]
async fn a_client_that_has_the_answer_is_told_so() {
    let cache = with_rules(echo("max-age=60"), rules(ContentKind::Json)).0;
    send(&cache, post("{}")).await;
    let read = send(&cache, with_content("POST", "/search", "{}", &[("if-none-match", "\"1\"")])).await;
    assert_eq!((read.response.status().as_u16(), read.x_cache().as_str()), (304, "HIT"));
}

#[tokio::test]
async fn a_purge_of_the_url_reaches_all_contents() {
    let cache = with_rules(echo("max-age=60"), rules(ContentKind::Json)).0;
    for content in ["{}", "[]"] {
        send(&cache, post(content)).await;
    }
    cache.cache().invalidate(&Invalidation::hard([InvalidationTarget::Url("http://example.com/search".to_owned())])).await;
    for content in ["{}", "[]"] {
        assert_eq!(send(&cache, post(content)).await.outcome.reason, Reason::Purged, "{content}");
    }
}

#[tokio::test]
async fn a_refresh_in_the_background_sends_the_content() {
    let origin = echo("max-age=60, stale-while-revalidate=60");
    let (cache, hand) = with_rules(origin.clone(), rules(ContentKind::Json));
    send(&cache, post("{}")).await;
    hand.advance(61);
    assert_eq!(send(&cache, post("{}")).await.x_cache(), "HIT");
    while origin.count() < 2 || cache.cache().stats().fills_in_flight > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(summary(&send(&cache, post("{}")).await), ("HIT".to_owned(), "POST {}".to_owned(), Reason::Fresh));
}

#[tokio::test]
async fn credentials_are_as_with_a_get() {
    let cache = with_rules(echo("max-age=60"), rules(ContentKind::Json)).0;
    let with_token = |token| with_content("POST", "/search", "{}", &[("authorization", token)]);
    for token in ["Bearer 1", "Bearer 2", "Bearer 1"] {
        assert_eq!(send(&cache, with_token(token)).await.x_cache(), "MISS", "{token}");
    }
}

#[tokio::test]
async fn a_request_that_passes_by_the_cache_is_neither_answered_from_it_nor_a_write() {
    let origin = echo("max-age=60");
    let cache = with_rules(origin.clone(), rules(ContentKind::Json)).0;
    send(&cache, post("{}")).await;
    send(&cache, get("/search")).await;
    let passed = cache.pass_by(post("{}"), EffectiveTarget::default(), Reason::NearPrivate, |_| ()).await.expect("an answer");
    assert_eq!(passed.outcome.reason, Reason::NearPrivate);
    assert_eq!((send(&cache, get("/search")).await.x_cache(), origin.count()), ("HIT".to_owned(), 3));
}

#[tokio::test]
async fn a_get_with_content_stays_uncached() {
    let cache = with_rules(echo("max-age=60"), rules(ContentKind::Json)).0;
    for _ in 0..2 {
        assert_eq!(send(&cache, with_content("GET", "/search", "{}", &[])).await.outcome.reason, Reason::RequestBody);
    }
    assert_eq!(send(&cache, request("GET", "/search", &[])).await.x_cache(), "MISS");
}

/// A coding that turns bytes round.
#[derive(Debug)]
struct Reversed;

impl ContentDecoder for Reversed {
    fn decode(&self, fields: &HeaderMap, content: &Bytes, max_length: usize) -> Option<Vec<u8>> {
        (fields["content-encoding"] == "reversed" && content.len() <= max_length).then(|| content.iter().rev().copied().collect())
    }
}

#[tokio::test]
async fn rfc10008_2_7_a_coded_content_has_the_key_of_what_was_coded_and_goes_up_as_it_came() {
    let origin = echo("max-age=60");
    let rules = rules(ContentKind::Json).to_builder().content_decoder(Reversed).build();
    let cache = with_rules(origin.clone(), rules).0;
    let coded = |content, coding| with_content("POST", "/search", content, &[("content-encoding", coding)]);
    assert_eq!(summary(&send(&cache, coded("}1:\"a\"{", "reversed")).await), ("MISS".into(), "POST }1:\"a\"{".into(), Reason::Absent));
    assert_eq!(send(&cache, post("{\"a\":1}")).await.x_cache(), "HIT");
    assert_eq!(send(&cache, coded("{\"a\":1}", "gzip")).await.outcome.reason, Reason::BodyNotKeyed, "another coding");
    assert_eq!(send(&cache, coded("{\"a\":1}", "reversed")).await.outcome.reason, Reason::BodyNotKeyed, "not what it says");
}

#[tokio::test]
async fn an_error_that_a_content_coding_may_have_caused_is_not_stored_for_others() {
    let origin = Origin::waiting(|_| async { Ok(response(415, "").header("cache-control", "max-age=60").build()) });
    let cache = with_rules(origin.clone(), rules(ContentKind::Json).to_builder().content_decoder(Reversed).build()).0;
    let coded = with_content("POST", "/search", "}{", &[("content-encoding", "reversed")]);
    assert_eq!(send(&cache, coded).await.x_cache(), "MISS");
    assert_eq!(send(&cache, post("{}")).await.x_cache(), "MISS");
    assert_eq!(send(&cache, post("{}")).await.x_cache(), "HIT", "whose own answer is stored");
}

/// An origin of JSON-RPC that answers with the first caller's `id`, in two pieces.
fn calls(fields: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::waiting(move |request| async move {
        let content = request.into_body().collect().await.expect("the content").to_bytes();
        let id = String::from_utf8_lossy(&content).split("\"id\":").nth(1).map_or_else(String::new, |rest| rest[..1].to_owned());
        let body = Full::new(Bytes::from(format!("{{\"id\":{id},\"result\":[1]}}"))).map_err(Into::into).boxed_unsync();
        let reply = common::streaming(200, body).header("content-type", "application/json").header("etag", "\"1\"");
        Ok(fields.iter().fold(reply, |reply, (name, value)| reply.header(name, value)).build())
    })
}

fn call(id: u8) -> Request<Full<Bytes>> {
    let content: &'static str = Box::leak(format!("{{\"method\":\"a\",\"id\":{id}}}").into_boxed_str());
    with_content("POST", "/rpc", content, &[("range", "bytes=0-1")])
}

#[tokio::test]
async fn a_call_that_waits_for_another_gets_its_own_id() {
    let rules = rules(ContentKind::JsonRpc).to_builder().ttl(std::time::Duration::from_secs(60)).build();
    let mut content = ContentRules::new(ContentKind::JsonRpc);
    (content.post, content.rpc.others) = (true, true);
    let rules = rules.to_builder().content(Some(content)).build();
    let origin = calls(&[]);
    let cache = with_rules(origin.clone(), rules.clone()).0;
    let waiting = common::start(&cache, [1, 2, 3].map(call));
    let texts: Vec<String> = common::finish(waiting).await.into_iter().map(|read| read.expect("an answer").text().to_owned()).collect();
    assert_eq!(texts, [1, 2, 3].map(|id| format!("{{\"id\":{id},\"result\":[1]}}")));
    assert_eq!((origin.count(), send(&cache, call(4)).await.text()), (1, "{\"id\":4,\"result\":[1]}"));
    // What cannot be read cannot be written: each asks for itself.
    let origin = calls(&[("content-encoding", "gzip")]);
    let cache = with_rules(origin.clone(), rules).0;
    for count in 1..3 {
        send(&cache, call(1)).await;
        assert_eq!((origin.count(), header(&send(&cache, call(2)).await.response, "etag").as_str()), (2 * count - 1, "\"1\""));
    }
    assert_eq!(origin.fields(0)["accept-encoding"], "identity");
}

/// Takes every document for a query.
#[derive(Debug)]
struct AnyQuery;

impl DocumentReader for AnyQuery {
    fn read(&self, document: &str, _: Option<&str>) -> Option<Document> {
        Some(Document { is_query: true, text: document.to_owned(), names: Vec::new() })
    }
}

#[tokio::test]
async fn an_answer_of_graphql_that_calls_itself_private_goes_to_no_request_that_waits_for_it() {
    const SCOPES: [(&str, u64); 2] = [("PRIVATE", 3), ("PUBLIC", 1)];
    for (is_streamed, (scope, fetches)) in [false, true].into_iter().flat_map(|is_streamed| SCOPES.map(|scope| (is_streamed, scope))) {
        let gate = Arc::new(Semaphore::new(0));
        let opened = Arc::clone(&gate);
        let origin = Origin::waiting(move |request| {
            let gate = Arc::clone(&opened);
            async move {
                gate.acquire().await.expect("open").forget();
                let who = request.headers()["x-api-key"].to_str().expect("text");
                let hint =
                    format!(r#""extensions":{{"cacheControl":{{"version":1,"hints":[{{"path":["me"],"maxAge":60,"scope":"{scope}"}}]}}}}"#);
                let answer = Bytes::from(format!(r#"{{"data":{{"me":"{who}"}},{hint}}}"#));
                let (mut sender, body) = common::channel();
                let body = if is_streamed {
                    sender.send_data(answer.slice(..20)).await.expect("room");
                    tokio::spawn(async move { sender.send_data(answer.slice(20..)).await });
                    body
                } else {
                    Full::new(answer).map_err(Into::into).boxed_unsync()
                };
                Ok(common::streaming(200, body).header("content-type", "application/json").header("cache-control", "max-age=60").build())
            }
        });
        let mut content = ContentRules::new(ContentKind::GraphQl);
        content.post = true;
        content.documents = Some(Arc::new(AnyQuery));
        let cache = with_rules(origin.clone(), common::builder().content(Some(content)).build()).0;
        let clients = ["ann", "bob", "eve"];
        let ask = |who| with_content("POST", "/graphql", r#"{"query":"{ me }"}"#, &[("x-api-key", who)]);
        let waiting = common::start(&cache, clients.map(ask));
        gate.add_permits(clients.len());
        for (who, answer) in clients.iter().zip(common::finish(waiting).await) {
            let answer = answer.expect("an answer");
            let whose = if scope == "PRIVATE" { who } else { "ann" };
            assert!(answer.text().contains(&format!(r#""me":"{whose}""#)), "{scope}, streamed {is_streamed}, {who}: {}", answer.text());
        }
        assert_eq!(origin.count() as u64, fetches, "{scope}, streamed {is_streamed}");
    }
}
