//! Exchanges whose client has left: they go on, unless others wait for the place that they take at the origin.

use crate::common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::{Origin, builder, channel, frame, get, response, send, start, streaming, with_rules};
use http_body_util::channel::Sender;
use larder_semantics::GuardMode;
use larder_tower::{BoxError, CacheService, Pressure};
use tokio::sync::Semaphore;

/// Counts as one for as long as it lives.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What sends the bodies that an origin has begun.
type Senders = Arc<Mutex<Vec<Sender<Bytes, BoxError>>>>;

/// A cache before an origin whose bodies the test sends, and where others wait for the places of its exchanges.
fn streamed() -> (CacheService<Origin>, Senders, Pressure) {
    let bodies = Senders::default();
    let script = Arc::clone(&bodies);
    let origin = Origin::new(move |_| {
        let (sender, body) = channel();
        script.lock().unwrap().push(sender);
        streaming(200, body).header("cache-control", "max-age=60")
    });
    let pressure = Pressure::default();
    let rules = builder().pressure(pressure.clone()).build();
    (with_rules(origin, rules).0, bodies, pressure)
}

/// A cache before an origin that answers when the gate lets it, the exchanges that are open at it, and where others wait for their places.
fn gated(gate: &Arc<Semaphore>) -> (CacheService<Origin>, Arc<AtomicUsize>, Pressure) {
    let (gate, open) = (Arc::clone(gate), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&open);
    let origin = Origin::waiting(move |_| {
        let (gate, count) = (Arc::clone(&gate), Arc::clone(&count));
        async move {
            let _open = Open::new(&count);
            gate.acquire().await.expect("open").forget();
            Ok(response(200, "body").header("cache-control", "max-age=60").build())
        }
    });
    let pressure = Pressure::default();
    let rules = builder().pressure(pressure.clone()).build();
    (with_rules(origin, rules).0, open, pressure)
}

/// Lets tasks go as far as they get.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_exchange_without_client_goes_on_until_a_request_waits_for_its_place() {
    let gate = Arc::new(Semaphore::new(0));
    let (cache, open, pressure) = gated(&gate);
    drop(start(&cache, [get("/a"), get("/b"), get("/c")]));
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 3);
    let first = pressure.wait();
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 2, "one waits, so one ends");
    drop(first);
    gate.add_permits(2);
    settle().await;
    assert_eq!(send(&cache, get("/b")).await.x_cache(), "HIT", "the others bring home what they fetch");
    assert_eq!(send(&cache, get("/c")).await.x_cache(), "HIT");
    gate.add_permits(1);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS", "the oldest was given up");
}

#[tokio::test]
async fn an_exchange_whose_client_leaves_while_others_wait_ends_at_once() {
    let (cache, open, pressure) = gated(&Arc::new(Semaphore::new(0)));
    let asking = start(&cache, [get("/a")]);
    let _waiting = pressure.wait();
    settle().await;
    assert_eq!(asking.len(), 1);
    drop(asking);
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_exchange_that_others_follow_is_not_given_up() {
    let gate = Arc::new(Semaphore::new(0));
    let (cache, open, pressure) = gated(&gate);
    let mut asking = start(&cache, [get("/a"), get("/a")]);
    let follower = asking.pop().expect("a follower");
    drop(asking);
    settle().await;
    let _waiting = pressure.wait();
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 1);
    gate.add_permits(1);
    let answers = common::finish(vec![follower]).await;
    assert_eq!(answers.into_iter().next().expect("one").expect("an answer").text(), "body");
}

#[tokio::test]
async fn a_body_without_readers_is_given_up_and_one_with_readers_is_not() {
    let (cache, bodies, pressure) = streamed();
    let mut asking = Vec::new();
    for target in ["/read", "/left"] {
        asking.push(start(&cache, [get(target)]).pop().expect("one").await.expect("an answer").response.into_body());
    }
    let mut senders = std::mem::take(&mut *bodies.lock().unwrap());
    for sender in &mut senders {
        sender.send_data("first".into()).await.expect("somebody reads");
    }
    for body in &mut asking {
        assert_eq!(frame(body).await.expect("a frame").expect("bytes"), "first");
    }
    drop(asking.pop());
    settle().await;
    let (_one, _two) = (pressure.wait(), pressure.wait());
    settle().await;
    assert!(senders[1].send_data("second".into()).await.is_err(), "nobody is there any more");
    senders[0].send_data("second".into()).await.expect("somebody reads");
    assert_eq!(frame(&mut asking[0]).await.expect("a frame").expect("bytes"), "second");
}

/// Under a guard that refuses, others get a body at its end only.
#[tokio::test]
async fn a_body_for_whose_end_others_wait_is_not_given_up() {
    let bodies = Senders::default();
    let script = Arc::clone(&bodies);
    let origin = Origin::new(move |_| {
        let (sender, body) = channel();
        script.lock().unwrap().push(sender);
        streaming(200, body).header("cache-control", "max-age=60").header("content-type", "text/html")
    });
    let pressure = Pressure::default();
    let rules = builder().pressure(pressure.clone()).guard(GuardMode::Refuse).build();
    let cache = with_rules(origin.clone(), rules).0;
    let leader = start(&cache, [get("/a")]).pop().expect("one").await.expect("an answer");
    let mut sender = bodies.lock().unwrap().pop().expect("it was asked");
    sender.send_data("first ".into()).await.expect("somebody reads");
    settle().await;
    let followers = start(&cache, [get("/a"), get("/a")]);
    drop(leader);
    settle().await;
    let _waiting = pressure.wait();
    settle().await;
    sender.send_data("second".into()).await.expect("others wait for it");
    drop(sender);
    for follower in common::finish(followers).await {
        assert_eq!(follower.expect("an answer").text(), "first second");
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_refresh_in_the_background_is_not_given_up() {
    let gate = Arc::new(Semaphore::new(1));
    let answers = Arc::clone(&gate);
    let open = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&open);
    let origin = Origin::waiting(move |_| {
        let (gate, count) = (Arc::clone(&answers), Arc::clone(&count));
        async move {
            let _open = Open::new(&count);
            gate.acquire().await.expect("open").forget();
            Ok(response(200, "body").header("cache-control", "max-age=1, stale-while-revalidate=60").build())
        }
    });
    let pressure = Pressure::default();
    let rules = builder().pressure(pressure.clone()).build();
    let (cache, hand) = with_rules(origin, rules);
    send(&cache, get("/a")).await;
    hand.advance(5);
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "HIT");
    settle().await;
    let _waiting = pressure.wait();
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_body_whose_reader_leaves_while_others_wait_is_given_up_at_once() {
    let (cache, bodies, pressure) = streamed();
    let mut body = start(&cache, [get("/a")]).pop().expect("one").await.expect("an answer").response.into_body();
    let mut sender = bodies.lock().unwrap().pop().expect("it was asked");
    sender.send_data("first".into()).await.expect("somebody reads");
    assert_eq!(frame(&mut body).await.expect("a frame").expect("bytes"), "first");
    settle().await;
    let _waiting = pressure.wait();
    settle().await;
    sender.send_data("second".into()).await.expect("somebody reads");
    assert_eq!(frame(&mut body).await.expect("a frame").expect("bytes"), "second");
    drop(body);
    settle().await;
    assert!(sender.send_data("third".into()).await.is_err(), "nobody is there any more");
}

#[tokio::test]
async fn an_exchange_whose_last_follower_leaves_while_others_wait_ends_at_once() {
    let (cache, open, pressure) = gated(&Arc::new(Semaphore::new(0)));
    let mut asking = start(&cache, [get("/a"), get("/a")]);
    let follower = asking.pop().expect("a follower");
    drop(asking);
    settle().await;
    let _waiting = pressure.wait();
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 1);
    drop(follower);
    settle().await;
    assert_eq!(open.load(Ordering::SeqCst), 0);
}
