//! A differential test against `http-cache-semantics`, with a list of where it differs and why we do not follow it.
//!
//! Both are asked the same question: may this stored response answer this request, so many seconds later, without asking the origin? Where
//! the answers differ, a row of [`DIVERGENCES`] must excuse it; and each row must be needed, so that none outlives its reason.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use larder_semantics::{Decision, Disposition, Exchange, Policy, RequestContext, Timestamp, decide, on_response};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Sun, 06 Nov 1994 08:49:37 GMT.
const T0: u64 = 784_111_777;

/// How many random cases; enough for every row of the list to be met.
const CASES: usize = 30_000;

#[derive(Clone, Debug)]
struct Case {
    status: u16,
    response: Vec<(&'static str, &'static str)>,
    storing: Vec<(&'static str, &'static str)>,
    asking: Vec<(&'static str, &'static str)>,
    later: u64,
}

impl Case {
    fn says(&self, field: &str, text: &str) -> bool {
        self.response.iter().any(|(name, value)| *name == field && value.contains(text))
    }

    fn asks(&self, field: &str, text: &str) -> bool {
        self.asking.iter().any(|(name, value)| *name == field && value.contains(text))
    }
}

struct Divergence {
    /// Where the rule stands.
    section: &'static str,
    /// The other side's decision.
    theirs: &'static str,
    excuses: fn(&Case) -> bool,
}

const CC: &str = "cache-control";

const DIVERGENCES: &[Divergence] = &[
    Divergence {
        section: "RFC 9111 §5.2: directives are compared case-insensitively",
        theirs: "compares names as written, so No-Store is stored and Max-Age is no lifetime",
        excuses: |case| case.says(CC, "No-Store") || case.says(CC, "Private") || case.says(CC, "Max-Age"),
    },
    Divergence {
        section: "RFC 9111 §5.2: a quoted-string is one argument",
        theirs: "splits at commas first, so a directive inside quotes counts",
        excuses: |case| case.says(CC, "ext="),
    },
    Divergence {
        section: "RFC 9111 §5.2.2.4, §5.2.2.7: no-cache and private with field names are about those fields",
        theirs: "takes the qualified form for the unqualified one",
        excuses: |case| case.says(CC, "=\"x-a\""),
    },
    Divergence {
        section: "RFC 9111 §5.2.2.8: proxy-revalidate is about stale responses",
        theirs: "takes it for a lifetime of 0",
        excuses: |case| case.says(CC, "proxy-revalidate"),
    },
    Divergence {
        section: "RFC 9111 §5.2.2.10: s-maxage implies proxy-revalidate",
        theirs: "lets max-stale have it",
        excuses: |case| case.says(CC, "s-maxage") && case.asks(CC, "max-stale"),
    },
    Divergence {
        section: "RFC 9111 §4.2.4: no-cache forbids serving stale",
        theirs: "takes it for a lifetime of 0, which max-stale outbids",
        excuses: |case| case.says(CC, "no-cache") && case.asks(CC, "max-stale"),
    },
    Divergence {
        section: "RFC 9111 §5.2.2.3: must-understand overrides no-store for understood statuses, and forbids the others",
        theirs: "does not know it",
        excuses: |case| case.says(CC, "must-understand"),
    },
    Divergence {
        section: "RFC 9111 §3: a final status with an explicit lifetime is storable",
        theirs: "stores a fixed list of statuses",
        excuses: |case| matches!(case.status, 403 | 500),
    },
    Divergence {
        section: "RFC 9111 §4.2.3: apparent_age counts",
        theirs: "ignores Date for the age",
        excuses: |case| case.response.iter().any(|(name, value)| *name == "date" && value.contains("08:49:07")),
    },
    Divergence {
        section: "RFC 9111 §5.1: the first member of a list in Age counts",
        theirs: "ignores the field",
        excuses: |case| case.says("age", ","),
    },
    Divergence {
        section: "RFC 9111 §4.2.1: invalid freshness information makes a response stale, so an Age that cannot be read does",
        theirs: "ignores the field",
        excuses: |case| case.says("age", "x"),
    },
    Divergence {
        section: "RFC 9110 §5.6.7: all three forms of a date are read",
        theirs: "reads one",
        excuses: |case| case.says("expires", "Sunday") || case.says("expires", "Nov  6"),
    },
    Divergence {
        section: "RFC 9111 §5.4: Pragma in a response means nothing",
        theirs: "takes it for no-cache",
        excuses: |case| case.says("pragma", "no-cache"),
    },
    Divergence {
        section: "RFC 9111 §5.4: Pragma in a request counts only without Cache-Control",
        theirs: "always counts it",
        excuses: |case| case.asks("pragma", "no-cache") && case.asks(CC, ""),
    },
    Divergence {
        section: "RFC 9111 §7.3: a cookie is for sharing where public, s-maxage or a qualified directive says so",
        theirs: "asks for public or immutable",
        excuses: |case| case.says("set-cookie", ""),
    },
    Divergence {
        section: "RFC 9111 §4.2.1: a lifetime without its argument is invalid, and so stale",
        theirs: "falls back to the next source",
        excuses: |case| case.response.iter().any(|(name, value)| *name == CC && value.split(", ").any(|part| part == "max-age")),
    },
    Divergence {
        section: "RFC 9111 §1.2.2: an overflowing number of seconds is 2^31",
        theirs: "takes it for 0",
        excuses: |case| case.says(CC, "max-age=99999999999999999999"),
    },
    Divergence {
        section: "RFC 9111 §4.2.1: of several lifetimes the first may be used",
        theirs: "adds must-revalidate where they differ, and reads the first",
        excuses: |case| {
            let lifetimes = case.response.iter().filter(|(name, _)| *name == CC).flat_map(|(_, value)| value.split(", "));
            lifetimes.filter(|part| part.starts_with("max-age")).count() > 1
        },
    },
    Divergence {
        section: "RFC 9111 §5.2.1.2: max-stale includes its own value",
        theirs: "excludes it",
        excuses: |case| case.asks(CC, "max-stale=10"),
    },
    Divergence {
        section: "RFC 9111 §5.2.1.1, read in the safe direction: a max-age that is no number is 0",
        theirs: "ignores it",
        excuses: |case| case.asks(CC, "max-age=x"),
    },
    Divergence {
        section: "RFC 8246 §2: a fresh immutable response is not validated for a reload",
        theirs: "validates it",
        excuses: |case| case.says(CC, "immutable") && case.asks(CC, "max-age"),
    },
    Divergence {
        section: "RFC 9111 §4.2.4 with ours: what is stale from the start and cannot be validated is not stored",
        theirs: "stores it, so max-stale can have it",
        excuses: |case| {
            let validated = case.says("etag", "") || case.says("last-modified", "");
            case.asks(CC, "max-stale") && !validated && !case.says(CC, "s-maxage=30")
        },
    },
];

fn cases() -> impl Strategy<Value = Case> {
    let directives = vec![
        "max-age=60",
        "max-age=5",
        "max-age=0",
        "max-age=x",
        "max-age",
        "max-age=99999999999999999999",
        "Max-Age=60",
        "s-maxage=30",
        "s-maxage=x",
        "public",
        "private",
        "Private",
        "private=\"x-a\"",
        "no-store",
        "No-Store",
        "no-cache",
        "no-cache=\"x-a\"",
        "must-revalidate",
        "proxy-revalidate",
        "must-understand",
        "immutable",
        "stale-while-revalidate=30",
        "ext=\"a, no-store\"",
        "ext=\"a, max-age=600\"",
    ];
    let fields = vec![
        ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
        ("expires", "Sunday, 06-Nov-94 08:50:37 GMT"),
        ("expires", "Sun Nov  6 08:50:37 1994"),
        ("expires", "0"),
        ("last-modified", "Sat, 05 Nov 1994 08:49:37 GMT"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("date", "Sun, 06 Nov 1994 08:49:07 GMT"),
        ("age", "10"),
        ("age", "10, 20"),
        ("age", "x"),
        ("set-cookie", "a=b"),
        ("vary", "*"),
        ("pragma", "no-cache"),
        ("etag", "\"1\""),
    ];
    let storing = vec![("authorization", "Basic x"), (CC, "no-store"), (CC, "max-age=0")];
    let asking = vec![
        ("pragma", "no-cache"),
        (CC, "no-cache"),
        (CC, "max-age=20"),
        (CC, "max-age=x"),
        (CC, "min-fresh=10"),
        (CC, "max-stale"),
        (CC, "max-stale=10"),
        (CC, "only-if-cached"),
    ];
    let response = (subsequence(directives, 0..3).prop_shuffle(), subsequence(fields, 0..4)).prop_map(|(directives, fields)| {
        let lines = directives.into_iter().map(|directive| (CC, directive));
        // One field of a name, as the other side reads one.
        let mut fields: Vec<_> = lines.chain(fields).collect();
        let mut seen = HashSet::new();
        fields.retain(|(name, _)| *name == CC || seen.insert(*name));
        fields
    });
    let status = select(vec![200, 200, 200, 200, 404, 302, 403, 500]);
    let later = select(vec![0, 4, 5, 15, 20, 29, 30, 49, 50, 60, 70, 600]);
    (status, response, subsequence(storing, 0..2), subsequence(asking, 0..3), later)
        .prop_map(|(status, response, storing, asking, later)| Case { status, response, storing, asking, later })
}

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn ours(case: &Case) -> bool {
    let policy = Policy::default().with(|policy| policy.heuristic_max = u32::MAX);
    let (storing, headers) = (map(&case.storing), map(&case.response));
    let request = RequestContext::new(&Method::GET, &storing, &policy, false, false);
    let exchange = Exchange {
        policy: &policy,
        request: &request,
        method: &Method::GET,
        request_headers: &storing,
        request_time: Timestamp::from_secs(T0),
        response_time: Timestamp::from_secs(T0),
        status: StatusCode::from_u16(case.status).unwrap(),
        headers: &headers,
    };
    let Disposition::Store { head, .. } = on_response(&exchange, &[]) else { return false };
    let asking = RequestContext::new(&Method::GET, &map(&case.asking), &policy, false, false);
    matches!(decide(&policy, &asking, Some(&head), Timestamp::from_secs(T0 + case.later)), Decision::Serve { .. })
}

fn theirs(case: &Case) -> bool {
    let request = |fields| {
        let mut request = Request::get("http://example.com/").body(()).unwrap();
        *request.headers_mut() = map(fields);
        request
    };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(case.status).unwrap();
    *response.headers_mut() = map(&case.response);
    let options = CacheOptions { shared: true, immutable_min_time_to_live: Duration::ZERO, ..CacheOptions::default() };
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let policy = CachePolicy::new_options(&request(&case.storing), &response, at(T0), options);
    policy.is_storable() && matches!(policy.before_request(&request(&case.asking), at(T0 + case.later)), BeforeRequest::Fresh(_))
}

#[test]
fn every_difference_from_http_cache_semantics_is_explained_by_a_section() {
    let mut runner = TestRunner::deterministic();
    let strategy = cases();
    // Rows that alone excuse a difference: others cannot do without them.
    let mut needed = vec![0_usize; DIVERGENCES.len()];
    for _ in 0..CASES {
        let case = strategy.new_tree(&mut runner).unwrap().current();
        let (ours, theirs) = (ours(&case), theirs(&case));
        if ours == theirs {
            continue;
        }
        let excuses: Vec<usize> = (0..DIVERGENCES.len()).filter(|&row| (DIVERGENCES[row].excuses)(&case)).collect();
        assert!(!excuses.is_empty(), "serve: ours {ours}, theirs {theirs}, and no section says why: {case:?}");
        if let [only] = excuses[..] {
            needed[only] += 1;
        }
    }
    for (row, count) in DIVERGENCES.iter().zip(needed) {
        assert!(count > 0, "no case needs: {} (theirs: {})", row.section, row.theirs);
    }
}
