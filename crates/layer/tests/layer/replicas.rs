//! Invalidations on their way to other replicas: a log that does what the test says, and a tier that holds nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use larder_store::{
    AppliedBy, Invalidation, InvalidationLog, InvalidationTarget, Ledger, LoadRequest, Loaded, Published, RemoteError, RemoteStore,
    StoreFuture, StoredResponse, Write,
};
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheService, Tiers};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::common::{Origin, START, get, request, response, rules, send};

#[derive(Debug)]
struct Nothing;

impl RemoteStore for Nothing {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn load<'a>(&'a self, _: LoadRequest<'a>) -> StoreFuture<'a, Result<Loaded, RemoteError>> {
        Box::pin(std::future::ready(Ok(Loaded::Nothing(None))))
    }

    fn commit(&self, _: Write) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn freshen(&self, _: Write) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn remove(&self, _: &StoredResponse) {}
}

/// Takes invalidations once its gate is open, reads each back at once, and has replicas of which one more has read the log each time that
/// is asked.
#[derive(Debug)]
struct Log {
    gate: Semaphore,
    ledger: Arc<Ledger>,
    published: Mutex<Vec<Invalidation>>,
    replicas: usize,
    looks: AtomicUsize,
}

impl InvalidationLog for Log {
    fn publish(&self, invalidation: Invalidation) -> StoreFuture<'_, Published> {
        Box::pin(async move {
            self.gate.acquire().await.expect("open").forget();
            let mut published = self.published.lock().unwrap();
            published.push(invalidation.clone());
            self.ledger.apply_logged(published.len() as u64, &invalidation);
            Published::Logged(published.len() as u64)
        })
    }

    fn applied_by(&self, _: u64) -> StoreFuture<'_, Option<AppliedBy>> {
        let applied = self.looks.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(std::future::ready(Some(AppliedBy { applied: applied.min(self.replicas), replicas: self.replicas, unknown: 0 })))
    }
}

/// A cache before an origin whose answers to POST are stored, and its log, which takes this many invalidations.
fn shared(origin: Origin, replicas: usize, takes: usize) -> (CacheService<Origin>, Arc<Log>) {
    let (clock, _) = Clock::manual(START);
    let ledger = Arc::<Ledger>::default();
    let (published, looks) = (Mutex::default(), AtomicUsize::new(0));
    let log = Arc::new(Log { gate: Semaphore::new(takes), ledger: Arc::clone(&ledger), published, replicas, looks });
    let tiers = Tiers::new().then(Arc::new(Nothing)).with_log(Arc::clone(&log) as _);
    let cache = Cache::builder(64 << 20).max_object(1 << 20).clock(clock).ledger(ledger).tiers(tiers).build();
    (CacheService::new(origin, cache, Arc::new(rules())), log)
}

fn origin() -> Origin {
    Origin::new(|request| match request.method().as_str() {
        "POST" => response(200, "made").header("cache-control", "max-age=60").header("content-location", "/a"),
        "PUT" => response(204, ""),
        _ => response(200, "read").header("cache-control", "max-age=60"),
    })
}

async fn stored(cache: &CacheService<Origin>) {
    send(cache, get("/a")).await;
    assert_eq!(send(cache, get("/a")).await.x_cache(), "HIT");
}

#[tokio::test]
async fn a_purge_holds_here_before_the_log_has_it_and_is_published_even_if_no_caller_waits() {
    let (cache, log) = shared(origin(), 1, 0);
    stored(&cache).await;
    let target = InvalidationTarget::Prefix("/a".to_owned());
    let purge = Invalidation::hard([target]);
    let mut purging = Box::pin(cache.cache().invalidate(&purge));
    assert!(purging.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(send(&cache, get("/a")).await.x_cache(), "MISS");
    drop(purging);
    log.gate.add_permits(1);
    while log.published.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*log.published.lock().unwrap(), [purge]);
}

#[tokio::test]
async fn who_watches_purges_is_told_once_the_log_has_one_so_that_what_is_fetched_then_stays() {
    let (cache, log) = shared(origin(), 1, 0);
    stored(&cache).await;
    let mut purges = cache.cache().watch_purges();
    let purge = Invalidation::path("/a");
    let mut purging = Box::pin(cache.cache().invalidate(&purge));
    assert!(purging.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(!purges.has_changed().expect("the cache is there"), "the log's own entry would make it old again");
    log.gate.add_permits(1);
    purging.await;
    assert!(purges.has_changed().expect("the cache is there"));
    purges.mark_unchanged();
    stored(&cache).await;
    // Nobody waits for the next one.
    let mut purging = Box::pin(cache.cache().invalidate(&purge));
    assert!(purging.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(purging);
    assert!(purges.has_changed().expect("the cache is there"));
}

/// Keeps invalidations, and has read all of them back once its gate is open.
#[derive(Debug)]
struct Late(Semaphore);

impl InvalidationLog for Late {
    fn publish(&self, _: Invalidation) -> StoreFuture<'_, Published> {
        Box::pin(std::future::ready(Published::Kept))
    }

    fn read_back(&self) -> Option<StoreFuture<'_, ()>> {
        (self.0.available_permits() == 0).then(|| Box::pin(async { drop(self.0.acquire().await.expect("open")) }) as _)
    }

    fn applied_by(&self, _: u64) -> StoreFuture<'_, Option<AppliedBy>> {
        Box::pin(std::future::ready(None))
    }
}

#[tokio::test]
async fn who_watches_purges_is_told_again_once_what_was_kept_is_read_back() {
    let log = Arc::new(Late(Semaphore::new(0)));
    let cache = Cache::builder(64 << 20).tiers(Tiers::new().then(Arc::new(Nothing)).with_log(Arc::clone(&log) as _)).build();
    let mut purges = cache.watch_purges();
    for received in [false, true] {
        if received {
            cache.invalidate_received(&Invalidation::path("/a"), vec![7]).await;
        } else {
            cache.invalidate(&Invalidation::path("/a")).await;
        }
        assert!(purges.has_changed().expect("the cache is there"));
        purges.mark_unchanged();
    }
    tokio::task::yield_now().await;
    assert!(!purges.has_changed().expect("the cache is there"));
    log.0.add_permits(1);
    purges.changed().await.expect("the log has both");
    cache.invalidate(&Invalidation::path("/a")).await;
    purges.changed().await.expect("the log has it");
    tokio::task::yield_now().await;
    assert!(!purges.has_changed().expect("the cache is there"), "there was nothing to wait for");
}

#[tokio::test]
async fn rfc9110_9_3_3_an_answer_to_a_post_outlives_its_own_invalidation_in_the_log_and_no_other() {
    let (cache, log) = shared(origin(), 1, 1);
    let written = send(&cache, request("POST", "/a", &[])).await;
    assert_eq!((written.text(), log.published.lock().unwrap().len()), ("made", 1));
    let read = send(&cache, get("/a")).await;
    assert_eq!((read.x_cache().as_str(), read.text()), ("HIT", "made"));
    // While the log takes the next one, somebody purges the same.
    let posts = crate::common::start(&cache, [request("POST", "/a", &[])]);
    let overtaking = async {
        while send(&cache, request("GET", "/a", &[("cache-control", "only-if-cached")])).await.x_cache() == "HIT" {
            tokio::task::yield_now().await;
        }
        log.ledger.apply(&Invalidation::hard([InvalidationTarget::All]), START);
        log.gate.add_permits(1);
    };
    let (mut posts, ()) = futures_util::future::join(crate::common::finish(posts), overtaking).await;
    assert_eq!(posts.remove(0).expect("an answer").text(), "made");
    assert_eq!(send(&cache, get("/a")).await.text(), "read");
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_for_the_other_replicas_where_that_is_asked_for() {
    let (cache, log) = shared(origin(), 3, 9);
    send(&cache, request("PUT", "/a", &[])).await;
    assert_eq!(log.looks.load(Ordering::SeqCst), 0, "not by default");
    cache.cache().wait_for_replicas(Duration::from_secs(1));
    let all = timeout(Duration::from_millis(999), send(&cache, request("PUT", "/a", &[])));
    assert!(all.await.is_ok(), "until all three have it, and no longer");
    assert_eq!(log.looks.load(Ordering::SeqCst), 3);
    send(&cache, request("POST", "/a", &[])).await;
    assert_eq!(log.looks.load(Ordering::SeqCst), 4, "an answer that is stored waits too, and all have it already");
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_no_longer_for_replicas_than_it_may() {
    let (cache, log) = shared(origin(), usize::MAX, 1);
    cache.cache().wait_for_replicas(Duration::from_millis(50));
    let written = timeout(Duration::from_millis(51), send(&cache, request("PUT", "/a", &[])));
    assert!(written.await.is_ok());
    assert!(log.looks.load(Ordering::SeqCst) > 1);
}
