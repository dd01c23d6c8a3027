//! Answers that other replicas read from a shared tier while they arrive.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http_body_util::channel::Sender;
use http_body_util::{BodyExt, Full};
use larder_semantics::GuardMode;
use larder_store::{Invalidation, InvalidationTarget};
use larder_tower::{BodyError, BoxError, CacheService, EffectiveTarget, JsonFields, RouteRulesBuilder, Served, TagSource};

use crate::common::{self, Origin, OriginBody, builder, frame, get, header, read, request, response, send, streaming};
use crate::shared_tier::{Shared, TIMEOUT, replicas, replicas_with};

const ETAG: &str = "\"1\"";

/// An origin whose first answer has this announced length and comes as the test sends it; what comes after that, `later` says.
struct Slow {
    replicas: Vec<CacheService<Origin>>,
    shared: Arc<Shared>,
    origin: Origin,
    /// The first replica's answer, and the sending end of its body.
    first: Served<OriginBody>,
    sender: Sender<Bytes, BoxError>,
}

type Later = fn(&http::Request<larder_tower::RequestBody>) -> common::Reply;

fn nothing_later(request: &http::Request<larder_tower::RequestBody>) -> common::Reply {
    panic!("the origin was asked again: {:?}", request.headers());
}

fn new_later(_: &http::Request<larder_tower::RequestBody>) -> common::Reply {
    response(200, "new").header("cache-control", "max-age=60")
}

impl Slow {
    /// The replica that fetches dies, or else the tier itself fails.
    fn fail(&self, dies: bool) {
        match dies {
            true => {
                self.shared.deadly.store(true, Ordering::SeqCst);
                self.shared.silence(0);
            }
            false => self.shared.broken.store(true, Ordering::SeqCst),
        }
    }

    async fn start(length: Option<usize>, later: Later) -> Self {
        Self::with(length, later, |rules| rules).await
    }

    /// The first replica has the head.
    async fn with(length: Option<usize>, later: Later, rules: impl Fn(RouteRulesBuilder) -> RouteRulesBuilder) -> Self {
        Self::asked(get("/a"), length, later, rules).await
    }

    /// The same, asked so.
    async fn asked(
        first: http::Request<http_body_util::Empty<Bytes>>,
        length: Option<usize>,
        later: Later,
        rules: impl Fn(RouteRulesBuilder) -> RouteRulesBuilder,
    ) -> Self {
        let (sender, body) = common::channel();
        let body = Mutex::new(Some(body));
        let origin = Origin::new(move |request| match body.lock().unwrap().take() {
            Some(body) => {
                let reply = streaming(200, body).header("cache-control", "max-age=60").header("etag", ETAG);
                let reply = reply.header("content-type", "application/json");
                length.into_iter().fold(reply, |reply, length| reply.header("content-length", &length.to_string()))
            }
            None => later(request),
        });
        let shared = Arc::<Shared>::default();
        let replicas = replicas_with(&origin, Some(&shared), rules(builder()).build());
        let first = serve(&replicas[0], first).await;
        Self { replicas, shared, origin, first, sender }
    }

    async fn send(&mut self, text: &'static str) {
        self.sender.send_data(text.into()).await.expect("a reader");
    }

    async fn ends(self) -> (Vec<CacheService<Origin>>, Arc<Shared>, Origin, String) {
        let Self { replicas, shared, origin, first, sender } = self;
        drop(sender);
        let text = read(first.response, first.outcome).await.text().to_owned();
        (replicas, shared, origin, text)
    }
}

async fn serve(cache: &CacheService<Origin>, request: http::Request<http_body_util::Empty<Bytes>>) -> Served<OriginBody> {
    cache.serve(request, EffectiveTarget::default(), |_| ()).await.expect("an answer")
}

/// Until no fetch of this replica is under way.
async fn settled(cache: &CacheService<Origin>) {
    while cache.cache().stats().fills_in_flight > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_another_replica_has_each_piece_when_it_is_there() {
    for length in [Some(6), None] {
        let mut slow = Slow::start(length, nothing_later).await;
        slow.send("one").await;
        let other = serve(&slow.replicas[1], get("/a")).await;
        assert_eq!((header(&other.response, "x-cache"), header(&other.response, "etag")), ("HIT".into(), ETAG.into()));
        assert_eq!(http_body::Body::size_hint(other.response.body()).exact(), length.map(|length| length as u64));
        let mut body = other.response.into_body();
        assert_eq!(frame(&mut body).await.unwrap().unwrap(), "one");
        let late = serve(&slow.replicas[2], get("/a")).await;
        slow.send("two").await;
        assert_eq!(frame(&mut body).await.unwrap().unwrap(), "two");
        let (replicas, shared, origin, text) = slow.ends().await;
        assert!(frame(&mut body).await.is_none(), "a clean end");
        assert_eq!((text.as_str(), read(late.response, late.outcome).await.text()), ("onetwo", "onetwo"));
        for cache in &replicas {
            settled(cache).await;
            let hit = send(cache, get("/a")).await;
            assert_eq!((hit.x_cache().as_str(), hit.text()), ("HIT", "onetwo"));
            assert_eq!(cache.cache().stats().bytes_in_flight, 0);
        }
        assert_eq!((origin.count(), shared.commits()), (1, 1), "stored by the replica that fetched it, and in each memory");
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_cuts_a_body_off_breaks_it_on_every_replica() {
    let mut slow = Slow::start(Some(6), |_| response(500, "sorry")).await;
    slow.send("one").await;
    let other = serve(&slow.replicas[1], get("/a")).await;
    let Slow { replicas, sender, first, origin, .. } = slow;
    sender.abort(io::Error::other("cut").into());
    assert!(read(first.response, first.outcome).await.body.is_err());
    let broken = read(other.response, other.outcome).await.body;
    assert!(matches!(broken, Err(BodyError::Stored(_))), "{broken:?}");
    settled(&replicas[1]).await;
    assert_eq!((replicas[1].cache().stats().memory.entries, origin.count()), (0, 2), "it was asked for the rest once");
}

/// The rest of the body that these tests begin.
fn rest(request: &http::Request<larder_tower::RequestBody>) -> common::Reply {
    assert_eq!((&request.headers()["if-range"], &request.headers()["range"]), (&ETAG.parse().unwrap(), &"bytes=3-".parse().unwrap()));
    let body = Full::new(Bytes::from_static(b"two")).map_err(Into::into).boxed_unsync();
    streaming(206, body).header("etag", ETAG).header("content-range", "bytes 3-5/6")
}

#[tokio::test(start_paused = true)]
async fn a_body_of_a_replica_that_dies_is_continued_from_an_origin_that_has_the_same() {
    for dies in [true, false] {
        let mut slow = Slow::start(Some(6), rest).await;
        slow.send("one").await;
        let other = serve(&slow.replicas[1], get("/a")).await;
        let mut body = other.response.into_body();
        assert_eq!(frame(&mut body).await.unwrap().unwrap(), "one");
        slow.fail(dies);
        let started = crate::shared_tier::now();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "two");
        assert!(started.elapsed() <= TIMEOUT, "{:?}", started.elapsed());
        settled(&slow.replicas[1]).await;
        assert_eq!(send(&slow.replicas[1], get("/a")).await.text(), "onetwo");
        assert_eq!(slow.origin.count(), 2);
    }
}

/// The answer that these tests begin, once more.
fn same(_: &http::Request<larder_tower::RequestBody>) -> common::Reply {
    again("onetwo")
}

fn again(text: &'static str) -> common::Reply {
    again_with(text, &[])
}

/// The same but for these fields.
fn again_with(text: &'static str, fields: &[(&str, &str)]) -> common::Reply {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(Into::into).boxed_unsync();
    let mut all = vec![("cache-control", "max-age=60"), ("etag", ETAG), ("content-type", "application/json")];
    all.retain(|(name, _)| fields.iter().all(|(other, _)| name != other));
    all.into_iter().chain(fields.iter().copied()).fold(streaming(200, body), |reply, (name, value)| reply.header(name, value))
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_whose_replica_dies_goes_on_with_an_answer_that_is_the_same_as_far_as_it_was_sent() {
    for dies in [true, false] {
        let mut slow = Slow::start(None, same).await;
        slow.send("one").await;
        let other = serve(&slow.replicas[1], request("GET", "/a", &[("if-none-match", "\"x\"")])).await;
        let follower = serve(&slow.replicas[1], get("/a")).await;
        let mut body = other.response.into_body();
        assert_eq!(frame(&mut body).await.unwrap().unwrap(), "one");
        slow.fail(dies);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "two", "what was sent is not sent again");
        assert_eq!(read(follower.response, follower.outcome).await.text(), "onetwo");
        settled(&slow.replicas[1]).await;
        assert_eq!(send(&slow.replicas[1], get("/a")).await.text(), "onetwo");
        let stats = slow.replicas[1].cache().stats();
        assert_eq!((slow.origin.count(), stats.asked_again.continued, stats.bytes_in_flight), (2, 1, 0), "it was asked once for both");
        let fields = slow.origin.fields(1);
        assert!(!fields.contains_key("range") && !fields.contains_key("if-none-match"), "{fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_breaks_off_where_the_answer_that_could_go_on_is_another_one() {
    let others: [(&str, Later); 11] = [
        ("tag", |_| again_with("onetwo", &[("etag", "\"2\"")])),
        ("type", |_| again_with("onetwo", &[("content-type", "text/plain")])),
        ("coding", |_| again_with("onetwo", &[("content-encoding", "gzip")])),
        ("language", |_| again_with("onetwo", &[("content-language", "de")])),
        ("fields that select it", |_| again_with("onetwo", &[("vary", "accept-language")])),
        ("who it is for", |_| again_with("onetwo", &[("cache-control", "private")])),
        ("bytes", |_| again("oNetwo")),
        ("fewer bytes", |_| again("on")),
        ("status", |_| response(404, "onetwo").header("cache-control", "max-age=60")),
        ("error", |_| response(500, "onetwo")),
        ("not modified", |_| response(304, "").header("etag", ETAG)),
    ];
    for (what, other) in others {
        let mut slow = Slow::start(None, other).await;
        slow.send("one").await;
        let mut body = serve(&slow.replicas[1], get("/a")).await.response.into_body();
        assert_eq!(frame(&mut body).await.unwrap().unwrap(), "one");
        slow.shared.broken.store(true, Ordering::SeqCst);
        let broken = frame(&mut body).await;
        assert!(matches!(broken, Some(Err(BodyError::Stored(_)))), "{what}: {broken:?}");
        settled(&slow.replicas[1]).await;
        let stats = slow.replicas[1].cache().stats();
        assert_eq!((slow.origin.count(), stats.asked_again.differing, stats.memory.entries), (2, 1, 0), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_breaks_off_where_its_origin_is_gone_too() {
    let gone: [Later; 2] = [
        |_| {
            let (sender, body) = common::channel();
            sender.abort(io::Error::other("gone").into());
            streaming(200, body).header("cache-control", "max-age=60").header("etag", ETAG).header("content-type", "application/json")
        },
        |_| {
            let (mut sender, body) = common::channel();
            tokio::spawn(async move {
                sender.send_data("on".into()).await.expect("a reader");
                sender.abort(io::Error::other("gone").into());
            });
            streaming(200, body).header("cache-control", "max-age=60").header("etag", ETAG).header("content-type", "application/json")
        },
    ];
    for later in gone {
        let mut slow = Slow::start(None, later).await;
        slow.send("one").await;
        let mut body = serve(&slow.replicas[1], get("/a")).await.response.into_body();
        assert_eq!(frame(&mut body).await.unwrap().unwrap(), "one");
        slow.shared.broken.store(true, Ordering::SeqCst);
        assert!(matches!(frame(&mut body).await, Some(Err(BodyError::Stored(_)))));
        settled(&slow.replicas[1]).await;
        let stats = slow.replicas[1].cache().stats();
        assert_eq!((slow.origin.count(), stats.asked_again.failed, stats.memory.entries), (2, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_meanwhile_ends_no_reader_and_nobody_joins_what_is_old() {
    let mut slow = Slow::start(Some(6), new_later).await;
    slow.send("one").await;
    let before = serve(&slow.replicas[1], get("/a")).await;
    let purged = InvalidationTarget::Url("http://example.com/a".to_owned());
    slow.replicas[1].cache().invalidate(&Invalidation::hard([purged])).await;
    assert_eq!(send(&slow.replicas[1], get("/a")).await.text(), "new");
    slow.send("two").await;
    assert_eq!(read(before.response, before.outcome).await.text(), "onetwo", "it was asked for before the purge");
    settled(&slow.replicas[1]).await;
    assert_eq!(send(&slow.replicas[1], get("/a")).await.text(), "new");
    assert_eq!(slow.origin.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_nothing_for_others() {
    let mut slow = Slow::start(Some(6), nothing_later).await;
    slow.send("one").await;
    drop(serve(&slow.replicas[1], get("/a")).await);
    let follower = serve(&slow.replicas[1], get("/a")).await;
    drop(serve(&slow.replicas[2], get("/a")).await);
    slow.send("two").await;
    let (replicas, _, origin, text) = slow.ends().await;
    assert_eq!((text.as_str(), read(follower.response, follower.outcome).await.text()), ("onetwo", "onetwo"));
    settled(&replicas[2]).await;
    assert_eq!((send(&replicas[2], get("/a")).await.x_cache().as_str(), origin.count()), ("HIT", 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_outgrows_what_is_kept_goes_on_to_those_who_read_it() {
    let mut slow = Slow::with(None, new_later, |rules| rules.max_object(8)).await;
    slow.send("12345").await;
    let other = serve(&slow.replicas[1], get("/a")).await;
    slow.send("67890").await;
    let mut body = other.response.into_body();
    let mut got = String::new();
    while got.len() < 10 {
        got.push_str(std::str::from_utf8(&frame(&mut body).await.unwrap().unwrap()).unwrap());
    }
    assert_eq!(send(&slow.replicas[2], get("/a")).await.text(), "new", "its start may be gone");
    slow.send("end").await;
    let (replicas, shared, origin, text) = slow.ends().await;
    got.push_str(std::str::from_utf8(&body.collect().await.unwrap().to_bytes()).unwrap());
    assert_eq!((text.as_str(), got.as_str()), ("1234567890end", "1234567890end"));
    settled(&replicas[1]).await;
    assert_eq!((origin.count(), shared.commits()), (2, 1), "of the small one");
    assert_eq!(send(&replicas[1], get("/a")).await.text(), "new", "it was not stored");
}

#[tokio::test(start_paused = true)]
async fn ranges_and_preconditions_are_judged_by_the_head_that_is_relayed() {
    let mut slow = Slow::start(Some(6), |request| {
        assert_eq!(request.method(), "HEAD");
        response(200, "").header("etag", ETAG)
    })
    .await;
    slow.send("one").await;
    let part = serve(&slow.replicas[1], request("GET", "/a", &[("range", "bytes=2-3")])).await;
    assert_eq!((part.response.status().as_u16(), header(&part.response, "content-range")), (206, "bytes 2-3/6".into()));
    let same = send(&slow.replicas[1], request("GET", "/a", &[("if-none-match", ETAG)])).await;
    assert_eq!((same.response.status().as_u16(), same.text()), (304, ""));
    let beyond = send(&slow.replicas[2], request("GET", "/a", &[("range", "bytes=7-")])).await;
    assert_eq!(beyond.response.status(), 416);
    let head = send(&slow.replicas[2], request("HEAD", "/a", &[])).await;
    assert_eq!((head.response.status().as_u16(), head.text()), (200, ""));
    slow.send("two").await;
    assert_eq!(read(part.response, part.outcome).await.text(), "et");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_stale_already_is_not_read_from_another_replica() {
    let (mut sender, body) = common::channel();
    let body = Mutex::new(Some(body));
    let origin = Origin::new(move |_| match body.lock().unwrap().take() {
        Some(body) => streaming(200, body).header("cache-control", "max-age=60"),
        None => response(200, "own").header("cache-control", "max-age=60"),
    });
    let replicas = replicas(&origin, Some(&Arc::default()));
    let first = serve(&replicas[0], get("/a")).await;
    sender.send_data("one".into()).await.expect("a reader");
    let choosy = request("GET", "/a", &[("cache-control", "min-fresh=61")]);
    assert_eq!(send(&replicas[1], choosy).await.text(), "own");
    drop(sender);
    assert_eq!(read(first.response, first.outcome).await.text(), "one");
}

/// Tags answers by the member `tag` of their JSON.
#[derive(Debug)]
struct TagInBody([String; 1]);

impl TagSource for TagInBody {
    fn tags(&self, _: &Parts) -> Option<Vec<String>> {
        Some(Vec::new())
    }

    fn in_response(&self) -> &[String] {
        &self.0
    }

    fn tags_in_body(&self, _: &Parts, response: &JsonFields) -> Option<Vec<String>> {
        Some(response.get("tag").map(str::to_owned).into_iter().collect())
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_end_names_its_tags_is_not_read_before_it_is_known_what_invalidates_it() {
    let mut slow = Slow::with(None, new_later, |rules| rules.tags(TagInBody(["tag".to_owned()]))).await;
    slow.send("{\"tag\":").await;
    assert_eq!(send(&slow.replicas[1], get("/a")).await.text(), "new");
    slow.send("\"t\"}").await;
    let (_, _, origin, text) = slow.ends().await;
    assert_eq!((text.as_str(), origin.count()), ("{\"tag\":\"t\"}", 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_guard_may_refuse_is_not_read_by_other_replicas_before_it_is_judged() {
    let poisoning = request("GET", "/a", &[("x-cdn-host", "evil.example")]);
    let mut slow = Slow::asked(poisoning, None, new_later, |rules| rules.guard(GuardMode::Refuse)).await;
    slow.send("//evil.example/").await;
    assert_eq!(send(&slow.replicas[1], get("/a")).await.text(), "new");
    slow.send("a.js").await;
    let (replicas, _, origin, text) = slow.ends().await;
    for cache in &replicas[1..] {
        settled(cache).await;
        assert_eq!(send(cache, get("/a")).await.text(), "new");
    }
    assert_eq!((text.as_str(), origin.count()), ("//evil.example/a.js", 2));
}
