//! Every byte of a small store is damaged in turn: each entry is as it was written, or absent.

use rustix::io::Errno;

use super::*;

const KEYS: u64 = 12;

/// What is still found, of entries in sealed segments and in the last one.
fn found_after(volume: Faulty, shape: Shape) -> usize {
    let store = Store::over(volume, shape);
    let found = |key| store.try_get(key).unwrap_or_else(|error| panic!("{error}")) == Some(key);
    let get = |key| match store.try_get(key) {
        Ok(_) => found(key),
        Err(ReadError::Damaged | ReadError::Locked) => false,
        Err(ReadError::Io(error)) => panic!("{error}"),
    };
    (0..KEYS).filter(|key| get(*key)).count()
}

fn small() -> Store {
    let store = Store::new(2_048, 6);
    (0..KEYS).for_each(|key| _ = store.put(key, key));
    store
}

#[test]
fn a_damaged_byte_costs_at_most_the_entries_that_hang_on_it() {
    let store = small();
    assert_eq!(found_after(store.volume.after_crash(), store.shape), KEYS as usize);
    let mut least = KEYS as usize;
    for slot in 0..6 {
        // Without the header of a segment nothing is used.
        for offset in 28..store.volume.segment(slot).len() {
            let volume = store.volume.after_crash();
            volume.flip(slot, offset, 1 << (offset % 8));
            least = least.min(found_after(volume, store.shape));
        }
    }
    assert!((1..KEYS as usize).contains(&least), "one segment at most is lost: {least} of {KEYS} were left");
}

/// A key in the first segment that a later one removes, with others around it, and the segment of its removal.
fn removed() -> (Store, u32) {
    let store = small();
    let slot = (0..6).rfind(|slot| !store.volume.segment(*slot).is_empty()).expect("there are some");
    let before = store.volume.segment(slot);
    store.engine.remove(hash(0), 1, NOW).unwrap();
    assert_ne!(store.volume.segment(slot), before, "it is there");
    // So that the segment is sealed.
    (20..30).for_each(|key| _ = store.put(key, key));
    assert_eq!(store.restarted().get(0), None);
    (store, slot)
}

#[test]
fn what_a_segment_with_a_damaged_header_had_removed_does_not_come_back() {
    let (store, slot) = removed();
    for offset in 0..28 {
        let volume = store.volume.after_crash();
        volume.flip(slot, offset, 1 << (offset % 8));
        let next = Store::over(volume, store.shape);
        assert_eq!((next.get(0), next.restarted().get(0)), (None, None), "byte {offset}");
        next.put(1, 2);
        assert_eq!((next.get(1), next.restarted().get(1)), (Some(2), Some(2)), "it begins anew");
    }
}

#[test]
fn what_a_segment_that_cannot_be_read_had_removed_does_not_come_back() {
    for offset in [0, 64] {
        let (store, slot) = removed();
        let volume = store.volume.after_crash();
        volume.fail_reads_of(slot, offset, Errno::IO.raw_os_error());
        let next = Store::over(volume, store.shape);
        assert_eq!(next.get(0), None);
        assert_eq!(next.get(29).is_some(), offset > 0, "what is later is used where the order is known");
        next.volume.heal();
        assert_eq!(next.restarted().get(0), None, "nor when it can be read again");
    }
}

#[test]
fn a_process_without_file_descriptors_takes_no_segment_for_damaged() {
    let (store, slot) = removed();
    let volume = Arc::new(store.volume.after_crash());
    volume.fail_reads_of(slot, 0, Errno::MFILE.raw_os_error());
    Engine::open(Arc::clone(&volume) as _, store.shape, NOW).expect_err("to be tried again");
    volume.heal();
    let next = Store::over(volume.after_crash(), store.shape);
    assert_eq!((next.get(0), next.get(29)), (None, Some(29)));
}

#[test]
fn damage_is_counted_once_and_the_entry_is_forgotten() {
    let store = Store::new(1 << 16, 4);
    store.put(1, 1);
    store.volume.flip(0, 64 + 52 + 30, 1);
    assert!(matches!(store.try_get(1), Err(ReadError::Damaged | ReadError::Locked)));
    assert_eq!(store.get(1), None);
    assert_eq!(store.engine.counters().damaged.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn damage_in_a_long_body_is_noticed_in_its_chunk() {
    let store = Store::new(16 << 20, 4);
    store.put_long(1, 1, 20 * SEGMENT);
    for (chunk, offset) in [(0, 300), (7, 7 * SEGMENT + 300), (17, 17 * SEGMENT + 500)] {
        let volume = store.volume.after_crash();
        volume.flip(0, offset, 4);
        let store = Store::over(volume, store.shape);
        let Some(found) = store.engine.find(hash(1), NOW, Access::Waiting).unwrap() else { panic!("its head is good") };
        let FoundBody::Parts(parts) = found.body else { panic!("a long one") };
        let good = chunks(&parts).take_while(Result::is_ok).count();
        assert_eq!(good, chunk, "chunks before the damage");
        assert_eq!(store.get(1), None, "it is forgotten");
    }
}

#[test]
fn a_segment_in_the_place_of_another_is_not_believed() {
    let store = small();
    let (first, second) = (store.volume.segment(0), store.volume.segment(1));
    let volume = store.volume.after_crash();
    volume.swap(0, 1);
    assert_eq!((volume.segment(0), volume.segment(1)), (second, first));
    // A segment that was moved as a whole is as good as before.
    assert_eq!(found_after(volume, store.shape), KEYS as usize);
}
