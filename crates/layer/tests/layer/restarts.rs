//! A tier that outlives the process: after a restart it is used as far as the log of invalidations can say what became old meanwhile.

use crate::common;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Origin, get, request, response, rules, send, start};
use larder_store::{AppliedBy, Epoch, Invalidation, InvalidationLog, InvalidationTarget, Ledger, Published, StoreFuture};
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheService, Tiers};
use tokio::sync::Semaphore;

use crate::tier_fake::{Calls, FakeTier};

/// A log beside the process, as in Redis.
#[derive(Debug)]
struct Log {
    state: Mutex<LogState>,
    is_away: AtomicBool,
    /// Whether what it cannot take outlives the process that says it.
    keeps: AtomicBool,
}

#[derive(Debug)]
struct LogState {
    epoch: Epoch,
    /// The number of the oldest entry that it has.
    first: u64,
    entries: Vec<Invalidation>,
    /// Of the process that follows it.
    ledger: Arc<Ledger>,
    /// Invalidations that are kept for the log while it is away.
    journal: Vec<Invalidation>,
}

impl LogState {
    fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    fn append(&mut self, invalidation: Invalidation) -> u64 {
        self.entries.push(invalidation);
        self.last()
    }
}

impl Log {
    fn new() -> Self {
        let state = LogState { epoch: Epoch::of("one"), first: 1, entries: vec![], ledger: Arc::default(), journal: vec![] };
        Self { state: Mutex::new(state), is_away: AtomicBool::new(false), keeps: AtomicBool::new(false) }
    }

    /// Another replica purges.
    fn purge(&self, path: &str) {
        self.state.lock().unwrap().append(purge_of(path));
    }

    fn last(&self) -> Invalidation {
        self.state.lock().unwrap().entries.last().expect("an entry").clone()
    }

    /// It forgets all but the last entries.
    fn keep_last(&self, count: usize) {
        let mut state = self.state.lock().unwrap();
        let gone = state.entries.len() - count;
        state.entries.drain(..gone);
        state.first += gone as u64;
    }

    /// It loses everything, and another one with as many entries stands in its place.
    fn replace(&self) {
        let mut state = self.state.lock().unwrap();
        state.epoch = Epoch::of("two");
        state.entries.fill(purge_of("/x"));
    }

    /// A process begins to follow it, and does so to its end unless it is away.
    fn follow(&self, ledger: &Arc<Ledger>) {
        let mut state = self.state.lock().unwrap();
        state.ledger = Arc::clone(ledger);
        if self.is_away.load(Ordering::SeqCst) {
            return;
        }
        for invalidation in std::mem::take(&mut state.journal) {
            state.append(invalidation);
        }
        ledger.start_over_at(state.first - 1);
        (state.first..).zip(&state.entries).for_each(|(number, invalidation)| ledger.apply_logged(number, invalidation));
        ledger.enter(state.epoch);
    }
}

impl InvalidationLog for Log {
    fn publish(&self, invalidation: Invalidation) -> StoreFuture<'_, Published> {
        let mut state = self.state.lock().unwrap();
        let published = if self.is_away.load(Ordering::SeqCst) {
            if self.outlives_process() {
                state.journal.push(invalidation);
            }
            Published::Kept
        } else {
            let number = state.append(invalidation.clone());
            state.ledger.apply_logged(number, &invalidation);
            Published::Logged(number)
        };
        Box::pin(std::future::ready(published))
    }

    fn outlives_process(&self) -> bool {
        self.keeps.load(Ordering::SeqCst)
    }

    fn applied_by(&self, _: u64) -> StoreFuture<'_, Option<AppliedBy>> {
        Box::pin(std::future::ready(None))
    }
}

fn purge_of(path: &str) -> Invalidation {
    Invalidation::hard([InvalidationTarget::Url(format!("http://example.com{path}"))])
}

/// A disk, a log and an origin, which outlive the processes between them.
struct World {
    disk: Arc<FakeTier>,
    log: Arc<Log>,
    origin: Origin,
    /// Processes so far: each begins a second after the one before, so that its fetches are later ones.
    started: AtomicU64,
}

impl World {
    fn new(log: Log) -> Self {
        let count = AtomicUsize::new(0);
        let origin = Origin::new(move |_| {
            let body = ["0", "1", "2", "3", "4", "5"][count.fetch_add(1, Ordering::SeqCst)];
            response(200, body).header("cache-control", "max-age=60")
        });
        Self { disk: Arc::new(FakeTier::new("disk", &Calls::default())), log: Arc::new(log), origin, started: AtomicU64::new(0) }
    }

    /// A process with an empty memory and an empty ledger, which follows the log.
    fn start(&self) -> CacheService<Origin> {
        self.start_with(|ledger, tiers| {
            self.log.follow(ledger);
            tiers.with_log(Arc::clone(&self.log) as _)
        })
    }

    fn start_with(&self, log: impl FnOnce(&Arc<Ledger>, Tiers) -> Tiers) -> CacheService<Origin> {
        let ledger = Arc::<Ledger>::default();
        self.disk.open(&ledger);
        let tiers = log(&ledger, Tiers::new().then(Arc::clone(&self.disk) as _));
        let (clock, hand) = Clock::manual(common::START);
        hand.advance(self.started.fetch_add(1, Ordering::SeqCst));
        let cache = Cache::builder(64 << 20).max_object(1 << 20).clock(clock).ledger(ledger).tiers(tiers).build();
        CacheService::new(self.origin.clone(), cache, Arc::new(rules()))
    }

    async fn with_a_and_b() -> Self {
        let world = Self::new(Log::new());
        world.log.purge("/before");
        let process = world.start();
        assert_eq!(text(&process, "/a").await + &text(&process, "/b").await, "01");
        world
    }
}

async fn text(process: &CacheService<Origin>, path: &str) -> String {
    send(process, get(path)).await.text().to_owned()
}

#[tokio::test]
async fn a_response_on_disk_is_served_after_a_restart() {
    let world = World::with_a_and_b().await;
    let process = world.start();
    assert_eq!(text(&process, "/a").await + &text(&process, "/b").await, "01");
    assert_eq!(world.origin.count(), 2);
}

#[tokio::test]
async fn a_purge_while_the_process_lived_holds_after_a_restart() {
    let world = World::with_a_and_b().await;
    let process = world.start();
    process.cache().invalidate(&purge_of("/a")).await;
    let process = world.start();
    assert_eq!(text(&process, "/a").await + &text(&process, "/b").await, "21");
    let process = world.start();
    assert_eq!(text(&process, "/a").await, "2", "fetched after the purge");
}

#[tokio::test]
async fn a_purge_while_no_process_lived_holds_after_a_restart() {
    let world = World::with_a_and_b().await;
    world.log.purge("/a");
    let process = world.start();
    assert_eq!(text(&process, "/a").await + &text(&process, "/b").await, "21");
}

#[tokio::test]
async fn nothing_from_before_a_restart_is_used_until_the_log_was_read() {
    let world = World::with_a_and_b().await;
    world.log.purge("/a");
    world.log.is_away.store(true, Ordering::SeqCst);
    let process = world.start();
    assert_eq!(text(&process, "/a").await + &text(&process, "/b").await, "23");
    world.log.is_away.store(false, Ordering::SeqCst);
    // The response fetched meanwhile had no position in the log, and the one it replaced does not come back.
    assert_eq!(text(&world.start(), "/b").await, "4");
}

#[tokio::test]
async fn another_log_vouches_for_nothing_from_before() {
    let world = World::with_a_and_b().await;
    world.log.purge("/a");
    world.log.replace();
    let process = world.start();
    assert_eq!(text(&process, "/a").await + &text(&process, "/b").await, "23");
    let process = world.start();
    assert_eq!(text(&process, "/a").await + &text(&process, "/b").await, "23", "stored in the new epoch");
}

#[tokio::test]
async fn nothing_older_than_the_log_reaches_back_is_used() {
    let world = World::with_a_and_b().await;
    world.log.purge("/a");
    world.log.purge("/x");
    world.log.keep_last(1);
    let process = world.start();
    assert_eq!(text(&process, "/b").await, "2", "what the log had before its oldest entry is not known");
    world.log.purge("/y");
    world.log.keep_last(1);
    assert_eq!(text(&world.start(), "/b").await, "2", "the log has everything since");
}

#[tokio::test]
async fn a_purge_that_is_forgotten_with_the_process_takes_the_disk_with_it() {
    let world = World::with_a_and_b().await;
    let process = world.start();
    world.log.is_away.store(true, Ordering::SeqCst);
    process.cache().invalidate(&purge_of("/a")).await;
    world.log.is_away.store(false, Ordering::SeqCst);
    let process = world.start();
    assert_eq!(text(&process, "/a").await + &text(&process, "/b").await, "23", "which of the two was purged is not known any more");
}

#[tokio::test]
async fn a_purge_that_is_forgotten_before_the_log_was_read_takes_the_disk_with_it() {
    let world = World::with_a_and_b().await;
    world.log.is_away.store(true, Ordering::SeqCst);
    let process = world.start();
    process.cache().invalidate(&purge_of("/a")).await;
    world.log.is_away.store(false, Ordering::SeqCst);
    assert_eq!(text(&world.start(), "/a").await, "2");
}

#[tokio::test]
async fn a_purge_that_a_journal_keeps_costs_nothing_else() {
    let world = World::with_a_and_b().await;
    let process = world.start();
    world.log.keeps.store(true, Ordering::SeqCst);
    world.log.is_away.store(true, Ordering::SeqCst);
    process.cache().invalidate(&purge_of("/a")).await;
    world.log.is_away.store(false, Ordering::SeqCst);
    let process = world.start();
    assert_eq!(text(&process, "/a").await + &text(&process, "/b").await, "21");
}

#[tokio::test]
async fn without_a_log_nothing_outlives_the_process() {
    let world = World::new(Log::new());
    let start = || world.start_with(|_, tiers| tiers);
    assert_eq!(text(&start(), "/a").await + &text(&start(), "/a").await, "01");
}

#[tokio::test]
async fn a_write_that_its_client_has_left_is_in_the_log_before_the_process_ends() {
    let gate = Arc::new(Semaphore::new(0));
    let mut world = World::new(Log::new());
    world.origin = slow_writes(&gate);
    world.log.purge("/before");
    let process = world.start();
    text(&process, "/a").await;
    drop(start(&process, [request("POST", "/a", &[])]));
    let ending = tokio::spawn({
        let cache = Arc::clone(process.cache());
        async move { cache.finish_writes(Duration::MAX).await }
    });
    tokio::task::yield_now().await;
    assert!(!ending.is_finished(), "it waits for the answer");
    gate.add_permits(1);
    assert_eq!(ending.await.expect("it ended"), 0);
    assert_eq!(world.log.last(), purge_of("/a"));
}

#[tokio::test]
async fn a_write_without_an_answer_at_the_end_of_the_process_may_have_taken_place() {
    let gate = Arc::new(Semaphore::new(0));
    let mut world = World::new(Log::new());
    world.origin = slow_writes(&gate);
    world.log.purge("/before");
    let process = world.start();
    assert_eq!(text(&process, "/a").await, "read");
    drop(start(&process, [request("POST", "/a", &[])]));
    tokio::task::yield_now().await;
    assert_eq!(world.log.last(), purge_of("/before"));
    assert_eq!(process.cache().finish_writes(Duration::ZERO).await, 1);
    assert_eq!(world.log.last(), purge_of("/a"));
    let requests = world.origin.count();
    text(&world.start(), "/a").await;
    assert_eq!(world.origin.count(), requests + 1, "nothing from before it is served after a restart");
}

#[tokio::test]
async fn nothing_is_waited_for_where_no_write_is_open() {
    let world = World::with_a_and_b().await;
    let process = world.start();
    process.cache().invalidate(&purge_of("/a")).await;
    assert_eq!(process.cache().finish_writes(Duration::MAX).await, 0);
}

/// Reads are answered at once, each write takes a permit.
fn slow_writes(gate: &Arc<Semaphore>) -> Origin {
    let gate = Arc::clone(gate);
    Origin::waiting(move |request| {
        let gate = Arc::clone(&gate);
        async move {
            if request.method() == "POST" {
                gate.acquire().await.expect("open").forget();
                return Ok(response(204, "").build());
            }
            Ok(response(200, "read").header("cache-control", "max-age=60").build())
        }
    })
}
