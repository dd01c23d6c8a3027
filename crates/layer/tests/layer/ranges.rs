//! Ranges of what is too large to be kept whole: fetched alone, kept, joined and answered from (RFC 9111 §3.3, §3.4).

use crate::common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::{Origin, OriginBody, Read, Reply, channel, frame, header, request, response, send, streaming, with_rules};
use http::Request;
use http_body_util::{BodyExt, Full};
use larder_semantics::Reason;
use larder_semantics::range::{ByteRange, RangeSet};
use larder_tower::clock::ClockHand;
use larder_tower::{BodyError, CacheService, EffectiveTarget, RequestBody, RouteRules};

/// The length of the file that the origins here serve.
const LENGTH: u64 = 100;

/// Less than that.
const MAX: u64 = 60;

pub(crate) fn bytes(first: u64, last: u64) -> Bytes {
    (first..=last).map(|index| b'a' + (index % 26) as u8).collect()
}

fn body(content: Bytes) -> OriginBody {
    Full::new(content).map_err(Into::into).boxed_unsync()
}

fn file(request: &Request<RequestBody>, tag: &str) -> Reply {
    file_of(LENGTH, request, tag)
}

/// Answers as a file server does: ranges, `If-Range`, `If-None-Match`.
pub(crate) fn file_of(length: u64, request: &Request<RequestBody>, tag: &str) -> Reply {
    let field = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let tagged = |reply: Reply| reply.header("etag", tag).header("cache-control", "max-age=60");
    if field("if-none-match") == Some(tag) {
        return tagged(response(304, ""));
    }
    let set = RangeSet::parse(request.headers()).filter(|_| field("if-range").is_none_or(|known| known == tag));
    match set.as_ref().map(|set| &set.specs[..]) {
        Some([spec]) => match spec.satisfy(length) {
            Some(ByteRange { first, last }) => tagged(streaming(206, body(bytes(first, last))))
                .header("content-range", &format!("bytes {first}-{last}/{length}"))
                .header("content-length", &(last + 1 - first).to_string()),
            None => response(416, "").header("content-range", &format!("bytes */{length}")),
        },
        Some(_) => tagged(streaming(206, body("several".into()))).header("content-type", "multipart/byteranges; boundary=x"),
        None => tagged(streaming(200, body(bytes(0, length - 1)))).header("content-length", &length.to_string()),
    }
}

fn small() -> RouteRules {
    common::builder().max_object(MAX).build()
}

fn cached(origin: &Origin) -> (CacheService<Origin>, ClockHand) {
    with_rules(origin.clone(), small())
}

fn file_origin() -> Origin {
    Origin::new(|request| file(request, "\"1\""))
}

pub(crate) async fn range(cache: &CacheService<Origin>, range: &str) -> Read {
    send(cache, request("GET", "/a", &[("range", range)])).await
}

fn seen(read: &Read) -> (u16, String, String) {
    (read.response.status().as_u16(), read.x_cache(), header(&read.response, "content-range"))
}

fn is_part(read: &Read, x_cache: &str, first: u64, last: u64) {
    assert_eq!(seen(read), (206, x_cache.to_owned(), format!("bytes {first}-{last}/{LENGTH}")));
    assert_eq!(read.body.as_ref().expect("complete"), &bytes(first, last));
    assert_eq!(header(&read.response, "content-length"), (last + 1 - first).to_string());
    assert_eq!(header(&read.response, "etag"), "\"1\"");
}

#[tokio::test]
async fn a_range_of_something_too_large_is_fetched_alone_and_kept() {
    let origin = file_origin();
    let (cache, _) = cached(&origin);
    let first = range(&cache, "bytes=0-9").await;
    is_part(&first, "MISS", 0, 9);
    assert!(first.outcome.stored && header(&first.response, "cache-status").contains("fwd-status=206; stored"), "{:?}", first.response);
    // The whole was asked for first: nobody could know.
    assert!(!origin.fields(0).contains_key("range") && origin.fields(1)["range"] == "bytes=0-9");
    is_part(&range(&cache, "bytes=2-5").await, "HIT", 2, 5);
    is_part(&range(&cache, "bytes=0-9").await, "HIT", 0, 9);
    let beyond = range(&cache, "bytes=100-").await;
    assert_eq!(seen(&beyond), (416, "HIT".to_owned(), "bytes */100".to_owned()));
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn rfc9111_3_4_only_what_is_missing_is_fetched_and_joined() {
    let origin = file_origin();
    let (cache, _) = cached(&origin);
    range(&cache, "bytes=0-9").await;
    let longer = range(&cache, "bytes=5-19").await;
    is_part(&longer, "MISS", 5, 19);
    assert_eq!(longer.outcome.reason, Reason::Partial);
    assert!(origin.fields(2)["range"] == "bytes=10-19" && origin.fields(2)["if-range"] == "\"1\"");
    assert!(header(&longer.response, "cache-status").contains("fwd=partial; fwd-status=206"), "{:?}", longer.response);
    is_part(&range(&cache, "bytes=0-19").await, "HIT", 0, 19);
    // Apart from the rest, and then what lies between.
    is_part(&range(&cache, "bytes=-10").await, "MISS", 90, 99);
    is_part(&range(&cache, "bytes=30-39").await, "MISS", 30, 39);
    is_part(&range(&cache, "bytes=10-35").await, "MISS", 10, 35);
    assert_eq!(origin.fields(5)["range"], "bytes=20-29");
    is_part(&range(&cache, "bytes=0-39").await, "HIT", 0, 39);
    assert_eq!(origin.count(), 6);
}

#[tokio::test]
async fn stored_bytes_go_out_before_missing_ones_come() {
    let (mut sender, arriving) = channel();
    let (arriving, n) = (Mutex::new(Some(arriving)), AtomicUsize::new(0));
    let origin = Origin::new(move |request| match n.fetch_add(1, Ordering::SeqCst) {
        2 => streaming(206, arriving.lock().unwrap().take().expect("asked once"))
            .header("etag", "\"1\"")
            .header("cache-control", "max-age=60")
            .header("content-range", "bytes 10-19/100"),
        _ => file(request, "\"1\""),
    });
    let (cache, _) = cached(&origin);
    range(&cache, "bytes=0-9").await;
    let served =
        cache.serve(request("GET", "/a", &[("range", "bytes=5-19")]), EffectiveTarget::default(), |_| ()).await.expect("an answer");
    let mut body = served.response.into_body();
    assert_eq!(frame(&mut body).await.expect("stored").expect("whole"), bytes(5, 9));
    sender.send_data(bytes(10, 14)).await.unwrap();
    assert_eq!(frame(&mut body).await.expect("live").expect("whole"), bytes(10, 14));
    sender.send_data(bytes(15, 19)).await.unwrap();
    drop(sender);
    assert_eq!(frame(&mut body).await.expect("live").expect("whole"), bytes(15, 19));
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn rfc9111_3_3_a_part_that_breaks_off_is_not_kept() {
    let (sender, arriving) = channel();
    let (arriving, n) = (Mutex::new(Some(arriving)), AtomicUsize::new(0));
    let origin = Origin::new(move |request| match n.fetch_add(1, Ordering::SeqCst) {
        1 => streaming(206, arriving.lock().unwrap().take().expect("asked once"))
            .header("etag", "\"1\"")
            .header("cache-control", "max-age=60")
            .header("content-range", "bytes 0-9/100"),
        _ => file(request, "\"1\""),
    });
    drop(sender);
    let (cache, _) = cached(&origin);
    assert!(matches!(range(&cache, "bytes=0-9").await.body, Err(BodyError::Length { announced: 10, got: 0 })));
    is_part(&range(&cache, "bytes=0-9").await, "MISS", 0, 9);
    is_part(&range(&cache, "bytes=0-9").await, "HIT", 0, 9);
}

#[tokio::test]
async fn rfc9111_3_3_a_part_is_never_taken_for_the_whole() {
    let origin = file_origin();
    let (cache, _) = cached(&origin);
    range(&cache, "bytes=0-9").await;
    for fields in [&[][..], &[("if-none-match", "\"1\"")], &[("range", "bytes=0-9"), ("if-range", "\"2\"")]] {
        let whole = send(&cache, request("GET", "/a", fields)).await;
        assert_eq!((whole.response.status().as_u16(), whole.x_cache().as_str()), (200, "MISS"), "{fields:?}");
    }
    assert_eq!(send(&cache, request("HEAD", "/a", &[])).await.x_cache(), "MISS");
    let before = origin.count();
    is_part(&range(&cache, "bytes=0-9").await, "HIT", 0, 9);
    assert_eq!(origin.count(), before, "the part is still there");
}

#[tokio::test]
async fn several_ranges_are_answered_where_all_are_there() {
    let origin = Origin::new(|request| file_of(4_000, request, "\"1\""));
    let (cache, _) = with_rules(origin.clone(), common::builder().max_object(3_000).build());
    range(&cache, "bytes=0-1999").await;
    let inside = range(&cache, "bytes=0-9,1000-1009").await;
    assert_eq!((inside.response.status().as_u16(), inside.x_cache().as_str()), (206, "HIT"));
    assert!(header(&inside.response, "content-type").starts_with("multipart/byteranges"));
    assert!(inside.text().contains(std::str::from_utf8(&bytes(1000, 1009)).unwrap()), "{}", inside.text());
    let outside = range(&cache, "bytes=0-9,3000-3009").await;
    assert_eq!((outside.x_cache().as_str(), outside.text()), ("MISS", "several"), "the client's own ranges go up");
    assert_eq!(range(&cache, "bytes=5-5").await.x_cache(), "HIT", "and what is stored stays");
}

#[tokio::test]
async fn rfc9110_15_3_7_3_parts_of_a_changed_representation_are_never_mixed() {
    let changed = Arc::new(AtomicBool::new(false));
    let origin = {
        let changed = Arc::clone(&changed);
        Origin::new(move |request| file(request, if changed.load(Ordering::SeqCst) { "\"2\"" } else { "\"1\"" }))
    };
    let (cache, _) = cached(&origin);
    range(&cache, "bytes=0-9").await;
    changed.store(true, Ordering::SeqCst);
    let newer = range(&cache, "bytes=5-19").await;
    assert_eq!((header(&newer.response, "etag").as_str(), newer.body.as_ref().expect("complete")), ("\"2\"", &bytes(5, 19)));
    assert_eq!(origin.count(), 4, "the whole came under If-Range, and was too large");
    let hit = range(&cache, "bytes=6-7").await;
    assert_eq!((hit.x_cache().as_str(), header(&hit.response, "etag").as_str()), ("HIT", "\"2\""));
    let gone = range(&cache, "bytes=0-4").await;
    assert_eq!((gone.x_cache().as_str(), header(&gone.response, "etag").as_str()), ("MISS", "\"2\""));
}

#[tokio::test]
async fn rfc9111_4_3_a_stale_part_is_validated() {
    let origin = file_origin();
    let (cache, hand) = cached(&origin);
    range(&cache, "bytes=0-9").await;
    hand.advance(61);
    let validated = range(&cache, "bytes=2-5").await;
    is_part(&validated, "HIT", 2, 5);
    assert_eq!(validated.outcome.reason, Reason::Validated);
    assert!(origin.fields(2)["if-none-match"] == "\"1\"" && origin.fields(2)["range"] == "bytes=2-5");
    assert_eq!(range(&cache, "bytes=0-9").await.outcome.reason, Reason::Fresh);
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn rfc9111_4_3_a_stale_part_that_changed_gives_way() {
    let changed = Arc::new(AtomicBool::new(false));
    let origin = {
        let changed = Arc::clone(&changed);
        Origin::new(move |request| file(request, if changed.load(Ordering::SeqCst) { "\"2\"" } else { "\"1\"" }))
    };
    let (cache, hand) = cached(&origin);
    range(&cache, "bytes=0-9").await;
    changed.store(true, Ordering::SeqCst);
    hand.advance(61);
    let newer = range(&cache, "bytes=2-5").await;
    assert_eq!((newer.x_cache().as_str(), header(&newer.response, "etag").as_str()), ("MISS", "\"2\""));
    assert_eq!(range(&cache, "bytes=2-5").await.x_cache(), "HIT");
    assert_eq!(range(&cache, "bytes=0-1").await.x_cache(), "MISS");
}

#[tokio::test]
async fn a_write_makes_parts_invalid() {
    let origin = Origin::new(|request| if request.method() == "PUT" { response(204, "") } else { file(request, "\"1\"") });
    let (cache, _) = cached(&origin);
    range(&cache, "bytes=0-9").await;
    is_part(&range(&cache, "bytes=0-9").await, "HIT", 0, 9);
    send(&cache, request("PUT", "/a", &[])).await;
    is_part(&range(&cache, "bytes=0-9").await, "MISS", 0, 9);
}

#[tokio::test]
async fn rfc9111_5_2_1_7_only_if_cached_is_answered_within_the_part_only() {
    let origin = file_origin();
    let (cache, _) = cached(&origin);
    range(&cache, "bytes=0-9").await;
    let before = origin.count();
    for (range, status) in [("bytes=0-4", 206), ("bytes=5-14", 504)] {
        let read = send(&cache, request("GET", "/a", &[("range", range), ("cache-control", "only-if-cached")])).await;
        assert_eq!(read.response.status().as_u16(), status, "{range}");
    }
    assert_eq!(send(&cache, request("GET", "/a", &[("cache-control", "only-if-cached")])).await.response.status().as_u16(), 504);
    assert_eq!(origin.count(), before);
}

#[tokio::test]
async fn rfc9111_5_2_1_5_a_no_store_request_keeps_no_part() {
    let origin = file_origin();
    let (cache, _) = cached(&origin);
    for _ in 0..2 {
        let read = send(&cache, request("GET", "/a", &[("range", "bytes=0-9"), ("cache-control", "no-store")])).await;
        assert_eq!((read.x_cache().as_str(), read.outcome.stored), ("MISS", false));
    }
}

#[tokio::test]
async fn rfc9111_3_4_a_part_that_has_become_complete_answers_everyone() {
    let seen = Arc::new(AtomicBool::new(false));
    let origin = {
        let seen = Arc::clone(&seen);
        Origin::new(move |request| {
            if seen.swap(true, Ordering::SeqCst) {
                return file(request, "\"1\"");
            }
            // So that the key is known for answers that are not shared, and ranges go up as they come.
            response(200, "first").header("cache-control", "no-store")
        })
    };
    let (cache, _) = with_rules(origin.clone(), common::builder().max_object(LENGTH).build());
    send(&cache, common::get("/a")).await;
    is_part(&range(&cache, "bytes=0-59").await, "MISS", 0, 59);
    is_part(&range(&cache, "bytes=50-").await, "MISS", 50, 99);
    let whole = send(&cache, common::get("/a")).await;
    assert_eq!((whole.response.status().as_u16(), whole.x_cache().as_str()), (200, "HIT"));
    assert_eq!((whole.body.as_ref().expect("complete"), header(&whole.response, "content-length").as_str()), (&bytes(0, 99), "100"));
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn rfc9111_4_1_parts_are_kept_by_variant() {
    let origin = Origin::new(|request| file(request, "\"1\"").header("vary", "x-flavour"));
    let (cache, _) = cached(&origin);
    let ask = |flavour| request("GET", "/a", &[("range", "bytes=0-9"), ("x-flavour", flavour)]);
    for flavour in ["sweet", "sour"] {
        is_part(&send(&cache, ask(flavour)).await, "MISS", 0, 9);
    }
    for flavour in ["sweet", "sour"] {
        is_part(&send(&cache, ask(flavour)).await, "HIT", 0, 9);
    }
}

#[tokio::test]
async fn no_request_waits_for_a_range_that_is_fetched_alone() {
    let origin = file_origin();
    let (cache, _) = cached(&origin);
    let both = ["bytes=0-9", "bytes=50-59"].map(|range| request("GET", "/a", &[("range", range)]));
    let answers = common::finish(common::start(&cache, both)).await;
    for (answer, (first, last)) in answers.into_iter().zip([(0, 9), (50, 59)]) {
        is_part(&answer.expect("an answer"), "MISS", first, last);
    }
    for (first, last) in [(0, 9), (50, 59)] {
        is_part(&range(&cache, &format!("bytes={first}-{last}")).await, "HIT", first, last);
    }
}

#[tokio::test]
async fn parts_of_one_resource_take_no_more_than_a_whole_may() {
    let origin = file_origin();
    let (cache, _) = cached(&origin);
    for (first, last) in [(0, 39), (40, 79)] {
        is_part(&range(&cache, &format!("bytes={first}-{last}")).await, "MISS", first, last);
    }
    assert_eq!(range(&cache, "bytes=0-9").await.x_cache(), "MISS", "the older bytes had to go");
    assert_eq!(range(&cache, "bytes=70-79").await.x_cache(), "HIT");
    let large = range(&cache, "bytes=0-79").await;
    is_part(&large, "MISS", 0, 79);
}

#[tokio::test]
async fn a_part_that_comes_unasked_answers_the_same_range_again() {
    let origin = Origin::new(|_| {
        let reply = streaming(206, body(bytes(0, 9))).header("etag", "\"1\"").header("cache-control", "max-age=60");
        reply.header("content-range", &format!("bytes 0-9/{LENGTH}")).header("content-length", "10")
    });
    let (cache, _) = cached(&origin);
    assert_eq!(range(&cache, "bytes=0-9").await.x_cache(), "MISS");
    let second = range(&cache, "bytes=2-5").await;
    assert_eq!((second.response.status().as_u16(), second.x_cache().as_str(), second.text()), (206, "HIT", "cdef"));
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn an_answer_that_an_unkeyed_field_may_have_caused_ends_nothing_stored() {
    let origin = Origin::new(|request| match request.headers().contains_key("x-original-url") {
        false => response(200, "small").header("cache-control", "max-age=60"),
        true => file(request, "\"1\""),
    });
    let (cache, _) = cached(&origin);
    send(&cache, request("GET", "/a", &[])).await;
    let elsewhere = [("x-original-url", "/large"), ("cache-control", "no-cache"), ("range", "bytes=0-9")];
    assert_eq!(send(&cache, request("GET", "/a", &elsewhere)).await.body.unwrap(), bytes(0, 9));
    assert_eq!(send(&cache, request("GET", "/a", &[])).await.x_cache(), "HIT", "neither evicted nor remembered as too large");
}
