//! Fetches before a response is stale, and stale responses instead of a slow origin.

use crate::common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Origin, builder, finish, get, header, request, response, send, start, with_rules};
use larder_semantics::Reason;
use larder_store::Invalidation;
use larder_tower::{EffectiveTarget, Plain, Pressure};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// An origin that answers as often as the test lets it, with one number after the other.
fn numbered(gate: &Arc<Semaphore>, cache_control: &'static str) -> Origin {
    const NUMBERS: [&str; 4] = ["one", "two", "three", "four"];
    let (gate, next) = (Arc::clone(gate), std::sync::atomic::AtomicUsize::new(0));
    Origin::waiting(move |_| {
        let (gate, text) = (Arc::clone(&gate), NUMBERS[next.fetch_add(1, Ordering::SeqCst)]);
        async move {
            gate.acquire().await.expect("open").forget();
            Ok(response(200, text).header("cache-control", cache_control).build())
        }
    })
}

async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_use_late_in_a_lifetime_is_answered_at_once_and_begins_one_fetch() {
    let gate = Arc::new(Semaphore::new(1));
    let origin = numbered(&gate, "max-age=100");
    let (cache, hand) = with_rules(origin.clone(), builder().refresh_ahead(0.8).build());
    send(&cache, get("/a")).await;
    hand.advance(79);
    assert_eq!((send(&cache, get("/a")).await.text(), origin.count()), ("one", 1));
    settled().await;
    hand.advance(1);
    for _ in 0..20 {
        let answer = send(&cache, get("/a")).await;
        assert_eq!((answer.text(), answer.outcome.reason, answer.outcome.stale), ("one", Reason::Fresh, false));
        settled().await;
    }
    assert_eq!(origin.count(), 2);
    gate.add_permits(1);
    settled().await;
    let answer = send(&cache, get("/a")).await;
    assert_eq!((answer.text(), header(&answer.response, "age").as_str(), origin.count()), ("two", "0", 2));
}

#[tokio::test]
async fn what_nobody_asks_for_is_not_fetched_again() {
    let origin = numbered(&Arc::new(Semaphore::new(4)), "max-age=100");
    let (cache, hand) = with_rules(origin.clone(), builder().refresh_ahead(0.8).build());
    send(&cache, get("/a")).await;
    hand.advance(90);
    send(&cache, get("/a")).await;
    settled().await;
    assert_eq!(origin.count(), 2);
    hand.advance(99);
    settled().await;
    assert_eq!(origin.count(), 2);
    hand.advance(1);
    assert_eq!(send(&cache, get("/a")).await.outcome.reason, Reason::Stale, "it has left the lifetime that was its last");
}

#[tokio::test]
async fn a_plain_look_up_leaves_to_the_service_what_is_due_and_only_that() {
    let gate = Arc::new(Semaphore::new(1));
    let (cache, hand) = with_rules(numbered(&gate, "max-age=100"), builder().refresh_ahead(0.8).build());
    let is_plain = || {
        let mut request = http::Request::get("/a").header("host", "example.com").body(()).expect("a request");
        cache.look_up_plain::<common::OriginBody>(&mut request, &EffectiveTarget::default()).and_then(Plain::stored).is_some()
    };
    send(&cache, get("/a")).await;
    hand.advance(79);
    assert!(is_plain());
    hand.advance(1);
    assert!(!is_plain(), "the fetch is to be begun");
    send(&cache, get("/a")).await;
    assert!(is_plain(), "it is under way");
}

#[tokio::test]
async fn a_failing_origin_is_left_alone_for_a_while_and_what_is_fresh_stays() {
    let down = Arc::new(AtomicBool::new(false));
    let origin = {
        let down = Arc::clone(&down);
        Origin::waiting(move |_| {
            let down = down.load(Ordering::SeqCst);
            async move {
                match down {
                    true => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
                    false => Ok(response(200, "body").header("cache-control", "max-age=100").build()),
                }
            }
        })
    };
    let (cache, hand) = with_rules(origin.clone(), builder().refresh_ahead(0.8).build());
    send(&cache, get("/a")).await;
    down.store(true, Ordering::SeqCst);
    hand.advance(80);
    for _ in 0..20 {
        assert_eq!(send(&cache, get("/a")).await.outcome.reason, Reason::Fresh);
        settled().await;
    }
    assert_eq!(origin.count(), 2, "one, and then a pause");
    hand.advance(2);
    send(&cache, get("/a")).await;
    settled().await;
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn a_fetch_ahead_extends_nothing_that_was_purged_meanwhile() {
    let gate = Arc::new(Semaphore::new(1));
    let origin = numbered(&gate, "max-age=100");
    let (cache, hand) = with_rules(origin.clone(), builder().refresh_ahead(0.8).build());
    send(&cache, get("/a")).await;
    hand.advance(80);
    send(&cache, get("/a")).await;
    settled().await;
    assert_eq!(origin.count(), 2);
    cache.cache().invalidate(&Invalidation::everything()).await;
    gate.add_permits(2);
    settled().await;
    let answer = send(&cache, get("/a")).await;
    assert_eq!((answer.text(), answer.x_cache().as_str()), ("three", "MISS"), "what was fetched from before the purge is not stored");
}

#[tokio::test]
async fn rfc8246_what_is_immutable_and_what_is_not_to_be_stored_begins_no_fetch() {
    let gate = Arc::new(Semaphore::new(4));
    let origin = numbered(&gate, "max-age=100, immutable");
    let (cache, hand) = with_rules(origin.clone(), builder().refresh_ahead(0.8).build());
    send(&cache, get("/a")).await;
    hand.advance(90);
    send(&cache, get("/a")).await;
    settled().await;
    assert_eq!(origin.count(), 1);
    let origin = numbered(&gate, "max-age=100");
    let (cache, hand) = with_rules(origin.clone(), builder().refresh_ahead(0.8).build());
    send(&cache, get("/a")).await;
    hand.advance(90);
    send(&cache, request("GET", "/a", &[("cache-control", "no-store")])).await;
    settled().await;
    assert_eq!(origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_origin_is_not_waited_for_where_a_stale_response_may_be_served() {
    let gate = Arc::new(Semaphore::new(1));
    let origin = numbered(&gate, "max-age=1, stale-if-error=60");
    let (cache, hand) = with_rules(origin.clone(), builder().stale_if_slow(Duration::from_millis(300)).build());
    send(&cache, get("/a")).await;
    hand.advance(2);
    // The one whose fetch it is, and one that waits for it.
    let both = start(&cache, [get("/a"), get("/a")]);
    for answer in timeout(Duration::from_millis(301), finish(both)).await.expect("no later") {
        let answer = answer.expect("an answer");
        assert_eq!((answer.text(), answer.outcome.reason, answer.outcome.stale), ("one", Reason::Slow, true));
        assert!(header(&answer.response, "cache-status").contains("fwd=stale"), "{:?}", answer.response);
    }
    // The origin is known to be slow now.
    let third = timeout(Duration::from_millis(1), send(&cache, get("/a"))).await.expect("at once");
    assert_eq!((third.outcome.reason, origin.count()), (Reason::Slow, 2));
    gate.add_permits(1);
    settled().await;
    assert_eq!(send(&cache, get("/a")).await.text(), "two", "the fetch went on, and its answer is stored");
    assert_eq!(origin.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn others_wait_for_an_origin_that_an_unkeyed_field_may_have_made_slow() {
    let gate = Arc::new(Semaphore::new(1));
    let origin = numbered(&gate, "max-age=1, stale-if-error=60");
    let (cache, hand) = with_rules(origin.clone(), builder().stale_if_slow(Duration::from_millis(300)).build());
    send(&cache, get("/a")).await;
    hand.advance(2);
    let steered = send(&cache, request("GET", "/a", &[("x-original-url", "/report")])).await;
    assert_eq!((steered.text(), steered.outcome.reason), ("one", Reason::Slow));
    gate.add_permits(2);
    assert_eq!(send(&cache, get("/a")).await.text(), "three");
}

#[tokio::test(start_paused = true)]
async fn a_slow_origin_is_waited_for_where_nothing_stale_may_be_served() {
    let gate = Arc::new(Semaphore::new(1));
    let origin = numbered(&gate, "max-age=1, must-revalidate, stale-if-error=60");
    let (cache, hand) = with_rules(origin.clone(), builder().stale_if_slow(Duration::from_millis(300)).build());
    send(&cache, get("/a")).await;
    hand.advance(2);
    for fields in [&[][..], &[("cache-control", "no-cache")]] {
        let waiting = start(&cache, [request("GET", "/a", fields)]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.add_permits(1);
        let answer = finish(waiting).await.remove(0).expect("an answer");
        assert_eq!(answer.outcome.reason.forward().as_str(), if fields.is_empty() { "stale" } else { "request" });
        assert_ne!(answer.outcome.reason, Reason::Slow);
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_inner_service_is_full_a_stale_response_is_served_and_nothing_is_fetched() {
    let has_place = Arc::new(AtomicBool::new(true));
    let place = Arc::clone(&has_place);
    let pressure = Pressure::with_places(move || place.load(Ordering::SeqCst));
    let origin = numbered(&Arc::new(Semaphore::new(4)), "max-age=1, stale-if-error=60");
    let (cache, hand) = with_rules(origin.clone(), builder().stale_if_overloaded(true).pressure(pressure).build());
    send(&cache, get("/a")).await;
    hand.advance(2);
    has_place.store(false, Ordering::SeqCst);
    let answer = send(&cache, get("/a")).await;
    assert_eq!((answer.text(), answer.outcome.reason, answer.outcome.stale), ("one", Reason::Overloaded, true));
    assert!(header(&answer.response, "cache-status").contains("fwd=stale"), "{:?}", answer.response);
    settled().await;
    assert_eq!(origin.count(), 1, "no fetch waits for a place");
    // A client that takes nothing stale waits with the others, and so does one for which nothing is stored.
    assert_eq!(send(&cache, request("GET", "/a", &[("cache-control", "no-cache")])).await.text(), "two");
    assert_eq!(send(&cache, get("/b")).await.text(), "three");
    hand.advance(2);
    has_place.store(true, Ordering::SeqCst);
    assert_eq!(send(&cache, get("/a")).await.text(), "four", "the first request that finds a place fetches");
}

#[tokio::test]
async fn what_is_stored_together_does_not_expire_together() {
    let origin = Origin::new(|_| response(200, "x"));
    let (cache, _) = with_rules(origin, builder().ttl(Duration::from_secs(1000)).ttl_jitter(0.1).build());
    let mut lifetimes = std::collections::BTreeSet::new();
    for n in 0..50 {
        send(&cache, get(&format!("/{n}"))).await;
        let answer = send(&cache, get(&format!("/{n}"))).await;
        let shown = header(&answer.response, "cache-control");
        lifetimes.insert(shown.strip_prefix("max-age=").and_then(|seconds| seconds.parse::<u32>().ok()).expect("a lifetime"));
    }
    assert!(lifetimes.len() > 20, "{lifetimes:?}");
    assert!(lifetimes.iter().all(|seconds| (900..=1000).contains(seconds)), "{lifetimes:?}");
}

/// Ten thousand responses that are stored in the same second. The origin answers when the test lets it, and counts the requests that it has at a time.
#[tokio::test]
async fn whatever_expires_at_once_the_origin_gets_so_many_requests_at_a_time_and_clients_wait_for_none() {
    const KEYS: usize = 10_000;
    const MAX: usize = 16;
    // Halfway for what is fetched ahead, and past the end of the others.
    for (rules, later) in [(builder().refresh_ahead(0.5), 60), (builder().stale_while_revalidate(Duration::from_secs(1000)), 101)] {
        let gate = Arc::new(Semaphore::new(KEYS));
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let origin = {
            let (gate, running, most) = (Arc::clone(&gate), Arc::clone(&running), Arc::clone(&most));
            Origin::waiting(move |_| {
                let (gate, running, most) = (Arc::clone(&gate), Arc::clone(&running), Arc::clone(&most));
                async move {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    gate.acquire().await.expect("open").forget();
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(response(200, "x").header("cache-control", "max-age=100").build())
                }
            })
        };
        let (cache, hand) = with_rules(origin.clone(), rules.build());
        cache.cache().limit_refreshes(MAX as u64);
        let targets: Vec<String> = (0..KEYS).map(|n| format!("/{n}")).collect();
        for target in &targets {
            send(&cache, get(target)).await;
        }
        most.store(0, Ordering::SeqCst);
        hand.advance(later);
        for target in &targets {
            assert_eq!(send(&cache, get(target)).await.x_cache(), "HIT", "nobody waits");
        }
        settled().await;
        assert_eq!((running.load(Ordering::SeqCst), origin.count()), (MAX, KEYS + MAX), "as many as may be are under way");
        // Those that found no room begin with their next use.
        for round in 2..=4 {
            gate.add_permits(MAX);
            settled().await;
            hand.advance(2);
            for target in &targets {
                assert_eq!(send(&cache, get(target)).await.x_cache(), "HIT");
            }
            settled().await;
            assert_eq!(origin.count(), KEYS + round * MAX);
        }
        assert_eq!(most.load(Ordering::SeqCst), MAX);
    }
}
