//! What a later process finds.

use super::*;

#[test]
fn everything_that_was_stored_is_found_by_the_next_process() {
    let store = Store::new(1 << 16, 8);
    (0..1_000).for_each(|key| _ = store.put(key, key));
    let next = store.restarted();
    let all = |store: &Store| (0..1_000).map(|key| store.get(key)).collect::<Vec<_>>();
    assert_eq!(all(&next), all(&store));
    assert!(all(&next).iter().flatten().count() > 900);
    assert_eq!(next.engine.indexed().0, store.engine.indexed().0);
    // And it goes on where the first one ended.
    next.put(2_000, 1);
    assert_eq!((next.restarted().get(2_000), next.restarted().get(999)), (Some(1), Some(999)));
}

/// `LARDER_ENTRIES=1000000 cargo nextest run -p larder-disk --profile long --no-capture footers` for more of them.
fn entry_count() -> u64 {
    std::env::var("LARDER_ENTRIES").ok().and_then(|count| count.parse().ok()).unwrap_or(100_000)
}

#[test]
fn a_hundred_thousand_entries_are_found_by_their_footers_without_a_look_at_them() {
    const SEGMENT: u64 = 2 << 20;
    let count = entry_count();
    let bytes = count * RECORD as u64;
    let store = Store::new(SEGMENT, (2 + bytes * 5 / 4 / SEGMENT) as u32);
    (0..count).for_each(|key| _ = store.put(key, key));
    // Of two keys whose hashes agree in what the index has of them one is forgotten.
    assert!(store.engine.indexed().0 as u64 + count / 100_000 >= count);
    let next = store.restarted();
    assert_eq!(next.engine.indexed(), store.engine.indexed());
    let (read, index) = (next.volume.read_bytes(), next.engine.indexed().1);
    println!("{count} entries of {bytes} bytes: {read} read at the restart, {:.1} bytes of index each", index as f64 / count as f64);
    assert!(read < bytes / 3 + SEGMENT, "{read} bytes for {count} entries");
    for key in (0..count).step_by(997) {
        assert_eq!(next.get(key), Some(key));
    }
}

#[test]
fn the_latest_of_several_versions_is_found_and_a_removal_holds() {
    let store = Store::new(1 << 14, 8);
    for version in 1..20 {
        (0..10).for_each(|key| _ = store.put(key, version));
    }
    store.engine.remove(hash(3), 19, NOW).unwrap();
    let next = store.restarted();
    assert_eq!([0, 3, 9].map(|key| next.get(key)), [Some(19), None, Some(19)]);
    assert_eq!(next.restarted().get(3), None);
}

#[test]
fn an_entry_that_has_expired_hides_the_earlier_one() {
    let store = Store::new(1 << 16, 4);
    store.put(1, 1);
    store.engine.commit(NewEntry { expires: NOW, ..entry(1, 2, body(1, 2, 100)) }, NOW).unwrap();
    assert_eq!(store.restarted().get(1), None);
}

#[test]
fn writes_before_everything_is_restored_are_later_than_all_of_it() {
    let store = Store::new(1 << 14, 8);
    for version in 1..20 {
        (0..10).for_each(|key| _ = store.put(key, version));
    }
    let engine = Engine::open(Arc::new(store.volume.after_crash()), store.shape, 1_000).unwrap();
    let early = Store { engine, volume: Arc::clone(&store.volume), shape: store.shape };
    assert!(!early.engine.is_restored());
    early.put(1, 30);
    early.engine.remove(hash(2), 40, NOW).unwrap();
    early.engine.remove_unvaried(hash(4), 40, NOW).unwrap();
    early.engine.restore(NOW);
    assert_eq!([1, 2, 3, 4].map(|key| early.get(key)), [Some(30), None, Some(19), None]);
    assert!(early.engine.is_restored());
}

#[test]
fn nothing_that_was_forgotten_is_used_by_a_later_process() {
    let store = Store::new(1 << 16, 4);
    (1..=4).for_each(|key| _ = store.put(key, key));
    store.engine.forget(Some(at(2))).unwrap();
    let all = |store: &Store| [1, 2, 3, 4].map(|key| store.get(key));
    assert_eq!(all(&store), [Some(1), Some(2), Some(3), Some(4)], "this process judges by its own ledger");
    let next = store.restarted();
    assert_eq!(all(&next), [None, None, Some(3), Some(4)]);
    next.engine.forget(None).unwrap();
    next.put(5, 5);
    let last = next.restarted();
    assert_eq!((all(&last), last.get(5)), ([None; 4], Some(5)));
}

#[test]
fn a_write_of_something_forgotten_that_comes_late_is_forgotten_too() {
    let store = Store::new(1 << 16, 4);
    store.engine.forget(Some(at(2))).unwrap();
    store.put(1, 1);
    assert_eq!(store.restarted().get(1), None);
}

/// This process goes on with it, so it is still hot when its segment is reclaimed.
#[test]
fn what_is_forgotten_is_not_written_on_behind_the_mark() {
    let store = Store::new(1 << 16, 4);
    (0..3).for_each(|key| _ = store.put(key, 1));
    store.engine.forget(None).unwrap();
    (100..2_000).for_each(|key| {
        store.put(key, 2);
        store.get(1);
    });
    assert_eq!((store.get(1), store.restarted().get(1)), (None, None));
}

#[test]
fn where_the_mark_cannot_be_written_everything_goes() {
    let store = Store::new(1 << 16, 4);
    store.put(1, 1);
    store.volume.fail_at(0, crate::volume::Fault::Full);
    store.engine.forget(Some(at(0))).unwrap();
    assert_eq!(store.restarted().get(1), None);
    store.volume.heal();
    store.put(1, 2);
    assert_eq!((store.get(1), store.restarted().get(1)), (Some(2), Some(2)), "it goes on in new segments");
}

#[test]
fn a_mark_that_a_full_disk_did_not_take_is_written_later_for_what_comes_late() {
    let store = Store::new(1 << 16, 4);
    store.volume.fail_at(0, crate::volume::Fault::Full);
    store.engine.forget(Some(at(5))).unwrap();
    store.volume.heal();
    store.engine.write_due_marks().unwrap();
    store.put(1, 5);
    store.put(2, 6);
    let next = store.restarted();
    assert_eq!((next.get(1), next.get(2)), (None, Some(6)));
}

#[test]
fn a_store_of_other_sizes_or_with_damaged_marks_begins_anew() {
    let store = Store::new(1 << 16, 4);
    store.put(1, 1);
    let shape = Shape { segment_size: 1 << 15, segments: 4 };
    assert_eq!(Store::over(store.volume.after_crash(), shape).get(1), None);
    store.volume.replace("forgotten", b"rubbish");
    let next = store.restarted();
    assert_eq!(next.get(1), None);
    next.put(1, 2);
    assert_eq!(next.restarted().get(1), Some(2));
}

#[test]
fn records_behind_the_end_are_not_read_as_if_they_were_later() {
    let store = Store::new(1 << 16, 4);
    // One unit count for all of them, so that the records of two processes lie on the same places.
    (0..5).for_each(|key| _ = store.put(key, 10 + key));
    let volume = store.volume.after_crash();
    // The machine failed: the first record was not on the disk yet, those behind it were.
    volume.flip(0, 64, 0xff);
    let next = Store::over(volume, store.shape);
    assert_eq!(next.engine.indexed().0, 0);
    next.put(1, 20);
    let last = next.restarted();
    assert_eq!((last.get(1), last.engine.indexed().0), (Some(20), 1));
}
