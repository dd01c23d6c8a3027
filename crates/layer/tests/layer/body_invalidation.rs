//! Targets of writes, and tags of answers, that only JSON in bodies names.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt, Full};
use larder_semantics::Target;
use larder_store::{Invalidation, InvalidationTarget};
use larder_tower::{
    BodyInvalidation, CacheService, EffectiveTarget, FetchError, Invalidates, JsonFields, SentBefore, TagSource, WriteRules,
};

use crate::common::{self, Origin, Read, Reply, channel, frame, get, header, read, request, response, send, start, streaming, with_rules};

/// A write makes `tag:VALUE` old for the members `from` of the request and `to` of the answer.
#[derive(Debug)]
struct Names(Vec<String>, Vec<String>);

impl Names {
    fn new() -> Self {
        Self(vec!["from".to_owned()], vec!["to".to_owned()])
    }
}

impl WriteRules for Names {
    fn invalidates(&self, _: &Parts, _: Target<'_>) -> Invalidates {
        Invalidates::default().with_bodies(Self(self.0.clone(), self.1.clone()))
    }
}

impl BodyInvalidation for Names {
    fn in_request(&self) -> &[String] {
        &self.0
    }

    fn in_response(&self) -> &[String] {
        &self.1
    }

    fn targets(&self, request: &JsonFields, response: &JsonFields) -> Vec<InvalidationTarget> {
        request.get("from").into_iter().chain(response.get("to")).map(|value| InvalidationTarget::Tag(value.to_owned())).collect()
    }
}

/// Reads are tagged by their last segment, and by the member `tag` of their answer.
#[derive(Debug)]
struct Tags(Vec<String>);

impl TagSource for Tags {
    fn tags(&self, request: &Parts) -> Option<Vec<String>> {
        Some(request.uri.path().rsplit('/').next().map(str::to_owned).into_iter().collect())
    }

    fn in_response(&self) -> &[String] {
        &self.0
    }

    fn tags_in_body(&self, _: &Parts, response: &JsonFields) -> Option<Vec<String>> {
        (!response.is_too_long("tag")).then(|| response.get("tag").map(str::to_owned).into_iter().collect())
    }
}

fn cache(origin: Origin) -> CacheService<Origin> {
    with_rules(origin, common::builder().writes(Names::new()).tags(Tags(Vec::new())).build()).0
}

fn stored() -> Reply {
    response(200, "x").header("cache-control", "max-age=60")
}

fn json(body: &'static str) -> Reply {
    response(200, body).header("content-type", "application/json")
}

async fn post(cache: &CacheService<Origin>, body: &'static str) -> Read {
    let request = Request::post("/write").header("host", "example.com").header("content-type", "application/json");
    let served =
        cache.serve(request.body(Full::from(body)).expect("a request"), EffectiveTarget::default(), |_| ()).await.expect("an answer");
    read(served.response, served.outcome).await
}

async fn x_cache(cache: &CacheService<Origin>, path: &str) -> String {
    send(cache, get(path)).await.x_cache()
}

async fn stored_under(cache: &CacheService<Origin>, paths: &[&str]) {
    for path in paths {
        send(cache, get(path)).await;
        assert_eq!(x_cache(cache, path).await, "HIT", "{path}");
    }
}

/// As [`Names`], and the URL that was written is fetched again.
#[derive(Debug, Default)]
struct Refreshing(std::sync::OnceLock<CacheService<Origin>>);

impl WriteRules for Refreshing {
    fn invalidates(&self, _: &Parts, _: Target<'_>) -> Invalidates {
        Invalidates::default().with_bodies(Names::new())
    }

    fn refetch(&self, _: &Parts, target: Target<'_>, _: &[InvalidationTarget]) -> Vec<larder_tower::Refetch> {
        let (template, ()) = Request::new(()).into_parts();
        self.0.get().expect("made").refetch_hot(target, &template)
    }
}

#[tokio::test]
async fn targets_at_the_end_of_an_answer_do_not_undo_a_refetch() {
    for body in [r#"{"to": "a"}"#, r#"{"to": null}"#] {
        let origin = Origin::new(move |request| if request.method() == "PUT" { json(body) } else { stored() });
        let writes = Arc::new(Refreshing::default());
        let rules = common::builder().shared_writes(Arc::clone(&writes) as _).tags(Tags(Vec::new())).build();
        let cache = with_rules(origin.clone(), rules).0;
        writes.0.set(cache.clone()).expect("once");
        stored_under(&cache, &["/a"]).await;
        send(&cache, request("PUT", "/a", &[])).await;
        while origin.count() < 3 {
            tokio::task::yield_now().await;
        }
        assert_ne!(x_cache(&cache, "/a").await, "", "joins it, or finds it");
        assert_eq!(x_cache(&cache, "/a").await, "HIT");
        assert_eq!(origin.count(), 3, "one fetch, one write, and one fetch more, whatever {body} names");
    }
}

/// An origin that reads a write's body before it answers with `answer`.
fn reading(answer: fn() -> Reply) -> Origin {
    Origin::waiting(move |request| async move {
        match request.method().as_str() {
            "GET" => Ok(stored().build()),
            _ => {
                request.into_body().collect().await.expect("a body");
                Ok(answer().build())
            }
        }
    })
}

#[tokio::test]
async fn targets_in_request_and_answer_are_invalid_once_the_answer_has_been_read() {
    let cache = cache(reading(|| json(r#"{"to": 7}"#)));
    stored_under(&cache, &["/a", "/7", "/b"]).await;
    assert_eq!(post(&cache, r#"{"from": "a"}"#).await.text(), r#"{"to": 7}"#);
    for (path, result) in [("/a", "MISS"), ("/7", "MISS"), ("/b", "HIT")] {
        assert_eq!(x_cache(&cache, path).await, result, "{path}");
    }
}

/// Everything tagged `known` is old; with `true`, failures are known to come before the origin saw anything.
#[derive(Debug)]
struct Known(bool);

impl WriteRules for Known {
    fn invalidates(&self, _: &Parts, _: Target<'_>) -> Invalidates {
        Invalidates::from(vec![InvalidationTarget::Tag("known".to_owned())]).with_bodies(Names::new())
    }

    fn never_arrived(&self, _: &FetchError) -> bool {
        self.0
    }
}

#[tokio::test]
async fn a_write_without_any_answer_may_have_taken_place_unless_it_never_arrived() {
    for (never_arrived, result) in [(false, "MISS"), (true, "HIT")] {
        let origin = Origin::waiting(|request| async move {
            match request.method().as_str() {
                "GET" => Ok(stored().build()),
                _ => {
                    request.into_body().collect().await.expect("a body");
                    Err(std::io::Error::other("reset"))
                }
            }
        });
        let rules = common::builder().writes(Known(never_arrived)).tags(Tags(Vec::new())).build();
        let cache = with_rules(origin, rules).0;
        stored_under(&cache, &["/known", "/a", "/write", "/b"]).await;
        let request = Request::post("/write").header("host", "example.com").header("content-type", "application/json");
        let request = request.body(Full::from(r#"{"from": "a"}"#)).expect("a request");
        assert!(cache.serve(request, EffectiveTarget::default(), |_| ()).await.is_err());
        for path in ["/known", "/a", "/write"] {
            assert_eq!(x_cache(&cache, path).await, result, "{path}");
        }
        assert_eq!(x_cache(&cache, "/b").await, "HIT");
    }
}

/// A service that sends a DELETE again after a reset gets 404 where the first one was carried out.
#[tokio::test]
async fn a_write_that_failed_when_it_was_sent_again_may_have_taken_place_before() {
    let origin = Origin::waiting(|request| async move {
        if request.method() == "GET" {
            return Ok(stored().build());
        }
        request.into_body().collect().await.expect("a body");
        let mut answer = json("{}").status(404).build();
        answer.extensions_mut().insert(SentBefore);
        Ok(answer)
    });
    let cache = cache(origin);
    stored_under(&cache, &["/a", "/write"]).await;
    post(&cache, r#"{"from": "a"}"#).await;
    assert_eq!((x_cache(&cache, "/a").await, x_cache(&cache, "/write").await), ("MISS".into(), "MISS".into()));
}

#[tokio::test]
async fn a_write_that_failed_makes_nothing_old() {
    let cache = cache(reading(|| json(r#"{"to": 7}"#).status(409)));
    stored_under(&cache, &["/a", "/7"]).await;
    post(&cache, r#"{"from": "a"}"#).await;
    assert_eq!((x_cache(&cache, "/a").await, x_cache(&cache, "/7").await), ("HIT".into(), "HIT".into()));
}

#[tokio::test]
async fn a_body_that_is_no_plain_json_names_no_target_and_passes_unchanged() {
    for answer in
        [|| response(200, r#"{"to": 7}"#), || json(r#"{"to": 7}"#).header("content-encoding", "gzip"), || json("[7]"), || json("")]
    {
        let cache = cache(reading(answer));
        stored_under(&cache, &["/a", "/7"]).await;
        post(&cache, r#"{"from": "a"}"#).await;
        assert_eq!((x_cache(&cache, "/a").await, x_cache(&cache, "/7").await), ("MISS".into(), "HIT".into()));
    }
}

/// An origin whose answer to a write comes as the test sends it, and what sends it.
fn streamed() -> (CacheService<Origin>, http_body_util::channel::Sender<Bytes, larder_tower::BoxError>) {
    streamed_by(Names::new())
}

fn streamed_by(names: Names) -> (CacheService<Origin>, http_body_util::channel::Sender<Bytes, larder_tower::BoxError>) {
    let (sender, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let origin = Origin::new(move |request| match request.method().as_str() {
        "GET" => stored(),
        _ => streaming(200, body.lock().unwrap().take().expect("one write")).header("content-type", "application/json"),
    });
    (with_rules(origin, common::builder().writes(names).tags(Tags(Vec::new())).build()).0, sender)
}

#[tokio::test]
async fn an_answer_is_passed_on_as_it_comes_up_to_the_frame_with_which_everything_is_known() {
    let (cache, mut sender) = streamed();
    stored_under(&cache, &["/7"]).await;
    let served = cache.serve(request("POST", "/write", &[]), EffectiveTarget::default(), |_| ()).await.expect("an answer");
    let mut body = served.response.into_body();
    sender.send_data(r#"{"a": 1, "to""#.into()).await.expect("read");
    assert_eq!(frame(&mut body).await.expect("a frame").expect("data"), r#"{"a": 1, "to""#);
    assert_eq!(x_cache(&cache, "/7").await, "HIT");
    sender.send_data(r#": "7", "#.into()).await.expect("read");
    assert_eq!(frame(&mut body).await.expect("a frame").expect("data"), r#": "7", "#);
    assert_eq!(x_cache(&cache, "/7").await, "MISS");
    sender.send_data(r#""b": 2}"#.into()).await.expect("read");
    drop(sender);
    assert_eq!(frame(&mut body).await.expect("a frame").expect("data"), r#""b": 2}"#);
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn of_members_with_one_name_the_last_counts_too_whatever_frames_they_come_in() {
    let (cache, mut sender) = streamed();
    stored_under(&cache, &["/1", "/7"]).await;
    let served = cache.serve(request("POST", "/write", &[]), EffectiveTarget::default(), |_| ()).await.expect("an answer");
    let mut body = served.response.into_body();
    sender.send_data(r#"{"to": 1, "#.into()).await.expect("read");
    frame(&mut body).await.expect("a frame").expect("data");
    assert_eq!((x_cache(&cache, "/1").await, x_cache(&cache, "/7").await), ("MISS".into(), "HIT".into()), "it may be the only one");
    assert_eq!(cache.cache().finish_writes(std::time::Duration::ZERO).await, 0, "nothing else is known to come");
    sender.send_data(r#""b": 2, "to": 7}"#.into()).await.expect("read");
    assert_eq!(frame(&mut body).await.expect("a frame").expect("data"), r#""b": 2, "to": 7}"#);
    assert_eq!((x_cache(&cache, "/1").await, x_cache(&cache, "/7").await), ("HIT".into(), "MISS".into()));
    drop(sender);
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn a_client_that_leaves_keeps_nothing_from_becoming_old() {
    let (cache, mut sender) = streamed();
    stored_under(&cache, &["/7"]).await;
    let served = cache.serve(request("POST", "/write", &[]), EffectiveTarget::default(), |_| ()).await.expect("an answer");
    drop(served);
    sender.send_data(r#"{"to": 7}"#.into()).await.expect("read on");
    drop(sender);
    while x_cache(&cache, "/7").await == "HIT" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_an_answer_without_end_has_named_is_old_before_the_process_ends() {
    let (cache, mut sender) = streamed_by(Names(Vec::new(), vec!["to".to_owned(), "never".to_owned()]));
    stored_under(&cache, &["/7"]).await;
    drop(cache.serve(request("POST", "/write", &[]), EffectiveTarget::default(), |_| ()).await.expect("an answer"));
    sender.send_data(r#"{"to": 7, "#.into()).await.expect("read on");
    assert_eq!(x_cache(&cache, "/7").await, "HIT", "another member may be to come");
    assert_eq!(cache.cache().finish_writes(std::time::Duration::ZERO).await, 1);
    assert_eq!(x_cache(&cache, "/7").await, "MISS");
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off() {
    let (cache, sender) = streamed();
    let served = cache.serve(request("POST", "/write", &[]), EffectiveTarget::default(), |_| ()).await.expect("an answer");
    sender.abort("gone".into());
    assert!(read(served.response, served.outcome).await.body.is_err());
}

fn tagged(origin: Origin) -> CacheService<Origin> {
    with_rules(origin, common::builder().tags(Tags(vec!["tag".to_owned()])).build()).0
}

async fn purge(cache: &CacheService<Origin>, tag: &str) {
    cache.cache().invalidate(&Invalidation::hard([InvalidationTarget::Tag(tag.to_owned())])).await;
}

#[tokio::test]
async fn an_answer_is_purged_by_the_tag_that_its_body_names() {
    let cache = tagged(Origin::new(|_| json(r#"{"tag": "blue"}"#).header("cache-control", "max-age=60")));
    stored_under(&cache, &["/a"]).await;
    purge(&cache, "red").await;
    assert_eq!(x_cache(&cache, "/a").await, "HIT");
    purge(&cache, "blue").await;
    assert_eq!(x_cache(&cache, "/a").await, "MISS");
}

#[tokio::test]
async fn an_answer_whose_tags_cannot_be_read_is_not_stored() {
    for answer in [
        || json(r#"{"tag": "blue"}"#).header("content-encoding", "gzip"),
        || json(Box::leak(format!(r#"{{"a": "{}", "tag": "blue"}}"#, "x".repeat(70_000)).into_boxed_str())),
    ] {
        let cache = tagged(Origin::new(move |_| answer().header("cache-control", "max-age=60")));
        assert_eq!(x_cache(&cache, "/a").await, "MISS");
        let later = send(&cache, get("/a")).await;
        assert_eq!(later.x_cache(), "MISS");
        assert!(header(&later.response, "cache-status").contains("fwd="), "{:?}", later.response);
    }
    let other = tagged(Origin::new(|_| response(200, "<html>").header("content-type", "text/html").header("cache-control", "max-age=60")));
    stored_under(&other, &["/a"]).await;
}

#[tokio::test]
async fn a_request_after_a_purge_joins_no_older_flight_whose_tags_are_not_known_yet() {
    let (mut sender, body) = channel();
    let first = std::sync::Mutex::new(Some(body));
    let origin = Origin::new(move |_| match first.lock().unwrap().take() {
        Some(body) => streaming(200, body).header("content-type", "application/json").header("cache-control", "max-age=60"),
        None => json(r#"{"tag": "blue", "v": 2}"#).header("cache-control", "max-age=60"),
    });
    let cache = tagged(origin.clone());
    let mut early = start(&cache, [get("/a")]);
    let early = early.remove(0).await.expect("a head");
    purge(&cache, "blue").await;
    assert_eq!(send(&cache, get("/a")).await.text(), r#"{"tag": "blue", "v": 2}"#);
    sender.send_data(r#"{"tag": "blue", "v": 1}"#.into()).await.expect("read");
    drop(sender);
    assert_eq!(read(early.response, early.outcome).await.text(), r#"{"tag": "blue", "v": 1}"#);
    assert_eq!(send(&cache, get("/a")).await.text(), r#"{"tag": "blue", "v": 2}"#);
}
