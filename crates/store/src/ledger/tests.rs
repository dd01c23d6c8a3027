use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_000);

const URL: &str = "http://a.example/api/v1/issues/7?q=1";

fn tags() -> [Tag; 5] {
    [Tag::url(URL), Tag::surrogate("issue:7"), Tag::route("issue.detail"), Tag::class("project"), Tag::namespace("default")]
}

fn check(ledger: &Ledger, since: Position) -> Validity {
    ledger.check(&Subject { url: URL, tags: (&tags()).into() }, since)
}

fn text(kind: fn(String) -> InvalidationTarget, text: &str) -> InvalidationTarget {
    kind(text.to_owned())
}

#[test]
fn an_entry_is_valid_until_something_that_names_it_moves() {
    use InvalidationTarget::*;
    for (target, other) in [
        (text(Url, URL), text(Url, "http://a.example/api/v1/issues/7")),
        (text(Tag, "issue:7"), text(Tag, "issue:8")),
        (text(Route, "issue.detail"), text(Route, "issue.list")),
        (text(Class, "project"), text(Class, "global")),
        (text(Namespace, "default"), text(Namespace, "other")),
        (text(Prefix, "a.example/api/v1"), text(Prefix, "a.example/api/v2")),
        (text(Prefix, "/api"), text(Prefix, "/ap")),
        (text(Pattern, "*.example/api/*/issues/*"), text(Pattern, "*.example/api/*/issues")),
        (text(Path, "/api/v1/issues/7"), text(Path, "/api/v1/issues")),
        (All, text(Tag, "all")),
    ] {
        let ledger = Ledger::default();
        let before = ledger.position();
        ledger.apply(&Invalidation::hard([other.clone()]), NOW);
        assert_eq!(check(&ledger, before), Validity::Valid, "{other:?}");
        ledger.apply(&Invalidation::soft([other, target.clone()]), NOW);
        assert_eq!(check(&ledger, before), Validity::Stale, "{target:?}");
        let soft = ledger.position();
        assert_eq!(check(&ledger, soft), Validity::Valid);
        ledger.apply(&Invalidation::hard([target.clone()]), NOW);
        assert_eq!((check(&ledger, before), check(&ledger, soft)), (Validity::Invalid, Validity::Invalid), "{target:?}");
        assert_eq!(check(&ledger, ledger.position()), Validity::Valid);
    }
}

#[test]
fn a_soft_invalidation_does_not_bring_back_what_a_hard_one_took() {
    let ledger = Ledger::default();
    let target = || [InvalidationTarget::Tag("issue:7".to_owned())];
    ledger.apply(&Invalidation::hard(target()), NOW);
    ledger.apply(&Invalidation::soft(target()), NOW);
    assert_eq!(check(&ledger, Position(0)), Validity::Invalid);
    assert_eq!(check(&ledger, Position(1)), Validity::Stale);
}

#[test]
fn a_fetch_that_began_before_an_invalidation_is_invalid_whenever_it_ends() {
    let ledger = Ledger::default();
    let began = ledger.position();
    let acknowledged = ledger.apply(&Invalidation::hard([InvalidationTarget::Url(URL.to_owned())]), NOW);
    assert!(acknowledged > began);
    assert_eq!(check(&ledger, began), Validity::Invalid);
}

#[test]
fn the_log_and_this_process_make_one_sequence() {
    let ledger = Ledger::default();
    let [mine, theirs] = ["issue:7", "other"].map(|tag| Invalidation::hard([text(InvalidationTarget::Tag, tag)]));
    ledger.apply_logged(7, &theirs);
    let after_7 = ledger.position();
    assert_eq!((after_7.log_number(), after_7), (7, after_7.shared()));
    ledger.apply(&mine, NOW);
    let after_mine = ledger.position();
    assert!(after_mine > after_7 && after_mine.shared() == after_7);
    assert_eq!(check(&ledger, after_mine.shared()), Validity::Invalid, "what left this process is not taken back in its place");
    assert_eq!(check(&ledger, after_mine), Validity::Valid);
    ledger.apply_logged(8, &theirs);
    assert_eq!(check(&ledger, after_mine), Validity::Valid);
    ledger.apply_logged(8, &mine);
    assert_eq!(check(&ledger, after_mine), Validity::Valid, "an entry is applied once");
    ledger.apply_logged(9, &mine);
    assert_eq!(check(&ledger, after_mine), Validity::Invalid);
}

#[test]
fn after_a_gap_nothing_from_before_is_vouched_for() {
    let ledger = Ledger::default();
    ledger.apply_logged(7, &Invalidation::hard([text(InvalidationTarget::Tag, "other")]));
    let before = ledger.position();
    ledger.start_over_at(20);
    assert_eq!(check(&ledger, before), Validity::Invalid);
    assert_eq!((check(&ledger, ledger.position()), ledger.position()), (Validity::Valid, Position::of_log(20)));
}

#[test]
fn while_it_is_cut_off_only_what_is_young_is_vouched_for() {
    let (ledger, fetched) = (Ledger::default(), Timestamp::from_secs(100));
    assert!(ledger.vouches_for(fetched, Timestamp::from_secs(1_000_000)));
    ledger.cut_off(Duration::from_secs(30));
    assert!(ledger.vouches_for(fetched, Timestamp::from_secs(130)));
    assert!(!ledger.vouches_for(fetched, Timestamp::from_millis(130_001)));
    ledger.connected();
    assert!(ledger.vouches_for(fetched, Timestamp::from_secs(1_000_000)));
}

#[test]
fn a_process_that_stood_still_knows_by_its_clock_that_nothing_is_vouched_for() {
    let (ledger, fetched) = (Ledger::default(), Timestamp::from_secs(100));
    ledger.vouch_until(Timestamp::from_secs(1_000), Duration::from_secs(2));
    assert!(ledger.vouches_for(fetched, Timestamp::from_secs(1_000)));
    assert!(!ledger.vouches_for(fetched, Timestamp::from_millis(1_000_001)));
    assert!(ledger.vouches_for(Timestamp::from_secs(999), Timestamp::from_millis(1_000_001)), "what is young is");
    ledger.vouch_until(Timestamp::from_secs(2_000), Duration::from_secs(2));
    assert!(ledger.vouches_for(fetched, Timestamp::from_secs(1_500)));
}

#[test]
fn figures_count_by_kind_and_forget_what_is_past() {
    let ledger = Ledger::default();
    ledger.concern(3_600_000);
    let targets = ["a", "b"].map(|tag| InvalidationTarget::Tag(tag.to_owned()));
    ledger.apply(&Invalidation::hard(targets), NOW);
    let stats = ledger.stats(NOW);
    assert_eq!((stats.position, stats.records, stats.invalidated), (Position(1), 2, [0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(ledger.stats(Timestamp::from_secs(4_601)).records, 0);
}

#[test]
fn a_write_outlives_its_own_invalidation_and_no_other() {
    let ledger = Ledger::default();
    let tags = tags();
    let subject = Subject { url: URL, tags: (&tags).into() };
    let began = ledger.position();
    let write = Invalidation::hard([InvalidationTarget::Url(URL.to_owned())]);
    let (position, untouched) = ledger.apply_since(&write, NOW, &subject, began);
    assert!(untouched && check(&ledger, position) == Validity::Valid && check(&ledger, began) == Validity::Invalid);
    ledger.apply(&Invalidation::hard([InvalidationTarget::Class("project".to_owned())]), NOW);
    let (_, untouched) = ledger.apply_since(&write, NOW, &subject, position);
    assert!(!untouched, "the class was purged while the write was under way");
}

#[test]
fn a_position_read_back_after_it_was_applied_holds() {
    let ledger = Ledger::default();
    ledger.apply_logged(4, &Invalidation::hard([text(InvalidationTarget::Tag, "other")]));
    let write = Invalidation::hard([InvalidationTarget::Url(URL.to_owned())]);
    let applied = ledger.apply(&write, NOW);
    assert_eq!(ledger.read_back(applied, 5), applied, "it was not read back yet");
    ledger.apply_logged(5, &write);
    assert_eq!(ledger.read_back(applied, 5), Position::of_log(5));
    assert_eq!(check(&ledger, Position::of_log(5)), Validity::Valid);
    let applied = ledger.apply(&write, NOW);
    ledger.apply(&write, NOW);
    ledger.apply_logged(6, &write);
    assert_eq!(ledger.read_back(applied, 6), applied, "another invalidation may lie between the two");
    assert_eq!(check(&ledger, applied), Validity::Invalid);
}

#[test]
fn entries_of_the_log_hold_after_more_invalidations_than_a_position_counts() {
    let ledger = Ledger::default();
    let epoch = Epoch::of("one");
    let other = Invalidation::hard([text(InvalidationTarget::Tag, "other")]);
    let theirs = Invalidation::hard([text(InvalidationTarget::Url, URL)]);
    ledger.apply_logged(1, &other);
    ledger.enter(epoch);
    ledger.head.store(Position::of_log(2).0 - 2, Ordering::Relaxed);
    let last = ledger.apply(&other, NOW);
    assert_eq!(ledger.log_position(last), Some(LogPosition { epoch, number: 1 }));
    let fetched = (0..3).map(|_| ledger.apply(&other, NOW)).last().expect("three");
    assert_eq!((fetched.log_number(), ledger.log_position(fetched)), (2, None), "entry 2 is not known yet");
    // The one that others see, and it is still known from when it is.
    let stored = LogPosition { epoch, number: 1 };
    assert_eq!(ledger.position_of(stored), Some(Position::of_log(1)));
    ledger.apply_logged(2, &theirs);
    assert_eq!((check(&ledger, fetched), check(&ledger, Position::of_log(1))), (Validity::Invalid, Validity::Invalid));
    let newer = ledger.position();
    assert_eq!((check(&ledger, newer), ledger.log_position(newer)), (Validity::Valid, Some(LogPosition { epoch, number: 2 })));
    assert_eq!(ledger.log_position(fetched), None);
    ledger.apply_logged(2, &theirs);
    assert_eq!(check(&ledger, newer), Validity::Valid, "an entry counts once");
    ledger.apply_logged(3, &theirs);
    assert_eq!((check(&ledger, newer), ledger.position()), (Validity::Invalid, Position::of_log(3)));
}
