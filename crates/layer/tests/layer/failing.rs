//! An origin that fails: what is stored stands in, wherever it is stored, and who waited shares the failure.

use crate::arriving::NoLog;
use crate::common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Answer as OriginAnswer, Origin, Reply, finish, get, header, request, response, send, start, try_send};
use http::{HeaderMap, HeaderValue, StatusCode};
use larder_semantics::{FreshnessLifetime, HeadFlags, LifetimeSource, StoredFields, StoredHead};
use larder_store::{
    BodyBuilder, Invalidation, InvalidationTarget, LoadRequest, Loaded, Position, RemoteError, RemoteStore, StoreFuture, StoredResponse,
    Tag, Write,
};
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheService, Tiers};
use tokio::sync::Semaphore;

const MANY: usize = 100;

/// A tier that other replicas have filled: with one stale response, for whatever is asked.
#[derive(Debug)]
struct Filled {
    etag: Option<&'static str>,
}

impl Filled {
    fn stored(&self, ask: &LoadRequest<'_>) -> StoredResponse {
        let fields = self.etag.map(|etag| (http::header::ETAG, HeaderValue::from_static(etag)));
        let head = StoredHead {
            status: StatusCode::OK,
            headers: StoredFields::from(&fields.into_iter().collect::<HeaderMap>()),
            response_time: common::START,
            initial_age: 20,
            lifetime: FreshnessLifetime { seconds: 10, source: LifetimeSource::MaxAge },
            stale_while_revalidate: 0,
            stale_if_error: 60,
            flags: HeadFlags::default(),
            date_seconds: common::START.as_secs(),
            origin_control: None,
        };
        let mut body = BodyBuilder::new(5);
        body.push(b"stale");
        StoredResponse::new(ask.key, None, &head, body.finish(None).unwrap(), &[Tag::surrogate("t")], Position(0), 7)
    }
}

impl RemoteStore for Filled {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn load<'a>(&'a self, ask: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(if ask.newer_than < 7 { Loaded::Response(Arc::new(self.stored(&ask))) } else { Loaded::Nothing(None) })
        })
    }

    fn commit(&self, _: Write) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn freshen(&self, _: Write) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn remove(&self, _: &StoredResponse) {}
}

/// A replica that has nothing in memory, before a tier that has.
fn cold_replica(etag: Option<&'static str>, origin: Origin) -> CacheService<Origin> {
    let (clock, _) = Clock::manual(common::START);
    let tiers = Tiers::new().then(Arc::new(Filled { etag })).with_log(Arc::new(NoLog));
    let cache = Cache::builder(64 << 20).max_object(1 << 20).clock(clock).tiers(tiers).build();
    CacheService::new(origin, cache, Arc::new(common::rules()))
}

fn refused() -> Origin {
    Origin::waiting(|_| async { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) })
}

/// An origin that answers request number `n`, from 0, when the gate lets it.
fn gated(gate: &Arc<Semaphore>, reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Origin {
    let (gate, reply, requests) = (Arc::clone(gate), Arc::new(reply), Arc::new(AtomicUsize::new(0)));
    Origin::waiting(move |_| {
        let (gate, reply, requests) = (Arc::clone(&gate), Arc::clone(&reply), requests.fetch_add(1, Ordering::SeqCst));
        async move {
            gate.acquire().await.expect("open").forget();
            Ok(reply(requests).build()) as OriginAnswer
        }
    })
}

fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

#[tokio::test]
async fn rfc5861_4_what_another_replica_has_stored_stands_in_for_an_error() {
    for etag in [Some("\"1\""), None] {
        for origin in [refused(), Origin::new(|_| response(503, "sorry"))] {
            let answer = send(&cold_replica(etag, origin.clone()), get("/a")).await;
            assert_eq!((answer.text(), answer.response.status().as_u16(), origin.count()), ("stale", 200, 1));
            assert!(header(&answer.response, "cache-status").contains("detail=stale-if-error"), "{:?}", answer.response);
            assert!(answer.outcome.stale);
        }
    }
}

#[tokio::test]
async fn rfc5861_4_all_followers_on_a_cold_replica_get_the_response_that_another_has_stored() {
    for status in [500, 503] {
        let gate = gate();
        let origin = gated(&gate, move |_| response(200, "sorry").status(status));
        let cache = cold_replica(None, origin.clone());
        let waiting = start(&cache, (0..MANY).map(|_| get("/a")));
        gate.add_permits(MANY);
        assert!(finish(waiting).await.into_iter().all(|answer| answer.unwrap().text() == "stale"));
        assert_eq!(origin.count(), 1);
    }
}

#[tokio::test]
async fn a_response_purged_during_the_fetch_is_not_served_on_error() {
    let gate = gate();
    let origin = gated(&gate, |_| response(503, "sorry"));
    let cache = cold_replica(None, origin.clone());
    let mut waiting = start(&cache, [get("/a"), get("/a")]);
    let mut first = tokio::spawn(waiting.remove(0));
    while origin.count() == 0 {
        tokio::task::yield_now().await;
    }
    cache.cache().invalidate(&Invalidation::hard([InvalidationTarget::Tag("t".to_owned())])).await;
    gate.add_permits(MANY);
    let first = (&mut first).await.unwrap().unwrap();
    let first = common::read(first.response, first.outcome).await;
    assert_eq!((first.text(), first.response.status().as_u16()), ("sorry", 503), "the origin's own answer");
    for answer in finish(waiting).await {
        assert_eq!(answer.unwrap().response.status(), 503);
    }
}

#[tokio::test]
async fn an_error_that_nothing_stands_in_for_is_the_origins_own() {
    let cache = cold_replica(None, Origin::new(|_| response(503, "sorry").header("retry-after", "7")));
    let answer = send(&cache, request("GET", "/a", &[("cache-control", "no-cache")])).await;
    assert_eq!((answer.response.status().as_u16(), answer.text(), header(&answer.response, "retry-after")), (503, "sorry", "7".into()));
}

#[tokio::test]
async fn a_server_error_is_shared_by_all_followers() {
    for status in [502, 503, 504, 507] {
        let gate = gate();
        let origin = gated(&gate, move |_| response(200, "sorry").status(status).header("retry-after", "7"));
        let cache = common::service(origin.clone());
        let waiting = start(&cache, (0..MANY).map(|_| get("/a")));
        gate.add_permits(MANY);
        let answers: Vec<_> = finish(waiting).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(origin.count(), 1, "{status}");
        for answer in &answers {
            assert_eq!((answer.response.status().as_u16(), answer.text()), (status, "sorry"));
            assert_eq!((header(&answer.response, "retry-after"), answer.x_cache()), ("7".into(), "MISS".into()));
        }
        assert_eq!(answers.iter().filter(|answer| answer.outcome.collapsed).count(), MANY - 1);
        // Who comes later asks anew.
        gate.add_permits(1);
        assert_eq!(send(&cache, get("/a")).await.response.status().as_u16(), status);
        assert_eq!(origin.count(), 2);
        assert_eq!(cache.cache().stats().bytes_in_flight, 0);
    }
}

#[tokio::test]
async fn of_a_server_error_that_was_made_for_one_client_the_others_get_the_status() {
    for field in [("cache-control", "private"), ("cache-control", "no-store"), ("set-cookie", "session=leader"), ("vary", "*")] {
        let gate = gate();
        let origin = gated(&gate, move |_| response(503, "sorry, Alice").header(field.0, field.1).header("retry-after", "7"));
        let cache = common::service(origin.clone());
        let waiting = start(&cache, (0..MANY).map(|_| get("/a")));
        gate.add_permits(MANY);
        let answers: Vec<_> = finish(waiting).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(origin.count(), 1, "{field:?}");
        assert_eq!((answers[0].text(), header(&answers[0].response, field.0)), ("sorry, Alice", field.1.into()));
        for answer in &answers[1..] {
            assert_eq!((answer.response.status().as_u16(), answer.text()), (503, ""), "{field:?}");
            assert_eq!((header(&answer.response, "retry-after"), header(&answer.response, field.0)), ("7".into(), String::new()));
        }
    }
}

#[tokio::test]
async fn rfc9111_5_2_2_7_of_a_shared_server_error_the_others_get_no_field_that_private_names() {
    let gate = gate();
    let named = |name| format!("{name}=\"x-user\"");
    for name in ["private", "no-cache"] {
        let origin = gated(&gate, move |_| response(503, "sorry").header("cache-control", &named(name)).header("x-user", "alice"));
        let cache = common::service(origin.clone());
        let waiting = start(&cache, (0..MANY).map(|_| get("/a")));
        gate.add_permits(MANY);
        let answers: Vec<_> = finish(waiting).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(origin.count(), 1, "{name}");
        assert!(answers.iter().all(|answer| answer.text() == "sorry"));
        assert_eq!(answers.iter().filter(|answer| header(&answer.response, "x-user") == "alice").count(), 1, "{name}: the leader alone");
    }
}

#[tokio::test]
async fn of_a_server_error_for_other_selecting_fields_a_request_gets_the_status() {
    let gate = gate();
    let origin = gated(&gate, |_| response(503, "leider").header("vary", "accept-language"));
    let cache = common::service(origin.clone());
    let languages = ["de", "de", "en"];
    let waiting = start(&cache, languages.map(|language| request("GET", "/a", &[("accept-language", language)])));
    gate.add_permits(MANY);
    let texts: Vec<_> = finish(waiting).await.into_iter().map(|answer| answer.unwrap().text().to_owned()).collect();
    assert_eq!((texts, origin.count()), (vec!["leider".to_owned(), "leider".to_owned(), String::new()], 1));
}

#[tokio::test]
async fn a_500_may_be_the_fault_of_one_request_so_one_of_the_others_asks_again() {
    let gate = gate();
    let origin = gated(&gate, |number| match number {
        0 => response(500, "your field breaks me"),
        _ => response(200, "fine").header("cache-control", "max-age=60"),
    });
    let cache = common::service(origin.clone());
    let waiting = start(&cache, (0..MANY).map(|_| get("/a")));
    gate.add_permits(MANY);
    let texts: Vec<_> = finish(waiting).await.into_iter().map(|answer| answer.unwrap().text().to_owned()).collect();
    assert_eq!(texts.iter().filter(|text| *text == "fine").count(), MANY - 1);
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_500_that_comes_again_is_shared() {
    let gate = gate();
    let origin = gated(&gate, |_| response(500, "sorry"));
    let cache = common::service(origin.clone());
    let waiting = start(&cache, (0..MANY).map(|_| get("/a")));
    gate.add_permits(MANY);
    assert!(finish(waiting).await.into_iter().all(|answer| answer.unwrap().response.status() == 500));
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_long_error_reaches_its_own_client_whole() {
    let (mut sender, body) = common::channel();
    let body = std::sync::Mutex::new(Some(body));
    let cache = common::service(Origin::new(move |_| common::streaming(503, body.lock().unwrap().take().expect("asked once"))));
    let waiting = start(&cache, [get("/a"), get("/a")]);
    let sending = tokio::spawn(async move {
        for _ in 0..200 {
            sender.send_data(vec![b'x'; 1024].into()).await.expect("somebody reads");
        }
    });
    let answers: Vec<_> = finish(waiting).await.into_iter().map(Result::unwrap).collect();
    sending.await.unwrap();
    assert_eq!(answers[0].body.as_ref().unwrap().len(), 200 * 1024);
    assert!(answers.iter().all(|answer| answer.response.status() == 503));
}

#[tokio::test]
async fn a_failure_to_connect_is_still_shared_as_an_error() {
    assert!(try_send(&common::service(refused()), get("/a")).await.is_err());
}

#[tokio::test]
async fn rfc6585_6_what_a_network_asks_of_one_client_is_not_for_others_that_wait() {
    let gate = Arc::new(Semaphore::new(0));
    let answers = Arc::clone(&gate);
    let origin = Origin::waiting(move |_| {
        let gate = Arc::clone(&answers);
        async move {
            gate.acquire().await.expect("open").forget();
            Ok(response(511, "log in, ann").header("cache-control", "private").build())
        }
    });
    let cache = common::service(origin.clone());
    let asking = start(&cache, [get("/a"), get("/a")]);
    gate.add_permits(1);
    let texts: Vec<_> = finish(asking).await.into_iter().map(|answer| answer.expect("an answer").text().to_owned()).collect();
    assert_eq!((texts, origin.count()), (vec!["log in, ann".to_owned(), String::new()], 1));
}
