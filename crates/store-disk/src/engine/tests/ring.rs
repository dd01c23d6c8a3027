//! The ring: room is made by dropping the oldest segment, and nobody is disturbed by it.

use super::*;
use crate::volume::Fault;

#[test]
fn the_later_of_two_fetches_wins_whichever_is_written_first() {
    let store = Store::new(1 << 16, 4);
    assert_eq!((store.put(1, 5), store.put(1, 4), store.get(1)), (Written::Stored, Written::Known, Some(5)));
    assert_eq!((store.put(1, 6), store.get(1), store.get(2)), (Written::Stored, Some(6), None));
    store.engine.remove(hash(1), 5, NOW).unwrap();
    assert_eq!(store.get(1), Some(6), "a later fetch has replaced what was removed");
    store.engine.remove(hash(1), 6, NOW).unwrap();
    assert_eq!(store.get(1), None);
}

#[test]
fn an_entry_is_of_no_use_once_it_has_expired() {
    let store = Store::new(1 << 16, 4);
    store.put(1, 1);
    assert!(store.engine.find(hash(1), LATER - 1, Access::Waiting).unwrap().is_some());
    assert!(store.engine.find(hash(1), LATER, Access::Waiting).unwrap().is_none());
    assert_eq!(store.engine.indexed().0, 0, "it is forgotten");
}

#[test]
fn bodies_of_every_length_are_read_as_they_were_written() {
    let store = Store::new(16 << 20, 4);
    let lengths = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 16 * SEGMENT, 16 * SEGMENT + 1, 40 * SEGMENT + 7];
    for (key, length) in lengths.into_iter().enumerate() {
        store.put_long(key as u64, 1, length);
        assert_eq!(store.get(key as u64), Some(1), "{length} bytes");
    }
}

#[test]
fn many_more_entries_than_there_is_room_for_pass_through() {
    let store = Store::new(1 << 14, 13);
    let mut found = 0;
    for key in 0..100_000 {
        store.put(key, key);
        found += usize::from(store.get(key / 2) == Some(key / 2));
    }
    assert!(found > 0);
    let (entries, _) = store.engine.indexed();
    assert!((800..1_200).contains(&entries), "{entries} entries are known of those that have room");
    assert!((0..100_000).filter(|key| store.get(*key) == Some(*key)).count() == entries, "each of them is there");
    assert!(store.volume.segment(13).is_empty(), "no further segment was made");
}

#[test]
fn a_hot_entry_outlives_its_segment() {
    let store = Store::new(1 << 16, 4);
    (0..3).for_each(|key| _ = store.put(key, 1));
    store.put_long(9, 1, 40_000);
    for key in 100..5_000 {
        store.put(key, 1);
        store.get(1);
    }
    assert_eq!([0, 1, 2].map(|key| store.get(key)), [None, Some(1), None]);
    let moved = store.engine.counters().moved_bytes.load(std::sync::atomic::Ordering::Relaxed);
    let written = store.engine.counters().written_bytes.load(std::sync::atomic::Ordering::Relaxed);
    assert!(moved > 0 && moved * 4 < written, "{moved} of {written} bytes were written again");
}

#[test]
fn a_hot_long_body_is_written_on_with_its_head() {
    let store = Store::new(8 << 20, 4);
    store.put_long(1, 1, 3 * SEGMENT);
    for key in 100..140 {
        store.put_long(key, 1, 3 * SEGMENT);
        store.get(1);
    }
    assert_eq!((store.get(1), store.get(100)), (Some(1), None));
    assert_eq!(store.restarted().get(1), Some(1));
}

#[test]
fn a_body_that_is_being_read_outlives_its_segment() {
    let store = Store::new(2 << 20, 4);
    store.put_long(1, 1, 3 * SEGMENT);
    let Some(found) = store.engine.find(hash(1), NOW, Access::Waiting).unwrap() else { panic!("it is there") };
    let FoundBody::Parts(parts) = found.body else { panic!("a long one") };
    let first = parts.chunk(0, Access::Waiting).unwrap();
    for key in 100..200 {
        store.put_long(key, 1, SEGMENT);
    }
    let rest: Vec<Bytes> = chunks(&parts).skip(1).map(Result::unwrap).collect();
    assert_eq!([vec![first.unwrap()], rest].concat(), body(1, 1, 3 * SEGMENT));
    drop(parts);
    (200..300).for_each(|key| store.put_long(key, 1, SEGMENT));
    assert_eq!(store.get(299), Some(1));
}

#[test]
fn a_ring_that_is_read_everywhere_takes_no_more() {
    let store = Store::new(2 << 20, 4);
    let mut readers = Vec::new();
    let refused = (0..40).find(|key| {
        let written = store.engine.commit(entry(*key, 1, body(*key, 1, 2 * SEGMENT)), NOW);
        readers.extend(store.engine.find(hash(*key), NOW, Access::Waiting).unwrap());
        written.is_err()
    });
    let last = refused.expect("it is refused");
    // Each try would drop one more.
    for key in last..last + 4 {
        assert!(store.engine.commit(entry(key, 1, body(key, 1, 2 * SEGMENT)), NOW).is_err());
    }
    assert_eq!(store.get(last - 1), Some(1), "what is there stays");
    readers.clear();
    store.put(1_000, 1);
    assert_eq!(store.get(1_000), Some(1));
}

#[test]
fn a_renewed_head_keeps_the_body_that_it_belongs_to() {
    let store = Store::new(16 << 20, 4);
    store.put_long(1, 1, 5 * SEGMENT);
    let written = || store.engine.counters().written_bytes.load(std::sync::atomic::Ordering::Relaxed);
    let renew = |fetch, brought_by: u64, version: u64| {
        let body = NewBody::Known { content: Content::Plain(body(1, version, 5 * SEGMENT)), fetch: brought_by };
        let before = written();
        store.engine.commit(NewEntry { fetch, body, ..entry(1, version, Vec::new()) }, NOW).unwrap();
        written() - before
    };
    assert!(renew(2, 1, 1) < 1_000, "the head alone");
    assert_eq!(store.get(1), Some(1));
    assert!(renew(3, 3, 3) > 5 * SEGMENT as u64, "the body of another fetch");
    assert_eq!(store.get(1), Some(3));
}

#[test]
fn a_disk_without_room_for_another_segment_goes_on_with_those_that_there_are() {
    let store = Store::new(1 << 16, 8);
    (0..700).for_each(|key| _ = store.put(key, 1));
    let made = (0..8).filter(|slot| !store.volume.segment(*slot).is_empty()).count();
    assert!((2..8).contains(&made));
    // Only a new segment is refused.
    store.volume.refuse_segments();
    (1_000..5_000).for_each(|key| _ = store.put(key, 1));
    assert_eq!(store.get(4_999), Some(1));
}

#[test]
fn a_failed_write_harms_no_other_entry() {
    let store = Store::new(1 << 16, 4);
    store.put(1, 1);
    store.volume.fail_at(0, Fault::Broken);
    assert!(store.engine.commit(entry(2, 1, body(2, 1, 100)), NOW).is_err());
    store.put(3, 1);
    let all = |store: &Store| [1, 2, 3].map(|key| store.get(key));
    assert_eq!((all(&store), all(&store.restarted())), ([Some(1), None, Some(1)], [Some(1), None, Some(1)]));
}

#[test]
fn a_disk_that_cannot_be_read_says_so_and_forgets_nothing() {
    let store = Store::new(1 << 16, 4);
    store.put(1, 1);
    store.volume.fail_reads();
    assert!(matches!(store.try_get(1), Err(ReadError::Io(_))));
    store.volume.heal();
    assert_eq!(store.get(1), Some(1));
}

#[test]
fn what_cannot_be_read_is_removed_all_the_same() {
    let store = Store::new(1 << 16, 4);
    store.put(1, 1);
    store.volume.fail_reads();
    store.engine.remove(hash(1), 1, NOW).unwrap();
    store.volume.heal();
    assert_eq!((store.get(1), store.restarted().get(1)), (None, None));
}

#[test]
fn what_cannot_be_read_is_not_replaced_by_what_may_be_an_earlier_fetch() {
    let store = Store::new(1 << 16, 4);
    store.put(1, 5);
    store.volume.fail_reads();
    assert!(store.engine.commit(entry(1, 4, body(1, 4, 100)), NOW).is_err());
    store.volume.heal();
    assert_eq!(store.get(1), Some(5));
}

#[test]
fn a_body_larger_than_a_segment_is_kept_in_several() {
    let store = Store::new(8 << 20, 8);
    store.put_long(1, 1, 24 << 20);
    assert_eq!((store.get(1), store.restarted().get(1)), (Some(1), Some(1)));
}
