//! Properties that hold for every request, response and time.

use std::cell::Cell;

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use larder_semantics::{
    Decision, Disposition, Exchange, Freshened, Policy, RequestContext, StoredHead, Timestamp, VarySpec, decide, on_response,
    serve_on_error,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

const T0: u64 = 784_111_777;

fn cache_control() -> impl Strategy<Value = String> {
    let directive = select(vec![
        "max-age=60",
        "max-age=0",
        "s-maxage=30",
        "public",
        "private",
        "no-cache",
        "must-revalidate",
        "stale-while-revalidate=30",
        "stale-if-error=30",
        "immutable",
        "max-age=\"x\"",
        "ext=\"a,b\"",
    ]);
    prop::collection::vec(directive, 0..4).prop_map(|directives| directives.join(", "))
}

fn request_control() -> impl Strategy<Value = String> {
    let directive = select(vec![
        "max-age=20",
        "max-stale",
        "max-stale=10",
        "min-fresh=5",
        "no-cache",
        "no-store",
        "only-if-cached",
        "stale-if-error=9",
    ]);
    prop::collection::vec(directive, 0..3).prop_map(|directives| directives.join(", "))
}

/// `no-store` among other directives, in any case, with what may stand around it.
fn no_store() -> impl Strategy<Value = Vec<String>> {
    let spelled = prop::collection::vec(any::<bool>(), 8).prop_map(|upper| {
        let letters = "no-store".chars().zip(upper);
        letters.map(|(letter, upper)| if upper { letter.to_ascii_uppercase() } else { letter }).collect::<String>()
    });
    let around = select(vec!["", " ", "\t", ",", " , ", ",,"]);
    let argument = select(vec!["", "=", "=1", "=\"x\"", " =1", "= x"]);
    let before = select(vec!["", "max-age=60,", "ext=\"a, b\",", "ext=\"open, ", "public, s-maxage=60 ,", "x=y,", "ext=\"\\\"\","]);
    let after = select(vec!["", ",max-age=60", ", ext=1", ",public", "\t,x"]);
    let other = cache_control();
    (before, around, spelled, argument, after, other, any::<bool>()).prop_map(|(before, around, spelled, argument, after, other, first)| {
        let line = format!("{before}{around}{spelled}{argument}{after}");
        if first { vec![line, other] } else { vec![other, line] }
    })
}

fn map(name: HeaderName, lines: &[String]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    lines.iter().for_each(|line| _ = headers.append(&name, HeaderValue::from_str(line).unwrap()));
    headers
}

fn respond(policy: &Policy, request_headers: &HeaderMap, headers: &HeaderMap, status: u16, candidates: &[&StoredHead]) -> Disposition {
    let request = RequestContext::new(&Method::GET, request_headers, policy, false, false);
    let at = Timestamp::from_secs(T0);
    let exchange = Exchange {
        policy,
        request: &request,
        method: &Method::GET,
        request_headers,
        request_time: at,
        response_time: at,
        status: StatusCode::from_u16(status).unwrap(),
        headers,
    };
    on_response(&exchange, candidates)
}

/// `Accept-Encoding` fields of few codings and weights, so that two of them often mean the same.
fn accept_encoding() -> impl Strategy<Value = String> {
    let coding = select(vec!["gzip", "GZIP", "x-gzip", "br", "identity", "*"]);
    let weight = select(vec!["", ";q=1", ";q=0.5", "; q=0.50", ";q=0", ";q=0.000"]);
    prop::collection::vec((coding, weight).prop_map(|(coding, weight)| format!("{coding}{weight}")), 0..4)
        .prop_map(|members| members.join(", "))
}

/// Whether a coding is acceptable, straight from RFC 9110 §12.5.3: in thousandths, `None` where no member is about it.
fn weight_of(field: &str, coding: &str) -> Option<u32> {
    let members = field.split(", ").filter(|member| !member.is_empty()).map(|member| {
        let (name, weight) = member.split_once(';').unwrap_or((member, "q=1"));
        let weight: f32 = weight.trim().trim_start_matches("q=").parse().unwrap();
        (name.to_ascii_lowercase().replace("x-gzip", "gzip"), (weight * 1000.0) as u32)
    });
    let members: Vec<_> = members.collect();
    let named = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, weight)| *weight);
    named(coding).or_else(|| named("*"))
}

fn acceptable(field: &str, coding: &str) -> bool {
    weight_of(field, coding).map_or(coding == "identity", |weight| weight > 0)
}

const CC: HeaderName = http::header::CACHE_CONTROL;

proptest! {
    // Two fields seldom mean the same, and the first property is about those that do.
    #![proptest_config(Config { max_global_rejects: 40 * Config::default().cases, ..Config::default() })]

    #[test]
    fn requests_that_share_a_variant_accept_and_prefer_the_same_codings(one in accept_encoding(), other in accept_encoding()) {
        let spec = VarySpec::new(vec![ACCEPT_ENCODING]);
        let key = |field: &str| spec.secondary_key(&map(ACCEPT_ENCODING, &[field.to_owned()]));
        prop_assume!(key(&one) == key(&other));
        for coding in ["gzip", "br", "identity", "zstd"] {
            prop_assert_eq!(acceptable(&one, coding), acceptable(&other, coding), "{} of {:?} and {:?}", coding, one, other);
        }
        let prefers = |field: &str| weight_of(field, "gzip").cmp(&weight_of(field, "br"));
        if acceptable(&one, "gzip") && acceptable(&one, "br") {
            prop_assert_eq!(prefers(&one), prefers(&other));
        }
    }

    #[test]
    fn no_response_with_no_store_under_any_spelling_is_stored(lines in no_store(), status in select(vec![200_u16, 301, 404, 500]), ttl in select(vec![0_u32, 60])) {
        let policy = Policy::default().with(|policy| policy.ttl = ttl);
        let found = respond(&policy, &HeaderMap::new(), &map(CC, &lines), status, &[]);
        prop_assert!(matches!(found, Disposition::Pass { .. }), "{lines:?}: {found:?}");
    }

    #[test]
    fn no_304_with_no_store_under_any_spelling_keeps_what_it_confirms(lines in no_store()) {
        let policy = Policy::default();
        let mut headers = map(CC, &["max-age=60".to_owned()]);
        headers.insert("etag", HeaderValue::from_static("\"1\""));
        let Disposition::Store { head, .. } = respond(&policy, &HeaderMap::new(), &headers, 200, &[]) else { unreachable!() };
        let found = respond(&policy, &HeaderMap::new(), &map(CC, &lines), 304, &[&head]);
        prop_assert!(matches!(found, Disposition::Freshen { answer: Freshened { keep: false, .. }, .. }), "{lines:?}: {found:?}");
    }

    #[test]
    fn no_answer_to_a_no_store_request_is_stored(lines in no_store(), directives in cache_control()) {
        let found = respond(&Policy::default(), &map(CC, &lines), &map(CC, &[directives]), 200, &[]);
        prop_assert!(matches!(found, Disposition::Pass { .. }), "{lines:?}: {found:?}");
    }
}

/// Runs `check` over random inputs; it says whether the response of the case was stored, which most have to be: a property of stored responses
/// shows nothing where none is.
fn of_what_is_stored<T: std::fmt::Debug>(inputs: impl Strategy<Value = T>, check: impl Fn(T) -> Result<bool, TestCaseError>) {
    let (cases, stored) = (Cell::new(0_u32), Cell::new(0_u32));
    let outcome = TestRunner::new(Config::with_source_file(file!())).run(&inputs, |input| {
        let is_stored = check(input)?;
        cases.set(cases.get() + 1);
        stored.set(stored.get() + u32::from(is_stored));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(stored.get() * 2 > cases.get(), "of {} responses {} were stored", cases.get(), stored.get());
}

#[test]
fn age_never_falls_and_a_stale_response_never_becomes_fresh() {
    let times = prop::collection::vec(0_u64..400_000, 2..12);
    of_what_is_stored((cache_control(), request_control(), "[0-9]{0,12}", times), |(directives, asks, age, mut times)| {
        let policy = Policy::default();
        let mut headers = map(CC, &[directives]);
        headers.insert("etag", HeaderValue::from_static("\"1\""));
        headers.insert("age", HeaderValue::from_str(&age).unwrap());
        let Disposition::Store { head, .. } = respond(&policy, &HeaderMap::new(), &headers, 200, &[]) else { return Ok(false) };
        let request = RequestContext::new(&Method::GET, &map(CC, &[asks]), &policy, false, false);
        times.sort_unstable();
        let (mut last, mut rank) = (0, 0);
        for millis in times {
            let now = Timestamp::from_millis(T0 * 1000 + millis);
            prop_assert!(head.age(now) >= last);
            last = head.age(now);
            // As time goes on a response is served less willingly, never more.
            let decision = match decide(&policy, &request, Some(&head), now) {
                Decision::Serve { age, .. } => {
                    prop_assert_eq!(age, last);
                    u8::from(head.ttl(now) <= 0)
                }
                Decision::ServeStale { age, .. } => {
                    prop_assert_eq!(age, last);
                    prop_assert!(head.ttl(now) <= 0);
                    1
                }
                Decision::Validate { .. } | Decision::Forward { .. } | Decision::GatewayTimeout { .. } => 2,
            };
            prop_assert!(decision >= rank, "{decision} after {rank}");
            rank = decision;
        }
        Ok(true)
    });
}

#[test]
fn a_directive_that_forbids_stale_wins_over_all_others() {
    of_what_is_stored((cache_control(), request_control(), 0_u64..200), |(directives, asks, seconds)| {
        let policy = Policy::default().with(|policy| {
            policy.stale_while_revalidate = 1000;
            policy.stale_if_error = 1000;
        });
        let mut headers = map(CC, &[directives, "must-revalidate".to_owned()]);
        headers.insert("etag", HeaderValue::from_static("\"1\""));
        let Disposition::Store { head, .. } = respond(&policy, &HeaderMap::new(), &headers, 200, &[]) else { return Ok(false) };
        let request = RequestContext::new(&Method::GET, &map(CC, &[asks]), &policy, false, false);
        let now = Timestamp::from_secs(T0 + seconds);
        prop_assume!(head.ttl(now) <= 0);
        let decision = decide(&policy, &request, Some(&head), now);
        prop_assert!(!matches!(decision, Decision::Serve { .. } | Decision::ServeStale { .. }), "{decision:?}");
        prop_assert_eq!(serve_on_error(&policy, &request, &head, now), None);
        Ok(true)
    });
}

#[test]
fn only_if_cached_never_asks_the_origin() {
    of_what_is_stored((cache_control(), request_control(), 0_u64..200), |(directives, asks, seconds)| {
        let policy = Policy::default();
        let mut headers = map(CC, &[directives]);
        headers.insert("etag", HeaderValue::from_static("\"1\""));
        let stored = respond(&policy, &HeaderMap::new(), &headers, 200, &[]);
        let head = if let Disposition::Store { head, .. } = &stored { Some(&**head) } else { None };
        let request = RequestContext::new(&Method::GET, &map(CC, &[asks, "only-if-cached".to_owned()]), &policy, false, false);
        let decision = decide(&policy, &request, head, Timestamp::from_secs(T0 + seconds));
        prop_assert!(!matches!(decision, Decision::Validate { .. } | Decision::Forward { .. }), "{decision:?}");
        Ok(head.is_some())
    });
}
