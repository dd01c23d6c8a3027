//! Ranges of a complete stored response (RFC 9110 §14).

use http::{HeaderMap, Method};
use larder_semantics::StoredHead;
use larder_semantics::range::{Answer, ByteRange, PartialAnswer, answer_ranged, not_satisfiable_fields};

use crate::support::{Cache, Fields, HOUR_BEFORE, T0_DATE, map, text};

const CC: &str = "cache-control";

fn stored(response: Fields<'_>) -> StoredHead {
    Cache::default().store(&[response, &[(CC, "max-age=60"), ("date", T0_DATE), ("content-type", "text/plain")]].concat())
}

fn ask_of(length: u64, method: &Method, request: Fields<'_>, stored: &StoredHead) -> Answer {
    answer_ranged(&Cache::default().request(method, request), &map(request), stored, length)
}

fn ask(request: Fields<'_>, stored: &StoredHead) -> Answer {
    ask_of(1000, &Method::GET, request, stored)
}

fn partial(range: &str) -> PartialAnswer {
    match ask_of(10_000, &Method::GET, &[("range", range)], &stored(&[])) {
        Answer::Partial(partial) => *partial,
        other => panic!("{range}: {other:?}"),
    }
}

fn spans(partial: &PartialAnswer) -> Vec<(u64, u64)> {
    partial.ranges.iter().map(|range| (range.first, range.last)).collect()
}

#[test]
fn rfc9110_15_3_7_1_a_single_range() {
    for (range, first, last) in [("bytes=0-99", 0, 99), ("bytes=9990-", 9990, 9999), ("bytes=-1", 9999, 9999), ("bytes=5-99999", 5, 9999)] {
        let found = partial(range);
        assert_eq!(spans(&found), [(first, last)], "{range}");
        let fields = found.fields(&stored(&[("content-length", "10000")]));
        assert_eq!(text(&fields, "content-range").unwrap(), format!("bytes {first}-{last}/10000"));
        assert_eq!(text(&fields, "content-length").unwrap(), (last - first + 1).to_string());
        assert_eq!(text(&fields, "content-type").unwrap(), "text/plain");
    }
}

#[test]
fn rfc9530_2_a_digest_of_the_whole_content_is_not_that_of_a_part() {
    let head = stored(&[("content-digest", "sha-256=:AA==:"), ("content-md5", "AA=="), ("repr-digest", "sha-256=:BB==:")]);
    let kept = |fields: &HeaderMap| ["content-digest", "content-md5", "repr-digest"].map(|name| fields.contains_key(name));
    for ranges in ["bytes=0-9", "bytes=0-9, 5000-5009"] {
        assert_eq!(kept(&partial(ranges).fields(&head)), [false, false, true], "{ranges}");
    }
    assert_eq!(kept(&not_satisfiable_fields(&head, 10_000)), [false, false, true]);
}

#[test]
fn rfc9110_15_3_7_2_several_ranges_are_multipart() {
    let found = partial("bytes=0-9, 5000-5009");
    assert_eq!(spans(&found), [(0, 9), (5000, 5009)]);
    let head = stored(&[]);
    let fields = found.fields(&head);
    assert_eq!(fields.get("content-range"), None);
    let multipart = found.multipart.as_ref().unwrap();
    let content_type = text(&fields, "content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();

    let mut body = Vec::new();
    for &range in &found.ranges {
        body.extend(multipart.part_head(range, found.complete_length));
        body.extend(std::iter::repeat_n(b'x', usize::try_from(range.length()).unwrap()));
    }
    body.extend(multipart.closing());
    assert_eq!(text(&fields, "content-length").unwrap(), body.len().to_string());
    let body = String::from_utf8(body).unwrap();
    let expected = format!(
        "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-9/10000\r\n\r\nxxxxxxxxxx\
         \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 5000-5009/10000\r\n\r\nxxxxxxxxxx\
         \r\n--{boundary}--\r\n"
    );
    assert_eq!(body, expected);
}

#[test]
fn rfc9110_15_3_7_2_near_and_overlapping_ranges_are_coalesced() {
    assert_eq!(spans(&partial("bytes=0-9,5-20")), [(0, 20)]);
    assert_eq!(spans(&partial("bytes=100-199,0-50")), [(0, 199)]);
    assert_eq!(spans(&partial("bytes=5000-5009,0-9")), [(5000, 5009), (0, 9)]);
    assert!(partial("bytes=0-9,10-20").multipart.is_none());
}

#[test]
fn rfc9110_17_15_floods_get_the_whole_at_most_once() {
    let overlapping = format!("bytes={}", (0..60).map(|n| format!("{n}-")).collect::<Vec<_>>().join(","));
    assert_eq!(spans(&partial(&overlapping)), [(0, 9999)]);
    let costly = stored(&[("content-type", &format!("text/plain; x={}", "y".repeat(100)))]);
    let tiny = format!("bytes={}", (0..60).map(|n| format!("{0}-{0}", n * 131)).collect::<Vec<_>>().join(","));
    assert_eq!(ask_of(7_800, &Method::GET, &[("range", &tiny)], &costly), Answer::Full);
    let many = format!("bytes={}", vec!["0-0"; 1000].join(","));
    assert_eq!(ask(&[("range", &many)], &stored(&[])), Answer::Full);
}

#[test]
fn rfc9110_15_5_17_unsatisfiable_ranges() {
    let head = stored(&[("etag", "\"1\""), ("content-length", "1000")]);
    for range in ["bytes=1000-", "bytes=5000-6000", "bytes=-0", "bytes=1000-1001,2000-"] {
        assert_eq!(ask(&[("range", range)], &head), Answer::RangeNotSatisfiable { complete_length: 1000 }, "{range}");
    }
    let fields: HeaderMap = not_satisfiable_fields(&head, 1000);
    assert_eq!(text(&fields, "content-range").as_deref(), Some("bytes */1000"));
    assert_eq!(text(&fields, "content-length").as_deref(), Some("0"));
    assert!(matches!(ask(&[("range", "bytes=1000-,0-0")], &head), Answer::Partial(_)));
    assert_eq!(ask_of(0, &Method::GET, &[("range", "bytes=0-")], &head), Answer::RangeNotSatisfiable { complete_length: 0 });
    assert_eq!(ask_of(0, &Method::GET, &[("range", "bytes=-5")], &head), Answer::Full);
}

#[test]
fn rfc9110_14_2_where_range_is_ignored() {
    let head = stored(&[]);
    assert_eq!(ask_of(1000, &Method::HEAD, &[("range", "bytes=0-1")], &head), Answer::Full);
    for range in ["lines=0-1", "bytes=1-0", "bytes=x", "0-1"] {
        assert_eq!(ask(&[("range", range)], &head), Answer::Full, "{range}");
    }
    assert_eq!(ask(&[("range", "bytes=0-1"), ("range", "bytes=4-5")], &head), Answer::Full);
    let (missing, _) = Cache::default().store_with(&[], 404, &[(CC, "max-age=60")]);
    assert_eq!(ask(&[("range", "bytes=0-1")], &missing), Answer::Full);
}

#[test]
fn rfc9110_13_1_5_if_range_wants_a_strong_validator() {
    let head = stored(&[("etag", "\"1\""), ("last-modified", HOUR_BEFORE)]);
    let holds = |value: &str, head: &StoredHead| matches!(ask(&[("range", "bytes=0-1"), ("if-range", value)], head), Answer::Partial(_));
    assert!(holds("\"1\"", &head));
    assert!(!holds("\"2\"", &head));
    assert!(!holds("W/\"1\"", &head));
    assert!(!holds("W/\"1\"", &stored(&[("etag", "W/\"1\"")])));
    assert!(holds(HOUR_BEFORE, &head));
    assert!(!holds(T0_DATE, &head));
    assert!(!holds(T0_DATE, &stored(&[("last-modified", T0_DATE)])));
    assert!(!holds("rubbish", &head));
    assert!(!holds("\"1\"", &stored(&[])));
}

#[test]
fn rfc9110_13_2_2_other_preconditions_come_before_range() {
    let head = stored(&[("etag", "\"1\"")]);
    assert_eq!(ask(&[("range", "bytes=0-1"), ("if-none-match", "\"1\"")], &head), Answer::NotModified);
    assert_eq!(ask(&[("range", "bytes=0-1"), ("if-match", "\"2\"")], &head), Answer::PreconditionFailed);
    assert!(matches!(ask(&[("range", "bytes=0-1"), ("if-none-match", "\"2\"")], &head), Answer::Partial(_)));
}

#[test]
fn a_range_knows_its_length() {
    assert_eq!(ByteRange { first: 0, last: 0 }.length(), 1);
    assert_eq!(ByteRange { first: 0, last: u64::MAX }.length(), u64::MAX);
}
