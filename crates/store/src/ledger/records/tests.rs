use super::*;

fn filled(count: u64, target: impl Fn(u64) -> InvalidationTarget) -> Records {
    let mut records = Records::default();
    for n in 1..=count {
        add(&mut records, target(n), n);
    }
    records
}

fn add(records: &mut Records, target: InvalidationTarget, position: u64) {
    let patterns = Pattern::of(std::slice::from_ref(&target));
    records.add(&Invalidation::hard([target]), patterns, Position(position));
}

fn check(records: &Records, tag: &str, position: u64) -> Validity {
    records.check(&Subject { url: "http://a/x", tags: (&[Tag::surrogate(tag)]).into() }, Position(position))
}

#[test]
fn folded_records_invalidate_what_they_can_no_longer_vouch_for() {
    let mut records = filled(10, |n| InvalidationTarget::Tag(n.to_string()));
    records.fold(8, 8);
    assert_eq!((records.floor, records.len()), (Position(6), 4));
    assert_eq!(check(&records, "other", 5), Validity::Invalid);
    assert_eq!(check(&records, "other", 6), Validity::Valid);
    assert_eq!(check(&records, "7", 6), Validity::Invalid);
}

fn check_url(records: &Records, url: &str, position: u64) -> Validity {
    records.check(&Subject { url, tags: (&[]).into() }, Position(position))
}

#[test]
fn writes_to_ever_new_urls_make_old_what_is_near_them_and_nothing_else() {
    for (url, near) in [
        (|n: u64| format!("http://a.example/login?x={n}"), "http://a.example/login?y"),
        (|n| format!("http://a.example/issues/{n}"), "http://a.example/issues/x"),
        (|n| format!("http://a.example/{n}/{n}/x"), "http://a.example/z"),
    ] as [(fn(u64) -> String, &str); 3]
    {
        let mut records = filled(200, |n| InvalidationTarget::Url(url(n)));
        records.fold(150, 8);
        assert!(records.targets() < 150 && records.folds == Folds { coarser: 1, everything: 0 }, "{:?}", records.folds);
        assert_eq!((check_url(&records, near, 50), check_url(&records, near, 150)), (Validity::Invalid, Validity::Valid), "{near}");
        assert_eq!((check_url(&records, &url(20), 19), check_url(&records, &url(20), 101)), (Validity::Invalid, Validity::Valid));
        assert_eq!((check_url(&records, &url(190), 189), check_url(&records, &url(190), 190)), (Validity::Invalid, Validity::Valid));
        for other in ["http://b.example/issues/1", "http://b.example/login?x=1"] {
            assert_eq!(check_url(&records, other, 0), Validity::Valid, "{other}");
        }
    }
}

#[test]
fn folds_are_as_fine_as_the_room_allows() {
    let mut records = filled(200, |n| InvalidationTarget::Url(format!("http://a.example/issues/{n}")));
    records.fold(150, 8);
    assert_eq!(check_url(&records, "http://a.example/about", 0), Validity::Valid);
    let mut records = filled(200, |n| InvalidationTarget::Tag(format!("org:1:issue:{n}")));
    records.fold(150, 8);
    let about = |tag: &str| {
        let tags = Tag::surrogates([tag]).expect("few");
        records.check(&Subject { url: "http://a/x", tags: tags.as_slice().into() }, Position(0))
    };
    assert_eq!(
        (about("org:1:issue:x"), about("org:1:x"), about("org:1:issue:199")),
        (Validity::Invalid, Validity::Valid, Validity::Invalid)
    );
    let mut records = filled(200, |n| InvalidationTarget::Prefix(format!("a.example/projects/{n}")));
    records.fold(150, 8);
    assert_eq!(check_url(&records, "http://a.example/projects/x/y", 0), Validity::Invalid);
    assert_eq!(check_url(&records, "http://a.example/about", 0), Validity::Valid);
    let mut records = filled(200, |n| InvalidationTarget::Path(format!("/issues/{n}")));
    records.fold(150, 8);
    assert_eq!(check_url(&records, "http://any.example/issues/x", 0), Validity::Invalid);
    assert_eq!(check_url(&records, "http://any.example/about", 0), Validity::Valid);
}

#[test]
fn callers_become_all_callers_and_nothing_that_is_for_everybody() {
    let mut records = filled(200, |n| InvalidationTarget::Identity(n.to_string()));
    records.fold(150, 8);
    let of = |tags: &[Tag]| records.check(&Subject { url: "http://a/x", tags: tags.into() }, Position(0));
    assert_eq!(of(&[Tag::any_identity(), Tag::identity("other")]), Validity::Invalid);
    assert_eq!(of(&[]), Validity::Valid);
}

#[test]
fn a_fold_never_forgets_what_was_hard_or_soft() {
    let mut records = Records::default();
    for n in 1..=200_u64 {
        let invalidation = Invalidation { targets: vec![InvalidationTarget::Url(format!("http://a/i/{n}"))], soft: n > 20 };
        records.add(&invalidation, Vec::new(), Position(n));
    }
    records.fold(150, 8);
    assert_eq!((check_url(&records, "http://a/i/5", 4), check_url(&records, "http://a/i/90", 30)), (Validity::Invalid, Validity::Stale));
}

#[test]
fn unknown_hosts_leave_no_other_way_than_everything() {
    let mut records = filled(200, |n| InvalidationTarget::Url(format!("http://{n}.example/")));
    records.fold(150, 8);
    assert_eq!((records.folds.everything, records.floor), (1, Position(101)));
}

#[test]
fn patterns_are_bounded_by_themselves() {
    let mut records = filled(10, |n| InvalidationTarget::Pattern(format!("b/{n}")));
    records.fold(8, 8);
    assert_eq!((records.floor, records.len()), (Position(6), 4));
}

#[test]
fn regular_expressions_are_bounded_by_themselves() {
    let records = filled(MAX_REGEXES as u64 + 1, |n| InvalidationTarget::Regex(format!("b/{n}")));
    assert_eq!((records.floor, records.len()), (Position(33), 32));
}

#[test]
fn a_pattern_purged_again_and_again_is_one_record() {
    let records = filled(10, |_| InvalidationTarget::Pattern("a/*".to_owned()));
    assert_eq!(records.len(), 1);
    assert_eq!(check(&records, "x", 9), Validity::Invalid);
    assert_eq!(check(&records, "x", 10), Validity::Valid);
}

#[test]
fn after_everything_no_other_record_is_needed() {
    let mut records = filled(10, |n| InvalidationTarget::Tag(n.to_string()));
    add(&mut records, InvalidationTarget::All, 11);
    assert_eq!(records.len(), 0);
    assert_eq!(check(&records, "x", 10), Validity::Invalid);
    assert_eq!(check(&records, "x", 11), Validity::Valid);
}

#[test]
fn records_go_with_the_longest_lifetime_that_they_can_concern() {
    let (at, hour) = (|secs: u64| Timestamp::from_secs(1_000_000 + secs), 3_600_000);
    let mut records = filled(1, |_| InvalidationTarget::Tag("t".to_owned()));
    records.age(at(0), Position(1), hour);
    records.age(at(3_600), Position(1), hour);
    assert_eq!(records.len(), 1);
    assert_eq!(check(&records, "other", 0), Validity::Valid);
    records.age(at(3_601), Position(1), hour);
    assert_eq!(records.len(), 0);
    // Entries from before can no longer be vouched for.
    assert_eq!(check(&records, "t", 0), Validity::Invalid);
    assert_eq!(check(&records, "t", 1), Validity::Valid);
}

#[test]
fn all_spellings_of_a_url_are_invalidated_whatever_names_them() {
    use InvalidationTarget as Target;
    for target in [
        Target::Url("http://a.example/~ann/x".to_owned()),
        Target::Url("http://a.example/%7eann/b/../x".to_owned()),
        Target::Path("/~ann/x".to_owned()),
        Target::Path("/%7eann//x".to_owned()),
        Target::Prefix("/~ann".to_owned()),
        Target::Prefix("a.example/%7Eann/".to_owned()),
        Target::Pattern("a.example/~ann/*".to_owned()),
        Target::Regex("^a.example/~ann/".to_owned()),
    ] {
        let mut records = Records::default();
        add(&mut records, target.clone(), 1);
        for url in ["http://a.example/~ann/x", "http://a.example/%7Eann/x", "http://a.example./%7eann/./x"] {
            assert_eq!(check_url(&records, url, 0), Validity::Invalid, "{target:?} and {url}");
        }
        assert_eq!(check_url(&records, "http://a.example/~bob/x", 0), Validity::Valid, "{target:?}");
    }
    for text in ["a.example/%7Eann/*", "a.example/b/../x"] {
        let mut records = Records::default();
        add(&mut records, Target::Pattern(text.to_owned()), 1);
        let url = format!("http://{}", text.replace('*', "x"));
        assert_eq!(check_url(&records, &url, 0), Validity::Invalid, "as it was sent: {url}");
    }
}

#[test]
fn a_fold_covers_all_spellings_of_the_urls_that_it_stands_for() {
    for of in [|n: u64| format!("http://a.example/%7Eann/{n}"), |n| format!("http://a.example/x/../~ann/{n}")] as [fn(u64) -> String; 2] {
        for target in [
            |n, of: fn(u64) -> String| InvalidationTarget::Url(of(n)),
            |n, of: fn(u64) -> String| InvalidationTarget::Path(of(n).replace("http://a.example", "")),
        ] as [fn(u64, fn(u64) -> String) -> InvalidationTarget; 2]
        {
            let mut records = filled(200, |n| target(n, of));
            records.fold(150, 8);
            assert_eq!(records.folds, Folds { coarser: 1, everything: 0 });
            for url in ["http://a.example/~ann/7", "http://a.example/%7eann/7", "http://a.example//~ann/7"] {
                assert_eq!(check_url(&records, url, 6), Validity::Invalid, "{} and {url}", of(7));
            }
        }
    }
}
