//! Disks that do not work: no request notices more than a miss.

use larder_store::BreakerState;

use super::*;
use crate::engine::{Engine, Shape};
use crate::tier::queue::{Next, WriteTask};
use crate::tier::{Tier, hash_of};
use crate::volume::{Fault, Faulty};

/// A tier over files in memory, without its thread.
fn over_faulty(timeout: Duration) -> (Arc<Tier>, Arc<Faulty>) {
    let options = DiskOptions { timeout, breaker_failures: 2, admission: Admission::All, ..DiskOptions::new("/nowhere".into(), 0) };
    let ledger = Arc::<Ledger>::default();
    ledger.enter(crate::fixtures::epoch());
    let tier = Arc::new(Tier::new(options, CLOCKS, ledger, None));
    let volume = Arc::new(Faulty::new(1 << 20));
    let engine = Engine::open(Arc::clone(&volume) as _, Shape { segment_size: 1 << 20, segments: 4 }, 1_000).unwrap();
    engine.restore(1_000);
    tier.set_engine(Some(engine));
    (tier, volume)
}

/// Before it is known what is on the disk, an older response is not seen there.
#[tokio::test]
async fn a_response_that_is_fetched_while_the_disk_is_restored_is_not_replaced_by_an_older_one() {
    let (tier, volume) = over_faulty(LONG);
    put(&tier, 1);
    let options = DiskOptions { admission: Admission::SecondHit, ..tier.options.clone() };
    let tier = Arc::new(Tier::new(options, CLOCKS, Arc::clone(&tier.ledger), None));
    let engine = Engine::open(Arc::new(volume.after_crash()), Shape { segment_size: 1 << 20, segments: 4 }, 1_000).unwrap();
    tier.set_engine(Some(Arc::clone(&engine)));
    let hash = hash_of(engine.seed(), &key("/x"), None);
    if let Some(write) = tier.admit(write_of_at("/x", &tier, 2), hash) {
        tier.work(&engine, WriteTask::Commit(write));
    }
    engine.restore(1_000);
    assert!(matches!(load(&tier).await, Ok(Loaded::Response(stored)) if stored.fetch == 2));
}

async fn load(tier: &Arc<Tier>) -> Result<Loaded, RemoteError> {
    let request = HeaderMap::new();
    tier.load(LoadRequest { key: &key("/x"), request: &request, spec: None, newer_than: 0, lease: None, awaited: None }).await
}

fn put(tier: &Tier, fetch: u64) {
    put_at("/x", tier, fetch);
}

fn put_at(path: &str, tier: &Tier, fetch: u64) {
    let engine = tier.engine().expect("open");
    tier.work(&engine, WriteTask::Commit(write_of_at(path, tier, fetch)));
}

fn write_of_at(path: &str, tier: &Tier, fetch: u64) -> Write {
    let mut response = response(path, 100, fetch, None);
    response.position = larder_store::Position::default();
    Write { log_position: tier.ledger.log_position(response.position), ..write_of(response) }
}

#[tokio::test]
async fn a_disk_that_fails_is_left_alone_and_used_again_once_it_works() {
    let (tier, volume) = over_faulty(LONG);
    put(&tier, 1);
    volume.fail_reads();
    assert_eq!(load(&tier).await.unwrap_err(), RemoteError::Connection);
    assert_eq!(load(&tier).await.unwrap_err(), RemoteError::Connection);
    assert_eq!(load(&tier).await.unwrap_err(), RemoteError::Open);
    assert!(tier.problem.lock().unwrap().is_some());
    volume.heal();
    tier.reading.close();
    assert!(matches!(load(&tier).await, Ok(Loaded::Response(_))));
    assert_eq!(*tier.problem.lock().unwrap(), None);
}

#[tokio::test]
async fn a_disk_that_hangs_is_a_miss_after_its_time() {
    let (tier, volume) = over_faulty(Duration::from_millis(1));
    put(&tier, 1);
    let held = volume.hang_reads();
    assert_eq!(load(&tier).await.unwrap_err(), RemoteError::Timeout);
    assert_eq!(load(&tier).await.unwrap_err(), RemoteError::Timeout);
    assert_eq!(load(&tier).await.unwrap_err(), RemoteError::Open);
    drop(held);
}

#[tokio::test]
async fn what_the_operating_system_has_in_memory_is_read_without_a_thread() {
    let (tier, _volume) = over_faulty(Duration::from_millis(1));
    let many = u32::try_from(crate::tier::MAX_READS).expect("few");
    let all = Arc::clone(&tier.reads).acquire_many_owned(many).await.expect("open");
    put(&tier, 1);
    assert_eq!(load(&tier).await.unwrap_err(), RemoteError::Timeout, "it was never read, and no thread is left");
    drop(all);
    let tier =
        Arc::new(Tier { options: DiskOptions { timeout: LONG, ..tier.options.clone() }, ..Arc::into_inner(tier).expect("no other") });
    assert!(matches!(load(&tier).await, Ok(Loaded::Response(_))));
    let _all = Arc::clone(&tier.reads).acquire_many_owned(many).await.expect("open");
    assert!(matches!(load(&tier).await, Ok(Loaded::Response(_))));
    assert_eq!(
        (tier.counters.failures.load(std::sync::atomic::Ordering::Relaxed), tier.reading.state((CLOCKS.monotonic)())),
        (0, BreakerState::Closed)
    );
}

#[tokio::test]
async fn a_purge_does_not_wait_for_a_disk_that_hangs_and_is_noted_once_it_goes_on() {
    let (tier, volume) = over_faulty(LONG);
    put(&tier, 1);
    let held = volume.hang_reads();
    tier.forget(None).await;
    assert!(tier.must_forget.load(std::sync::atomic::Ordering::Relaxed));
    drop(held);
    tier.forget_at_last(&tier.engine().expect("open"));
    let next = Engine::open(Arc::new(volume.after_crash()), Shape { segment_size: 1 << 20, segments: 4 }, 1_000).unwrap();
    next.restore(1_000);
    assert_eq!((next.indexed().0, tier.must_forget.load(std::sync::atomic::Ordering::Relaxed)), (0, false));
}

/// A response that waits behind the write that hangs is written into a segment that no mark covers by its sequence.
#[tokio::test]
async fn a_purge_that_came_while_the_disk_hung_holds_for_the_writes_that_waited_too() {
    let (tier, volume) = over_faulty(LONG);
    let engine = tier.engine().expect("open");
    let waiting = write_of_at("/x", &tier, 1);
    let held = volume.hang_reads();
    tier.forget(tier.ledger.log_position(tier.ledger.position())).await;
    drop(held);
    tier.forget_at_last(&engine);
    tier.work(&engine, WriteTask::Commit(waiting));
    assert_eq!(later(&tier, &volume).await, None);
}

#[tokio::test]
async fn a_purge_that_the_disk_refuses_is_noted_once_it_works_again() {
    let (tier, volume) = over_faulty(LONG);
    put(&tier, 1);
    volume.make_read_only();
    tier.forget(None).await;
    let engine = tier.engine().expect("open");
    tier.forget_at_last(&engine);
    volume.heal();
    tier.forget_at_last(&engine);
    let next = Engine::open(Arc::new(volume.after_crash()), Shape { segment_size: 1 << 20, segments: 4 }, 1_000).unwrap();
    next.restore(1_000);
    assert_eq!(next.indexed().0, 0);
}

#[tokio::test]
async fn a_full_disk_costs_the_writes_and_no_look_up() {
    let (tier, volume) = over_faulty(LONG);
    put(&tier, 1);
    volume.fail_at(0, Fault::Full);
    (2..5).for_each(|fetch| put_at("/y", &tier, fetch));
    let now = (CLOCKS.monotonic)();
    assert_eq!((tier.writing.state(now), tier.reading.state(now)), (BreakerState::Open, BreakerState::Closed));
    assert!(matches!(load(&tier).await, Ok(Loaded::Response(stored)) if stored.fetch == 1));
    volume.heal();
    tier.writing.close();
    put(&tier, 6);
    assert!(matches!(load(&tier).await, Ok(Loaded::Response(stored)) if stored.fetch == 6));
}

#[tokio::test]
async fn a_write_that_is_given_up_leaves_no_older_response_in_its_place() {
    let (tier, volume) = over_faulty(LONG);
    put(&tier, 1);
    volume.fail_at(0, Fault::Broken);
    put(&tier, 2);
    assert!(matches!(load(&tier).await, Ok(Loaded::Nothing(None))));
    put(&tier, 3);
    tier.queue.close();
    tier.push(WriteTask::Commit(write_of(response("/x", 100, 4, None))));
    assert!(matches!(load(&tier).await, Ok(Loaded::Nothing(None))));
    assert_eq!(tier.counters.dropped.load(std::sync::atomic::Ordering::Relaxed), 2);
}

/// What a later process finds of `/x` on these files.
async fn later(tier: &Tier, volume: &Faulty) -> Option<u64> {
    let next = Arc::new(Tier::new(tier.options.clone(), CLOCKS, Arc::clone(&tier.ledger), None));
    let engine = Engine::open(Arc::new(volume.after_crash()), Shape { segment_size: 1 << 20, segments: 4 }, 1_000).unwrap();
    engine.restore(1_000);
    next.set_engine(Some(engine));
    match load(&next).await {
        Ok(Loaded::Response(stored)) => Some(stored.fetch),
        _ => None,
    }
}

fn removal(tier: &Tier, fetch: u64) -> WriteTask {
    WriteTask::Remove { hash: hash_of(tier.engine().expect("open").seed(), &key("/x"), None), fetch }
}

#[tokio::test]
async fn a_removal_that_the_disk_refuses_is_written_once_it_works_again() {
    let (tier, volume) = over_faulty(LONG);
    let engine = tier.engine().expect("open");
    put(&tier, 1);
    volume.make_read_only();
    tier.work(&engine, removal(&tier, 1));
    tier.remove_due(&engine);
    assert!(matches!(load(&tier).await, Ok(Loaded::Nothing(None))));
    volume.heal();
    tier.remove_due(&engine);
    assert_eq!(later(&tier, &volume).await, Some(1), "the disk is left alone for a while");
    tier.writing.close();
    tier.remove_due(&engine);
    assert_eq!(later(&tier, &volume).await, None);
    put(&tier, 2);
    assert_eq!(later(&tier, &volume).await, Some(2));
}

#[tokio::test]
async fn a_removal_without_a_place_in_the_queue_holds_for_the_write_that_waits_there_and_after_a_restart() {
    let (tier, volume) = over_faulty(LONG);
    let engine = tier.engine().expect("open");
    put(&tier, 1);
    tier.push(WriteTask::Commit(write_of_at("/x", &tier, 2)));
    while tier.queue.push(WriteTask::Remove { hash: 1, fetch: 1 }).is_ok() {}
    tier.push(removal(&tier, 2));
    let Next::WriteTask(waiting) = tier.queue.next(Duration::ZERO) else { panic!("it waits") };
    tier.work(&engine, waiting);
    assert!(matches!(load(&tier).await, Ok(Loaded::Nothing(None))));
    tier.remove_at_last(&engine).unwrap();
    assert_eq!(later(&tier, &volume).await, None);
}

#[tokio::test]
async fn a_write_that_is_given_up_leaves_no_older_response_for_the_next_process_either() {
    let (tier, volume) = over_faulty(LONG);
    let engine = tier.engine().expect("open");
    put(&tier, 1);
    tier.push(WriteTask::Commit(write_of_at("/x", &tier, 2)));
    tier.queue.clear().iter().for_each(|job| tier.give_up(job));
    tier.remove_at_last(&engine).unwrap();
    assert_eq!(later(&tier, &volume).await, None);
}

#[tokio::test]
async fn where_removals_are_not_taken_at_the_end_nothing_is_used_any_more() {
    let (tier, volume) = over_faulty(LONG);
    let engine = tier.engine().expect("open");
    put(&tier, 1);
    tier.lose(&engine, engine.seed(), 1);
    volume.fail_at(0, Fault::Broken);
    tier.remove_at_last(&engine).unwrap();
    assert_eq!(later(&tier, &volume).await, None);
}

#[tokio::test]
async fn damage_is_a_miss_and_does_not_open_the_breaker() {
    let (tier, volume) = over_faulty(LONG);
    for fetch in 1..10 {
        put(&tier, fetch);
        let end = volume.segment(0).iter().rposition(|byte| *byte != 0).expect("it was written");
        volume.flip(0, end, 1);
        assert_eq!(load(&tier).await.unwrap_err(), RemoteError::Damaged);
        assert!(matches!(load(&tier).await, Ok(Loaded::Nothing(None))));
    }
    assert_eq!(tier.reading.state((CLOCKS.monotonic)()), BreakerState::Closed);
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    std::fs::write(&path, "in its way").unwrap();
    let process = Process::begin(options(&folder));
    process.put("/x", 1, 1).await;
    assert_eq!(process.get("/x").await, None);
    std::fs::remove_file(&path).unwrap();
    assert!(process.store.usable(LONG).await);
    process.put("/x", 1, 2).await;
    assert_eq!((process.get("/x").await, process.store.problem()), (Some(2), None));
}

#[tokio::test]
async fn a_directory_that_vanishes_costs_nothing_but_what_was_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    process.put("/x", 1, 1).await;
    std::fs::remove_dir_all(folder.path().join("cache")).unwrap();
    // The file that is open is still there; what comes after it fails, and is counted.
    assert_eq!(process.get("/x").await, Some(1));
    process.put("/x", 1, 2).await;
    process.purge("/x").await;
    assert_eq!(process.get("/x").await, None);
    process.end().await;
    let process = Process::start(&folder).await;
    assert_eq!(process.get("/x").await, None);
}
