//! Every byte of a small store is damaged in turn: each entry is as it was written, or absent.

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
        for offset in 0..store.volume.segment(slot).len() {
            let volume = store.volume.after_crash();
            volume.flip(slot, offset, 1 << (offset % 8));
            least = least.min(found_after(volume, store.shape));
        }
    }
    assert!((1..KEYS as usize).contains(&least), "one segment at most is lost: {least} of {KEYS} were left");
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
