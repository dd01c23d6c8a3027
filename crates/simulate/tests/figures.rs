//! Figures that are made of decisions.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use larder_semantics::{Reason, Timestamp};
use larder_simulate::{
    Account, Advisor, Answers, Curve, CurvePoint, Decision, Evidence, LineCounts, LogRecord, Report, Sampler, SplitBy, Verdict, svg,
};

fn record(second: u64, target: &str) -> LogRecord {
    LogRecord {
        time: Timestamp::from_secs(1_796_029_200 + second),
        client: None,
        method: Method::GET,
        secure: None,
        host: None,
        target: target.parse().unwrap(),
        status: StatusCode::OK,
        bytes: 100,
        origin_time: None,
        user: None,
        request_fields: HeaderMap::new(),
        response_fields: HeaderMap::new(),
        body_hash: None,
        was_hit: None,
    }
}

fn decision(verdict: Verdict, reason: Reason) -> Decision {
    Decision {
        route: Some(0),
        verdict,
        reason,
        stored: verdict == Verdict::Miss,
        stale: false,
        url: None,
        fields: Vec::new(),
        lifetime: Some(60),
        origin_requests: u32::from(verdict != Verdict::Hit),
        is_write: false,
        invalidates: 0,
    }
}

fn names() -> Vec<Arc<str>> {
    vec!["a".into(), "b".into()]
}

fn report(account: &Account) -> Report {
    account.report(LineCounts::default())
}

#[test]
fn the_origins_time_of_a_hit_elsewhere_is_the_mean_of_its_route() {
    let mut account = Account::new(names());
    for millis in [100, 300] {
        let slow = LogRecord { origin_time: Some(Duration::from_millis(millis)), ..record(0, "/a") };
        account.add(&slow, &decision(Verdict::Miss, Reason::Absent));
    }
    let elsewhere = LogRecord { origin_time: Some(Duration::from_millis(1)), was_hit: Some(true), ..record(1, "/a") };
    account.add(&elsewhere, &decision(Verdict::Hit, Reason::Fresh));
    let total = report(&account).total;
    assert_eq!((total.origin_us, total.saved_us), (600_000, 200_000));
}

#[test]
fn the_busiest_second_is_counted_with_and_without_the_cache() {
    let mut account = Account::new(names());
    for (second, count, verdict) in [(0, 5, Verdict::Miss), (1, 9, Verdict::Hit), (2, 7, Verdict::Miss)] {
        (0..count).for_each(|_| account.add(&record(second, "/a"), &decision(verdict, Reason::Fresh)));
    }
    let origin = report(&account).origin;
    assert_eq!((origin.without.requests, origin.without.in_busiest_second, origin.without.busiest_second), (21, 9, 1_796_029_201));
    assert_eq!((origin.with.requests, origin.with.in_busiest_second, origin.with.busiest_second), (12, 7, 1_796_029_202));
}

#[test]
fn what_is_not_stored_is_counted_by_reason_and_writes_are_none_of_it() {
    let mut account = Account::new(names());
    let unstored = |route, reason| Decision { route, stored: false, ..decision(Verdict::Miss, reason) };
    for (route, reason, count) in
        [(Some(0), Reason::NoStore, 2), (Some(1), Reason::NoStore, 3), (Some(1), Reason::Cookie, 1), (None, Reason::OddPath, 1)]
    {
        (0..count).for_each(|_| account.add(&record(0, "/a"), &unstored(route, reason)));
    }
    let write = Decision { is_write: true, invalidates: 2, stored: false, ..decision(Verdict::Bypass, Reason::Method) };
    account.add(&LogRecord { method: Method::POST, ..record(0, "/a") }, &write);
    account.add(&record(0, "/a"), &decision(Verdict::Miss, Reason::Purged));
    let report = report(&account);
    let reasons: Vec<(&str, u64, String)> =
        report.not_stored.iter().map(|reason| (reason.reason, reason.requests, reason.routes.join(" "))).collect();
    let expected = [("no-store", 5, "b a"), ("cookie", 1, "b"), ("odd-path", 1, "(no route)")];
    assert!(expected.iter().all(|(word, count, routes)| reasons.contains(&(word, *count, (*routes).to_owned()))), "{reasons:?}");
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert_eq!((report.writes.writes, report.writes.with_targets, report.writes.refetched), (1, 1, 1));
}

#[test]
fn stale_answers_are_counted_by_reason() {
    let mut account = Account::new(names());
    let stale = |reason| Decision { stale: true, ..decision(Verdict::Hit, reason) };
    account.add(&record(0, "/a"), &stale(Reason::StaleWhileRevalidate));
    account.add(&record(0, "/a"), &stale(Reason::StaleWhileRevalidate));
    account.add(&record(0, "/a"), &stale(Reason::StaleIfError));
    let stale: Vec<(&str, u64)> = report(&account).stale.iter().map(|stale| (stale.reason, stale.requests)).collect();
    assert_eq!(stale, [("stale-while-revalidate", 2), ("stale-if-error", 1)]);
}

fn filled(url: &str) -> Decision {
    Decision { url: Some(url.into()), ..decision(Verdict::Miss, Reason::Absent) }
}

#[test]
fn a_parameter_without_effect_splits_needlessly_and_one_with_an_effect_does_not() {
    let mut account = Account::new(names());
    for number in 0..20_u64 {
        // The page decides about the size, the session about nothing.
        let url = format!("http://h/a?page={}&session={number}", number % 2);
        let record = LogRecord { bytes: 100 + number % 2, ..record(number, "/a") };
        account.add(&record, &filled(&url));
    }
    let splits = report(&account).splits;
    let [split] = splits.as_slice() else { panic!("{splits:?}") };
    assert_eq!((split.by, split.name.as_str(), split.route.as_str(), split.needless_fetches), (SplitBy::Parameter, "session", "a", 18));
    assert!(split.agreement > 0.99);
}

#[test]
fn a_header_without_effect_splits_needlessly_and_one_with_an_effect_does_not() {
    let mut account = Account::new(names());
    for number in 0..20_u64 {
        // The language decides about the size, the version of the client about nothing.
        let value = |text: String| HeaderValue::from_str(&text).unwrap();
        let request_fields = HeaderMap::from_iter([
            (header::ACCEPT_LANGUAGE, value(format!("l{}", number % 2))),
            (header::USER_AGENT, value(format!("v{number}"))),
        ]);
        let record = LogRecord { bytes: 100 + number % 2, request_fields, ..record(number, "/a") };
        let fields = vec![header::ACCEPT_LANGUAGE, header::USER_AGENT];
        account.add(&record, &Decision { fields, ..filled("http://h/a") });
    }
    let splits = report(&account).splits;
    let [split] = splits.as_slice() else { panic!("{splits:?}") };
    assert_eq!((split.by, split.name.as_str(), split.needless_fetches), (SplitBy::Header, "user-agent", 18));
    assert!(split.agreement > 0.99);
}

#[test]
fn a_parameter_is_compared_among_requests_with_the_same_headers() {
    let mut account = Account::new(names());
    for number in 0..20_u64 {
        let language = HeaderValue::from_str(&format!("l{}", number % 2)).unwrap();
        let request_fields = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, language)]);
        let record = LogRecord { bytes: 100 + number % 2, request_fields, ..record(number, "/a") };
        account.add(&record, &Decision { fields: vec![header::ACCEPT_LANGUAGE], ..filled(&format!("http://h/a?session={number}")) });
    }
    let splits = report(&account).splits;
    let [split] = splits.as_slice() else { panic!("{splits:?}") };
    assert_eq!((split.by, split.name.as_str(), split.needless_fetches), (SplitBy::Parameter, "session", 18));
}

#[test]
fn a_fetch_after_the_lifetime_of_the_other_answer_is_not_needless() {
    let mut account = Account::new(names());
    for number in 0..20_u64 {
        account.add(&record(number * 61, "/a"), &filled(&format!("http://h/a?session={number}")));
    }
    assert_eq!(report(&account).splits, []);
}

#[test]
fn the_names_of_parameters_that_clients_choose_do_not_fill_the_memory() {
    let mut account = Account::new(names());
    for number in 0..5_000_u64 {
        account.add(&record(0, "/a"), &filled(&format!("http://h/a?p{}={number}", number / 2)));
    }
    assert!(report(&account).splits.len() <= 10);
}

fn asked(second: u64, tag: u64) -> LogRecord {
    let fields = HeaderMap::from_iter([(header::ETAG, HeaderValue::from_str(&format!("\"{tag}\"")).unwrap())]);
    LogRecord { response_fields: fields, ..record(second, "/a") }
}

#[test]
fn a_lifetime_is_advised_that_risks_little() {
    let mut advisor = Advisor::new(names());
    // Asked for every second, and another one every 1000 seconds: a minute's lifetime is stale for 60 seconds of these at most.
    for second in 0..10_000 {
        advisor.add(&asked(second, second / 1000), &filled("http://h/a"));
    }
    let advice = advisor.advice();
    let [advice] = advice.as_slice() else { panic!("{advice:?}") };
    assert_eq!((advice.requests, advice.changes, advice.evidence), (10_000, 9, Evidence::EntityTag));
    let advised = advice.advised.expect("one is safe");
    assert_eq!(advised.seconds, 15);
    assert!(advised.hit_ratio > 0.93 && advised.stale_ratio < 0.01, "{advised:?}");
    let hour = advice.tried.iter().find(|lifetime| lifetime.seconds == 3600).expect("tried");
    assert!(hour.stale_ratio > 0.5, "{hour:?}");
}

#[test]
fn changes_are_told_by_the_hash_of_the_body_where_the_log_has_it_and_hits_tell_nothing() {
    let mut advisor = Advisor::new(names());
    let hashed = |second, hash: &str| LogRecord { body_hash: Some(hash.into()), was_hit: Some(false), ..asked(second, second) };
    let hit = |second, bytes| LogRecord { bytes, was_hit: Some(true), ..record(second, "/a") };
    // The entity tag is another one each time, and the length of a hit depends on the coding.
    for record in [hashed(0, "a1"), hit(5, 70), hashed(10, "a1"), hit(15, 80), hashed(20, "b2"), hashed(30, "b2"), hit(35, 70)] {
        advisor.add(&record, &filled("http://h/a"));
    }
    let advice = advisor.advice();
    assert_eq!((advice[0].requests, advice[0].changes, advice[0].evidence), (7, 1, Evidence::BodyHash));
}

#[test]
fn the_first_hash_of_what_was_known_otherwise_is_no_change() {
    let mut advisor = Advisor::new(names());
    let hashed = |second, hash: &str| LogRecord { body_hash: Some(hash.into()), ..record(second, "/a") };
    for record in [record(0, "/a"), hashed(1, "a1"), hashed(2, "a1")] {
        advisor.add(&record, &filled("http://h/a"));
    }
    let advice = &advisor.advice()[0];
    assert_eq!((advice.changes, advice.evidence), (0, Evidence::Size));
    assert!(advice.tried.iter().all(|lifetime| lifetime.stale_ratio == 0.0), "{advice:?}");
    advisor.add(&hashed(3, "b2"), &filled("http://h/a"));
    assert_eq!(advisor.advice()[0].changes, 1);
}

#[test]
fn the_weakest_evidence_is_told_and_a_304_says_that_nothing_has_changed() {
    let mut advisor = Advisor::new(names());
    advisor.add(&asked(0, 1), &filled("http://h/a"));
    let not_modified = LogRecord { status: StatusCode::NOT_MODIFIED, bytes: 0, ..record(10, "/a") };
    advisor.add(&not_modified, &filled("http://h/a"));
    advisor.add(&asked(20, 1), &filled("http://h/a"));
    let advice = advisor.advice();
    assert_eq!((advice[0].requests, advice[0].changes, advice[0].evidence), (3, 0, Evidence::EntityTag));
    advisor.add(&record(30, "/b"), &filled("http://h/b"));
    assert_eq!(advisor.advice()[0].evidence, Evidence::Size);
}

#[test]
fn a_sample_takes_keys_wholly_or_not_at_all_and_about_as_many_as_it_should() {
    let sampler = Sampler::of_share(0.1);
    let taken = (0..20_000).filter(|number| sampler.takes(&format!("http://h/{number}"))).count();
    assert!((1_800..2_200).contains(&taken), "{taken}");
    assert_eq!(Sampler::of_share(7.0).share(), 1.0);
    assert_eq!(Sampler::of_share(f64::NAN).share(), 1.0);
    assert_eq!(Sampler::for_bytes(0, 0).share(), 1.0);
    assert_eq!(Sampler::for_bytes(u64::MAX, 100).share(), 0.01);
    assert_eq!(Sampler::for_bytes(100_000_000, 100).share(), 0.1, "a million lines");
    assert_eq!(sampler.sizes(160)[4], (160, 16));
}

#[test]
fn what_the_origin_would_have_answered_to_a_304_is_as_long_as_it_was_before() {
    let mut answers = Answers::default();
    let not_modified = |target| LogRecord { status: StatusCode::NOT_MODIFIED, bytes: 0, ..record(0, target) };
    answers.of(&LogRecord { bytes: 700, ..record(0, "/a") });
    answers.of(&LogRecord { bytes: 300, ..record(0, "/b") });
    let (known, unknown) = (answers.of(&not_modified("/a")), answers.of(&not_modified("/c")));
    assert_eq!((known.status, known.size, unknown.size), (StatusCode::OK, 700, 500));
    assert_eq!((answers.assumed().unknown_sizes, answers.assumed().without_lifetime), (1, 4));
}

#[test]
fn the_drawing_has_a_point_for_each_size_and_ratio() {
    let points = vec![
        CurvePoint { requests: 10, hits: 5, ..CurvePoint::new(1 << 20) },
        CurvePoint { requests: 10, hits: 10, ..CurvePoint::new(3 << 19) },
    ];
    let curve = Some(Curve { share: 1.0, configured: 1 << 20, points });
    let drawing = svg(&Report { curve, from_ms: 1_796_029_200_000, to_ms: 1_796_029_200_000, ..Report::default() }).expect("a curve");
    assert_eq!(drawing.matches("<circle").count(), 4);
    for text in ["30 Nov 2026 09:00", "1 MiB: 50.0 %", "1.5 MiB: 100.0 %", "</svg>"] {
        assert!(drawing.contains(text), "{text}: {drawing}");
    }
    assert_eq!(svg(&Report::default()), None);
}
