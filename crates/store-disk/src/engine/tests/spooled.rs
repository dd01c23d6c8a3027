//! Bodies that are written while they arrive.

use super::super::Spool;
use super::*;

/// Writes so many of its segments, and commits where that is all of them.
fn spool(store: &Store, key: u64, version: u64, segments: &[Bytes], whole: bool) -> Arc<Parts> {
    let mut spool = store.engine.spool(hash(key), version, false);
    segments.iter().for_each(|segment| spool.write(segment.clone(), NOW).expect("written"));
    let parts = Arc::clone(spool.parts());
    if whole {
        commit(store, &spool, key, version).expect("stored");
    }
    parts
}

fn commit(store: &Store, spool: &Spool, key: u64, version: u64) -> std::io::Result<Written> {
    let body = NewBody::Spooled(Arc::clone(spool.parts()));
    store.engine.commit(NewEntry { body, ..entry(key, version, Vec::new()) }, NOW)
}

#[test]
fn a_body_is_read_while_it_is_written_and_found_once_it_is_whole() {
    let store = Store::new(8 << 20, 8);
    let segments = body(1, 1, 9 * SEGMENT + 5);
    let arriving = spool(&store, 1, 1, &segments[..4], false);
    assert_eq!(chunks(&arriving).map(Result::unwrap).collect::<Vec<_>>(), segments[..4]);
    assert_eq!((store.get(1), store.restarted().get(1)), (None, None), "it is not whole");
    spool(&store, 1, 2, &body(1, 2, 9 * SEGMENT + 5), true);
    assert_eq!((store.get(1), store.restarted().get(1)), (Some(2), Some(2)));
}

#[test]
fn a_body_larger_than_several_segments_of_the_ring_is_kept_together_while_it_arrives() {
    let store = Store::new(1 << 20, 16);
    let segments = body(1, 1, 14 * SEGMENT);
    let mut spool = store.engine.spool(hash(1), 1, false);
    for (number, segment) in segments.iter().enumerate() {
        spool.write(segment.clone(), NOW).expect("written");
        // The ring goes round under it: what it is made of stays.
        (0..3).for_each(|other| store.put_long(100 + 3 * number as u64 + other, 1, SEGMENT));
    }
    let parts = Arc::clone(spool.parts());
    assert_eq!(chunks(&parts).map(Result::unwrap).collect::<Vec<_>>(), segments);
    drop((spool, parts));
    (200..260).for_each(|key| store.put_long(key, 1, SEGMENT));
    assert_eq!(store.get(259), Some(1), "what nobody reads any more is room again");
}

#[test]
fn chunks_are_read_at_any_place() {
    let store = Store::new(8 << 20, 8);
    let segments = body(3, 1, 20 * SEGMENT + 7);
    store.put_long(3, 1, 20 * SEGMENT + 7);
    let Some(found) = store.engine.find(hash(3), NOW, Access::Waiting).unwrap() else { panic!("it is there") };
    let FoundBody::Parts(parts) = found.body else { panic!("a long one") };
    for number in [20, 3, 16, 0, 15, 17] {
        assert_eq!(parts.chunk(number, Access::Waiting).unwrap().as_ref(), Some(&segments[number as usize]), "{number}");
    }
    assert_eq!(parts.chunk(21, Access::Waiting).unwrap(), None);
}

/// The disk fails in the middle of any of its writes, or the process is killed there.
#[test]
fn a_body_that_is_not_whole_leaves_the_earlier_one() {
    use crate::volume::Fault;
    for fault in [Fault::Killed { after: 100 }, Fault::Full, Fault::Broken] {
        for at in 0..6 {
            let store = Store::new(8 << 20, 8);
            store.put(1, 1);
            store.volume.fail_at(at, fault);
            let mut spool = store.engine.spool(hash(1), 2, false);
            let written = body(1, 2, 4 * SEGMENT).into_iter().try_for_each(|segment| spool.write(segment, NOW));
            let stored = written.and_then(|()| commit(&store, &spool, 1, 2));
            store.volume.heal();
            let expected = if stored.is_ok() { 2 } else { 1 };
            assert_eq!((store.get(1), store.restarted().get(1)), (Some(expected), Some(expected)), "{fault:?} at {at}");
        }
    }
}

/// Another thread commits it than the one that removes.
#[test]
fn a_removal_holds_for_a_body_that_is_still_arriving() {
    let store = Store::new(1 << 20, 8);
    let removals: [fn(&Engine) -> std::io::Result<()>; 3] = [
        |engine| engine.remove(hash(1), 2, NOW),
        |engine| engine.remove_unknown(hash(1), 2, NOW),
        |engine| engine.remove_unvaried(hash(1), 2, NOW),
    ];
    for removed in removals {
        let spools = [1, 3].map(|fetch| store.engine.spool(hash(1), fetch, false));
        removed(&store.engine).unwrap();
        assert_eq!(commit(&store, &spools[0], 1, 1).unwrap(), Written::Known);
        assert!(!store.engine.knows(hash(1)));
        assert_eq!(commit(&store, &spools[1], 1, 3).unwrap(), Written::Stored, "of a later fetch");
        drop(spools);
        store.engine.remove(hash(1), 9, NOW).unwrap();
        assert_eq!(store.put(1, 2), Written::Stored, "nothing arrives any more that it would be for");
        store.engine.remove(hash(1), 9, NOW).unwrap();
    }
}

#[test]
fn of_two_commits_side_by_side_the_later_fetch_is_found() {
    let store = Store::new(1 << 16, 8);
    let engine = Arc::clone(&store.engine);
    // Its frames are made behind the look at what is known.
    let frames = Content::Framed(Box::new(move || {
        engine.commit(entry(1, 2, body(1, 2, 100)), NOW)?;
        Ok(body(1, 1, 100))
    }));
    let earlier = NewEntry { body: NewBody::Whole { content: frames, fetch: 1 }, ..entry(1, 1, Vec::new()) };
    assert_eq!(store.engine.commit(earlier, NOW).unwrap(), Written::Known);
    assert_eq!((store.get(1), store.restarted().get(1)), (Some(2), Some(2)));
}
