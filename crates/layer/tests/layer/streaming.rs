//! Bodies are passed on as they come, kept only when they are complete, and never pretend to be.

use crate::common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::{Origin, OriginBody, channel, frame, get, read, response, rules, send, streaming, with_rules};
use http_body_util::BodyExt;
use http_body_util::channel::Sender;
use larder_tower::clock::{Clock, ClockHand};
use larder_tower::{BodyError, BoxError, Cache, CacheService, EffectiveTarget, Invalidation, InvalidationTarget};
use tokio::sync::Semaphore;

/// An origin with one streamed answer, then plain ones.
fn once(body: OriginBody, fields: &'static [(&'static str, &'static str)]) -> Origin {
    let body = Mutex::new(Some(body));
    Origin::new(move |_| {
        let reply = match body.lock().unwrap().take() {
            Some(body) => streaming(200, body),
            None => response(200, "again"),
        };
        fields.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    })
}

const CACHEABLE: &[(&str, &str)] = &[("cache-control", "max-age=60")];

async fn serve(cache: &larder_tower::CacheService<Origin>) -> larder_tower::Served<OriginBody> {
    cache.serve(get("/a"), EffectiveTarget::default(), |_| ()).await.expect("an answer")
}

/// Sends until the other side has no more room, from a task of its own.
fn pour(mut sender: Sender<Bytes, BoxError>, frames: usize, size: usize) -> tokio::task::JoinHandle<usize> {
    tokio::spawn(async move {
        for sent in 0..frames {
            if sender.send_data(vec![b'x'; size].into()).await.is_err() {
                return sent;
            }
        }
        frames
    })
}

#[tokio::test]
async fn the_first_byte_goes_out_when_it_came_in() {
    let (mut sender, body) = channel();
    let cache = common::service(once(body, CACHEABLE));
    sender.send_data("first".into()).await.unwrap();
    let mut answer = serve(&cache).await.response.into_body();
    assert_eq!(frame(&mut answer).await.unwrap().unwrap(), "first");
    sender.send_data("second".into()).await.unwrap();
    drop(sender);
    assert_eq!(frame(&mut answer).await.unwrap().unwrap(), "second");
    assert!(frame(&mut answer).await.is_none());
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_the_fill() {
    let (mut sender, body) = channel();
    let origin = once(body, CACHEABLE);
    let cache = common::service(origin.clone());
    sender.send_data("first ".into()).await.unwrap();
    drop(serve(&cache).await);
    sender.send_data("second".into()).await.unwrap();
    drop(sender);
    // The next one joins the fill or finds what it stored; both have it all.
    assert_eq!(send(&cache, get("/a")).await.text(), "first second");
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_neither_the_fill_nor_others() {
    let (sender, body) = channel();
    let cache = common::service(once(body, CACHEABLE));
    let poured = pour(sender, 400, 1024);
    let idle = serve(&cache).await;
    assert_eq!(send(&cache, get("/a")).await.body.unwrap().len(), 400 * 1024);
    assert_eq!(poured.await.unwrap(), 400);
    assert_eq!(read(idle.response, idle.outcome).await.body.unwrap().len(), 400 * 1024);
}

#[tokio::test]
async fn a_body_larger_than_the_limit_is_passed_on_whole_and_not_kept() {
    let (sender, body) = channel();
    let origin = once(body, CACHEABLE);
    let (cache, _) = with_rules(origin.clone(), common::builder().max_object(10_000).build());
    let poured = pour(sender, 2_000, 1024);
    assert_eq!(send(&cache, get("/a")).await.body.unwrap().len(), 2_000 * 1024);
    assert_eq!(poured.await.unwrap(), 2_000);
    assert_eq!(send(&cache, get("/a")).await.text(), "again");
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_body_larger_than_the_limit_waits_for_its_reader() {
    let (sender, body) = channel();
    let (cache, _) = with_rules(once(body, CACHEABLE), common::builder().max_object(10_000).build());
    let poured = pour(sender, 100_000, 1024);
    let answer = serve(&cache).await;
    // Nobody reads: once the fill is a window, the origin is held back, and memory with it.
    while !poured.is_finished() && cache_held(&cache) < 200 * 1024 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!poured.is_finished());
    assert!(cache_held(&cache) <= 300 * 1024, "{}", cache_held(&cache));
    drop(answer);
    assert!(poured.await.unwrap() < 100_000, "with its only reader gone, the exchange ends");
}

fn cache_held(cache: &larder_tower::CacheService<Origin>) -> u64 {
    cache.cache().stats().bytes_in_flight
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_break_for_the_client_and_is_not_kept() {
    let (mut sender, body) = channel();
    let origin = once(body, CACHEABLE);
    let cache = common::service(origin.clone());
    sender.send_data("half".into()).await.unwrap();
    let answer = serve(&cache).await;
    sender.abort("reset".into());
    assert!(matches!(read(answer.response, answer.outcome).await.body, Err(BodyError::Upstream(_))));
    assert_eq!(send(&cache, get("/a")).await.text(), "again");
}

#[tokio::test]
async fn a_body_shorter_than_its_length_is_a_break_and_is_not_kept() {
    let (mut sender, body) = channel();
    let fields = &[("cache-control", "max-age=60"), ("content-length", "5")];
    let cache = common::service(once(body, fields));
    sender.send_data("four".into()).await.unwrap();
    drop(sender);
    let answer = send(&cache, get("/a")).await;
    assert!(matches!(answer.body, Err(BodyError::Length { announced: 5, got: 4 })), "{:?}", answer.body);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS");
}

#[tokio::test]
async fn server_sent_events_pass_straight_through() {
    let (mut sender, body) = channel();
    let fields = &[("content-type", "text/event-stream"), ("cache-control", "max-age=60")];
    let cache = common::service(once(body, fields));
    sender.send_data("data: 1\n\n".into()).await.unwrap();
    let mut answer = serve(&cache).await.response.into_body();
    assert_eq!(frame(&mut answer).await.unwrap().unwrap(), "data: 1\n\n");
    assert_eq!(cache_held(&cache), 0);
    drop(answer);
    assert!(sender.send_data("data: 2\n\n".into()).await.is_err(), "the origin learns that its client left");
}

#[tokio::test]
async fn trailers_are_stored_and_replayed() {
    let (mut sender, body) = channel();
    let cache = common::service(once(body, CACHEABLE));
    sender.send_data("body".into()).await.unwrap();
    let trailers = http::HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), http::HeaderValue::from_static("7"))]);
    sender.send_trailers(trailers.clone()).await.unwrap();
    drop(sender);
    for _ in 0..2 {
        let answer = serve(&cache).await.response.into_body();
        let collected = http_body_util::BodyExt::collect(answer).await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "body");
    }
}

#[tokio::test]
async fn trailers_are_replayed_but_for_what_others_do_not_get() {
    let (mut sender, body) = channel();
    let cache = common::service(once(body, &[("cache-control", "max-age=60, private=\"x-user\"")]));
    sender.send_data("body".into()).await.unwrap();
    let trailers = [("x-checksum", "42"), ("set-cookie", "a=b"), ("x-user", "alice")]
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    sender.send_trailers(trailers.into_iter().collect()).await.unwrap();
    drop(sender);
    for x_cache in ["MISS", "HIT"] {
        let served = serve(&cache).await;
        assert_eq!(common::header(&served.response, "x-cache"), x_cache);
        let collected = served.response.into_body().collect().await.expect("complete");
        let trailers = collected.trailers().expect("trailers");
        assert!(trailers["x-checksum"] == "42" && trailers.len() == 1, "{trailers:?}");
    }
}

/// A cache that may hold one mebibyte of bodies under way.
fn small_budget(origin: Origin) -> CacheService<Origin> {
    with_hand(origin).0
}

fn with_hand(origin: Origin) -> (CacheService<Origin>, ClockHand) {
    let (clock, hand) = Clock::manual(common::START);
    (CacheService::new(origin, Cache::builder(8 << 20).max_object(1 << 20).clock(clock).build(), Arc::new(rules())), hand)
}

/// An origin whose long answers are a megabyte, of which it sends a frame whenever the gate lets it; others come in two frames.
fn pouring(gate: &Arc<Semaphore>) -> Origin {
    let gate = Arc::clone(gate);
    Origin::new(move |request| {
        let (mut sender, body) = channel();
        let (gate, frames) = (Arc::clone(&gate), if request.uri().path().starts_with("/long") { 100 } else { 2 });
        tokio::spawn(async move {
            for _ in 0..frames {
                if frames > 2 {
                    gate.acquire().await.expect("open").forget();
                }
                if sender.send_data(vec![b'x'; 10_000].into()).await.is_err() {
                    return;
                }
            }
        });
        streaming(200, body).header("cache-control", "max-age=60")
    })
}

/// So many answers that nobody reads.
async fn unread(cache: &CacheService<Origin>, count: usize) -> Vec<larder_tower::Served<OriginBody>> {
    let mut answers = Vec::new();
    for number in 0..count {
        answers.push(cache.serve(get(&format!("/long/{number}")), EffectiveTarget::default(), |_| ()).await.expect("an answer"));
    }
    answers
}

/// Lets everything go as far as it gets.
async fn run_dry() {
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reader_that_is_slow_reads_what_is_stored_and_holds_nothing_under_way() {
    let gate = Arc::new(Semaphore::new(100));
    let cache = common::service(pouring(&gate));
    let mut unread = unread(&cache, 1).await;
    run_dry().await;
    assert_eq!((cache_held(&cache), cache.cache().stats().fills_in_flight), (0, 0));
    let served = unread.remove(0);
    assert_eq!(read(served.response, served.outcome).await.body.unwrap(), vec![b'x'; 1_000_000]);
}

#[tokio::test(start_paused = true)]
async fn readers_that_take_nothing_do_not_keep_other_bodies_from_being_stored() {
    let gate = Arc::new(Semaphore::new(0));
    let cache = small_budget(pouring(&gate));
    let mut unread = unread(&cache, 20).await;
    gate.add_permits(20 * 50);
    run_dry().await;
    assert!(cache_held(&cache) >= 1 << 20, "the budget is used up");
    assert_eq!(send(&cache, get("/short/1")).await.body.unwrap().len(), 20_000);
    assert_eq!(send(&cache, get("/short/1")).await.x_cache(), "MISS");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(send(&cache, get("/short/2")).await.body.unwrap().len(), 20_000);
    assert_eq!(send(&cache, get("/short/2")).await.x_cache(), "HIT");
    let served = unread.remove(0);
    assert!(matches!(read(served.response, served.outcome).await.body, Err(BodyError::Outrun)));
}

#[tokio::test]
async fn streams_over_the_budget_hold_one_frame_each() {
    let gate = Arc::new(Semaphore::new(0));
    let cache = small_budget(pouring(&gate));
    let unread = unread(&cache, 300).await;
    gate.add_permits(300 * 100);
    run_dry().await;
    let held = cache_held(&cache);
    // And the one with which the budget was used up.
    assert!(held <= (1 << 20) + 301 * 10_000, "{held} bytes are held");
    drop(unread);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_left_the_store_are_let_go_when_too_much_is_kept_for_readers_that_take_nothing() {
    let gate = Arc::new(Semaphore::new(100_000));
    let (cache, hand) = with_hand(pouring(&gate));
    let base = cache.cache().stats().memory.capacity;
    let paths = ["/long/0", "/long/1"];
    for path in paths {
        send(&cache, get(path)).await.body.unwrap();
    }
    let mut readers = Vec::new();
    for path in paths {
        let served = cache.serve(get(path), EffectiveTarget::default(), |_| ()).await.expect("an answer");
        assert_eq!(common::header(&served.response, "x-cache"), "HIT");
        readers.push(served);
    }
    // A body that is stored costs nothing more, however slowly it is read.
    tokio::time::advance(Duration::from_secs(60)).await;
    hand.advance(1);
    send(&cache, get("/short/1")).await.body.unwrap();
    cache.cache().invalidate(&Invalidation::hard([InvalidationTarget::All])).await;
    for path in paths {
        assert_eq!(send(&cache, get(path)).await.x_cache(), "MISS");
    }
    let mut last = readers.remove(1).response.into_body();
    frame(&mut last).await.expect("the first bytes").expect("still there");
    tokio::time::advance(Duration::from_secs(10)).await;
    hand.advance(10);
    send(&cache, get("/short/2")).await.body.unwrap();
    let first = readers.remove(0);
    assert!(matches!(read(first.response, first.outcome).await.body, Err(BodyError::Outrun)), "two megabytes are too much");
    assert!(frame(&mut last).await.expect("more").is_ok(), "one is not");
    let room = cache.cache().stats().memory.capacity;
    assert!(room <= base - 900_000, "what it takes is taken from what may be stored: {room} of {base} bytes");
    drop(last);
    tokio::time::advance(Duration::from_secs(1)).await;
    hand.advance(1);
    send(&cache, get("/short/3")).await.body.unwrap();
    // The shapes of heads, which are taken from the room too, are those of the process, and so of the tests beside this one.
    // What the reader held is far more than any of them.
    assert!(cache.cache().stats().memory.capacity.abs_diff(base) < 450_000);
}

#[tokio::test(start_paused = true)]
async fn a_fill_goes_on_for_a_minute_after_its_last_client_has_left() {
    for (seconds, is_stored) in [(59, true), (61, false)] {
        let (mut sender, body) = channel();
        let cache = common::service(once(body, CACHEABLE));
        let client = serve(&cache).await;
        // The origin never falls silent for a minute, and the client is there for most of one.
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_secs(29)).await;
            sender.send_data("x".into()).await.unwrap();
        }
        drop(client);
        tokio::time::sleep(Duration::from_secs(30)).await;
        sender.send_data("x".into()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(seconds - 30)).await;
        assert_eq!(sender.send_data("x".into()).await.is_ok(), is_stored, "{seconds}");
        drop(sender);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(send(&cache, get("/a")).await.x_cache() == "HIT", is_stored, "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_in_the_background_goes_on_for_as_long_as_its_origin_sends() {
    let (mut sender, body) = channel();
    let body = Mutex::new(Some(body));
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let origin = Origin::new(move |_| {
        let reply = match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            1 => streaming(200, body.lock().unwrap().take().expect("it is asked once")),
            _ => response(200, "first"),
        };
        reply.header("cache-control", "max-age=10, stale-while-revalidate=600")
    });
    let (cache, hand) = with_rules(origin.clone(), rules());
    send(&cache, get("/a")).await;
    hand.advance(11);
    assert_eq!(send(&cache, get("/a")).await.text(), "first");
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        sender.send_data("x".into()).await.expect("it is still read");
    }
    drop(sender);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((send(&cache, get("/a")).await.text(), origin.count()), ("xxxxx", 2));
}
