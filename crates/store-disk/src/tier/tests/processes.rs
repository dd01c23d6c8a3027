//! One process after another, and two at a time.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

#[tokio::test]
async fn what_one_process_has_stored_the_next_one_finds() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    process.put("/short", 10, 1).await;
    process.put("/long", 3 * SEGMENT, 2).await;
    process.end().await;
    let process = Process::start(&folder).await;
    assert_eq!((process.get("/short").await, process.get("/long").await), (Some(1), Some(2)));
}

/// `LARDER_ENTRIES=1000000 cargo nextest run -p larder-disk --profile long --no-capture restart_over_many` says how long it takes; of an optimised build,
/// `cargo bench -p larder-benches --bench disk_restart`.
#[tokio::test]
async fn a_restart_over_many_entries_finds_all_of_them() {
    let count = std::env::var("LARDER_ENTRIES").ok().and_then(|count| count.parse().ok()).unwrap_or(5_000_u64);
    let folder = tempfile::tempdir().unwrap();
    let options = || DiskOptions { capacity: 2 << 30, ..options(&folder) };
    let process = Process::with(options()).await;
    for number in 0..count {
        while process.store.stats().queued > 3_000 {
            process.written().await;
        }
        process.store.commit(process.write(&format!("/{number}"), 16, number + 1, None)).await;
    }
    process.end().await;
    let began = (CLOCKS.monotonic)();
    let process = Process::begin(options());
    let last = format!("/{}", count - 1);
    while process.get(&last).await.is_none() {
        tokio::task::yield_now().await;
    }
    let first = began.elapsed();
    assert!(process.store.usable(LONG).await);
    println!("{count} entries: first hit after {first:?}, all known after {:?}", began.elapsed());
    // Of two keys whose hashes agree in what the index has of them one is forgotten.
    assert!(process.store.stats().entries + count / 100_000 >= count);
    assert_eq!(process.get("/0").await, Some(1));
}

#[tokio::test]
async fn a_purge_holds_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    process.put("/a", 1, 1).await;
    process.put("/b", 1, 1).await;
    assert_eq!(process.purge("/a").await, Published::Logged(1));
    process.end().await;
    let process = Process::start(&folder).await;
    assert_eq!((process.get("/a").await, process.get("/b").await), (None, Some(1)));
    process.put("/a", 1, 2).await;
    process.end().await;
    let process = Process::start(&folder).await;
    assert_eq!((process.get("/a").await, process.get("/b").await), (Some(2), Some(1)), "stored after the purge");
}

#[tokio::test]
async fn a_fetch_that_began_before_a_purge_is_not_used_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder).await;
    let late = process.write("/a", 1, 1, None);
    process.purge("/a").await;
    process.store.commit(late).await;
    process.end().await;
    assert_eq!(Process::start(&folder).await.get("/a").await, None);
}

#[tokio::test]
async fn a_second_process_waits_for_the_directory_and_finds_everything_once_it_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder).await;
    first.put("/a", 1, 1).await;
    let second = Process::begin(options(&folder));
    assert_eq!(second.get("/a").await, None);
    second.put("/b", 1, 1).await;
    first.put("/c", 1, 1).await;
    first.purge("/a").await;
    first.end().await;
    assert!(second.store.usable(LONG).await);
    assert_eq!([second.get("/a").await, second.get("/b").await, second.get("/c").await], [None, None, Some(1)]);
    assert_eq!(second.store.problem(), None);
}

#[tokio::test]
async fn a_purge_of_a_process_that_waits_for_the_directory_holds() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder).await;
    first.put("/a", 1, 1).await;
    first.put("/b", 1, 1).await;
    first.purge("/x").await;
    let second = Process::begin(options(&folder));
    assert_eq!(second.purge("/a").await, Published::Kept);
    first.end().await;
    assert!(second.store.usable(LONG).await);
    assert_eq!((second.get("/a").await, second.get("/b").await), (None, Some(1)));
    second.end().await;
    let third = Process::start(&folder).await;
    assert_eq!((third.get("/a").await, third.get("/b").await), (None, Some(1)), "the log has the purge now");
}

#[tokio::test]
async fn a_purge_of_a_process_that_never_got_the_directory_takes_everything_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder).await;
    first.put("/a", 1, 1).await;
    let second = Process::begin(options(&folder));
    second.purge("/a").await;
    second.end().await;
    first.end().await;
    let third = Process::start(&folder).await;
    assert_eq!(third.get("/a").await, None);
    third.put("/a", 1, 2).await;
    assert_eq!(third.get("/a").await, Some(2), "{:?}", third.store.stats());
    third.end().await;
    assert_eq!(Process::start(&folder).await.get("/a").await, Some(2), "once");
}

#[tokio::test]
async fn a_process_that_hands_over_leaves_the_directory_while_it_ends_and_its_purges_to_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder).await;
    for path in ["/a", "/b", "/long"] {
        first.put(path, if path == "/long" { 3 * SEGMENT } else { 1 }, 1).await;
    }
    let Ok(Loaded::Arriving(mut under_way)) = first.load("/long", &HeaderMap::new()).await else { panic!("it arrives") };
    assert_eq!(first.store.hand_over(LONG).await, 0);
    assert_eq!((first.get("/a").await, first.store.begin_body_of("/x")), (None, false), "it goes on without the disk");
    let second = Process::begin(options(&folder));
    for segment in body(3 * SEGMENT).segments() {
        assert_eq!(under_way.chunks.next().await, Some(Ok(segment.clone())), "an answer under way is not broken off");
    }
    drop(under_way);
    assert!(second.store.usable(LONG).await);
    assert_eq!((second.get("/a").await, second.get("/b").await), (Some(1), Some(1)));
    assert_eq!(first.purge("/a").await, Published::Kept);
    second.store.tier.read_notes_now();
    assert_eq!((second.get("/a").await, second.get("/b").await), (None, Some(1)));
    assert_eq!(first.purge("/b").await, Published::Kept);
    second.end().await;
    first.end().await;
    let third = Process::start(&folder).await;
    assert_eq!((third.get("/a").await, third.get("/b").await), (None, None), "a note that nobody has read yet is read at the start");
}

#[tokio::test]
async fn what_a_process_removes_before_and_after_it_has_the_directory_is_removed_there() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder).await;
    for path in ["/a", "/b", "/c"] {
        first.put(path, 1, 1).await;
    }
    let second = Process::begin(options(&folder));
    second.store.remove(&response("/a", 1, 1, None));
    assert_eq!(first.store.hand_over(LONG).await, 0);
    assert!(second.store.usable(LONG).await);
    assert_eq!([second.get("/a").await, second.get("/b").await, second.get("/c").await], [None, Some(1), Some(1)]);
    first.store.remove(&response("/b", 1, 1, None));
    // The second of them waits its turn behind the removal.
    for _ in 0..2 {
        assert_eq!(first.purge("/x").await, Published::Kept);
    }
    second.store.tier.read_notes_now();
    assert_eq!([second.get("/b").await, second.get("/c").await], [None, Some(1)]);
    second.end().await;
    let third = Process::start(&folder).await;
    assert_eq!([third.get("/a").await, third.get("/b").await, third.get("/c").await], [None, None, Some(1)]);
}

/// It has them in memory, where they do not outlive it.
#[tokio::test]
async fn what_a_process_stores_before_it_has_the_directory_leaves_no_older_response_there() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder).await;
    for path in ["/stored", "/renewed", "/varies", "/y"] {
        first.put(path, 1, 1).await;
    }
    let second = Process::begin(options(&folder));
    second.put("/stored", 1, 2).await;
    second.store.freshen(second.write("/renewed", 1, 2, None)).await;
    second.put_variant("/varies", 1, 2, Some(variant("de"))).await;
    first.end().await;
    assert!(second.store.usable(LONG).await);
    let found = async |process: &Process| {
        [process.get("/stored").await, process.get("/renewed").await, process.get("/varies").await, process.get("/y").await]
    };
    assert_eq!(found(&second).await, [None, None, None, Some(1)]);
    second.end().await;
    assert_eq!(found(&Process::start(&folder).await).await, [None, None, None, Some(1)]);
}

/// Both processes have the file of the log open then, and each would write at its own end of it.
#[tokio::test]
async fn a_process_that_hands_over_while_a_write_hangs_leaves_the_log_too() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder).await;
    first.put("/a", 1, 1).await;
    first.put("/b", 1, 1).await;
    let engine = first.store.tier.engine().expect("open");
    let held = engine.hold_writes();
    first.store.commit(first.write("/c", 1, 1, None)).await;
    // Time stands still while a thread is at work for the runtime, so no deadline cuts that off.
    tokio::time::pause();
    first.store.hand_over(LONG).await;
    assert_eq!(first.purge("/a").await, Published::Kept, "it is left to the next process");
    tokio::time::resume();
    drop(held);
    drop(engine);
    let second = Process::start(&folder).await;
    assert_eq!((second.get("/a").await, second.get("/b").await), (None, Some(1)));
}

/// Waits until a file of this kind is in the directory.
fn await_file(folder: &TempDir, kind: &str) {
    let is_it = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.starts_with(kind) && !name.ends_with(".new")
    };
    while !std::fs::read_dir(folder.path().join("cache")).unwrap().any(is_it) {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn what_redis_does_not_take_of_a_process_that_hands_over_its_successor_forgets_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::beside_redis(&folder);
    assert!(first.store.usable(LONG).await);
    first.put("/a", 1, 1).await;
    assert_eq!(first.store.hand_over(LONG).await, 0);
    let second = Process::beside_redis(&folder);
    assert!(second.store.usable(LONG).await);
    assert_eq!(second.get("/a").await, Some(1));
    assert_eq!(first.purge("/a").await, Published::Kept);
    second.store.tier.read_notes_now();
    assert_eq!(second.get("/a").await, None);
    second.end().await;
    let third = Process::beside_redis(&folder);
    assert!(third.store.usable(LONG).await);
    assert_eq!(third.get("/a").await, None);
    third.put("/a", 1, 2).await;
    third.end().await;
}

#[tokio::test]
async fn what_a_process_beside_redis_removes_after_it_has_handed_over_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::beside_redis(&folder);
    assert!(first.store.usable(LONG).await);
    for path in ["/a", "/b", "/c"] {
        first.put(path, 1, 1).await;
    }
    assert_eq!(first.store.hand_over(LONG).await, 0);
    let second = Process::beside_redis(&folder);
    assert!(second.store.usable(LONG).await);
    first.store.remove(&response("/a", 1, 1, None));
    await_file(&folder, "removal-note-");
    second.store.tier.read_notes_now();
    assert_eq!([second.get("/a").await, second.get("/b").await], [None, Some(1)]);
    second.end().await;
    first.store.remove(&response("/b", 1, 1, None));
    await_file(&folder, "removal-note-");
    let third = Process::beside_redis(&folder);
    assert!(third.store.usable(LONG).await);
    assert_eq!([third.get("/a").await, third.get("/b").await, third.get("/c").await], [None, None, Some(1)]);
}

/// What a process finds that begins after this one has died as it is now.
async fn found_after_death(folder: &TempDir, path: &str) -> Option<u64> {
    let other = tempfile::tempdir().unwrap();
    std::fs::create_dir(other.path().join("cache")).unwrap();
    for file in std::fs::read_dir(folder.path().join("cache")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), other.path().join("cache").join(file.file_name())).unwrap();
    }
    Process::start(&other).await.get(path).await
}

#[tokio::test]
async fn a_process_that_stops_while_its_removals_hang_leaves_nothing_that_was_removed() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder).await;
    for path in ["/under-way", "/waits", "/replaced", "/y"] {
        first.put(path, 1, 1).await;
    }
    let engine = first.store.tier.engine().expect("open");
    let held = engine.hold_writes();
    first.store.remove(&response("/under-way", 1, 1, None));
    while first.store.stats().queued > 0 {
        std::thread::yield_now();
    }
    first.store.remove(&response("/waits", 1, 1, None));
    first.store.commit(first.write("/replaced", 1, 2, None)).await;
    tokio::time::pause();
    assert_eq!(first.store.close(LONG).await, 2);
    tokio::time::resume();
    for path in ["/under-way", "/waits", "/replaced"] {
        assert_eq!(found_after_death(&folder, path).await, None, "{path}");
    }
    // The disk goes on before the process is gone.
    drop(held);
    drop(engine);
    let second = Process::start(&folder).await;
    let found = [second.get("/under-way").await, second.get("/waits").await, second.get("/replaced").await, second.get("/y").await];
    assert_eq!(found, [None, None, None, Some(1)]);
}

/// A clock that was wrong costs entries, and brings nothing old back.
#[tokio::test]
async fn a_clock_that_jumps_costs_entries_and_nothing_else() {
    static NOW: AtomicU32 = AtomicU32::new(1_000);
    let clocks = Clocks { wall: || Timestamp::from_secs(u64::from(NOW.load(Ordering::Relaxed))), ..CLOCKS };
    let folder = tempfile::tempdir().unwrap();
    let begin = async || {
        let process = Process::by(options(&folder), clocks);
        assert!(process.store.usable(LONG).await);
        process
    };
    let process = begin().await;
    process.put("/a", 1, 1).await;
    process.put("/b", 1, 1).await;
    NOW.store(900_000, Ordering::Relaxed);
    assert_eq!(process.get("/a").await, None, "its time is over by this clock");
    process.put("/a", 1, 2).await;
    process.purge("/b").await;
    process.end().await;
    // Back again: what was stored by the wrong clock lives longer there, and is judged by its own dates where it is used.
    NOW.store(1_010, Ordering::Relaxed);
    let process = begin().await;
    assert_eq!((process.get("/a").await, process.get("/b").await), (Some(2), None), "a purge has no clock");
    process.end().await;
    // To the end of its numbers.
    NOW.store(u32::MAX, Ordering::Relaxed);
    let process = begin().await;
    process.put("/c", 1, 3).await;
    assert_eq!((process.get("/a").await, process.get("/c").await), (None, None));
    NOW.store(1_020, Ordering::Relaxed);
    process.put("/c", 1, 4).await;
    assert_eq!(process.get("/c").await, Some(4));
}
