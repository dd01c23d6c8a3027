use http::{HeaderName, HeaderValue, StatusCode};
use larder_semantics::{FreshnessLifetime, HeadFlags, KeyBuffer, KeyRules, LifetimeSource, OriginControl, StoredFields, Target, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::entry::{BodyBuilder, RecordedPiece, Recorder, SEGMENT};

fn key(path: &str) -> PrimaryKey {
    let rules = KeyRules::default();
    let mut buffer = KeyBuffer::default();
    rules.derive(Target { scheme: "http", authority: "a", path, query: None }, &HeaderMap::new(), &mut buffer);
    buffer.to_key()
}

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn variant() -> Variant {
    Variant::of(VarySpec::new(vec![HeaderName::from_static("accept-language")]), &fields(&[("accept-language", "de")]))
}

fn body(bytes: &[u8], trailers: Option<HeaderMap>) -> StoredBody {
    let mut builder = BodyBuilder::new(bytes.len() as u64);
    builder.push(bytes);
    builder.finish(trailers).unwrap()
}

fn response(variant: Option<Variant>, body: StoredBody) -> StoredResponse {
    let mut headers = fields(&[("content-type", "text/plain"), ("cache-control", "max-age=5"), ("etag", "\"x\""), ("age", "")]);
    headers.append("link", HeaderValue::from_static("<a>"));
    headers.append("link", HeaderValue::from_bytes(b"<\xff>").unwrap());
    let head = StoredHead {
        status: StatusCode::OK,
        headers: StoredFields::from(&headers),
        response_time: Timestamp::from_millis(1_700_000_000_123),
        initial_age: 3,
        lifetime: FreshnessLifetime { seconds: 5, source: LifetimeSource::Route },
        stale_while_revalidate: 7,
        stale_if_error: 11,
        flags: HeadFlags::default().with(HeadFlags::MUST_REVALIDATE, true).with(HeadFlags::FOR_AUTHORIZED, true),
        date_seconds: 1_700_000_000,
        origin_control: Some(Box::new(OriginControl { cache_control: None, expires: Some(HeaderValue::from_static("0")) })),
    };
    StoredResponse::new(&key("/x"), variant, &head, body, &[Tag::surrogate("issues")], Position(9), 21).with_body_fetch(20)
}

fn decoded(frame: Vec<u8>, variant: Option<&Variant>) -> Result<ResponseRecord, Unreadable> {
    decode(frame.into(), &key("/x"), variant).map(|record| match record {
        Record::Response(record) => *record,
        Record::Selecting(spec) => panic!("{spec:?}"),
    })
}

#[test]
fn a_response_comes_back_as_it_was() {
    let stored = response(Some(variant()), body(b"hello", Some(fields(&[("x-sum", "1")]))));
    let record = decoded(encode(&stored, Position(4)), Some(&variant())).unwrap();
    assert_eq!((record.body().length, record.body().chunks(), record.body_fetch()), (5, 1, 20));
    let loaded = record.complete(vec![Bytes::from_static(b"hello")]).unwrap();
    assert_eq!((loaded.position, loaded.fetch, loaded.body_fetch()), (Position(4), 21, 20));
    assert_eq!((loaded.key(), loaded.variant()), (stored.key(), stored.variant()));
    assert!(loaded.tags().iter().eq(stored.tags().iter()));
    assert_eq!(loaded.head.headers.to_map(), stored.head.headers.to_map());
    assert_eq!(loaded.head.headers.to_map().get_all("link").iter().count(), 2);
    let shape = |response: &StoredResponse| {
        let head = StoredHead { headers: StoredFields::from(&HeaderMap::new()), ..response.head.clone() };
        format!("{head:?} {:?}", response.body())
    };
    assert_eq!(shape(&loaded), shape(&stored));
}

#[test]
fn selecting_fields_come_back_as_they_were() {
    let spec = variant().spec;
    match decode(encode_selecting(&key("/x"), &spec).into(), &key("/x"), None) {
        Ok(Record::Selecting(read)) => assert_eq!(read, spec),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_body_of_several_segments_is_counted_and_checked() {
    let bytes = vec![7; 2 * SEGMENT + 1];
    let stored = response(None, body(&bytes, None));
    let record = || decoded(encode(&stored, Position(0)), None).unwrap();
    assert_eq!(record().body().chunks(), 3);
    let segments = stored.body().segments().to_vec();
    assert!(record().complete(segments.clone()).is_ok());
    let swapped = vec![segments[0].clone(), Bytes::from(vec![8; SEGMENT]), segments[2].clone()];
    let wrong = [segments[..2].to_vec(), swapped, Vec::new()];
    for segments in wrong {
        assert_eq!(record().complete(segments).unwrap_err(), Unreadable::Damaged);
    }
}

#[test]
fn a_record_of_another_key_or_variant_differs_from_damage() {
    let frame = encode(&response(Some(variant()), StoredBody::default()), Position(0));
    let other = Variant::of(variant().spec, &fields(&[("accept-language", "en")]));
    assert_eq!(decoded(frame.clone(), Some(&other)).unwrap_err(), Unreadable::OtherKey);
    assert_eq!(decoded(frame.clone(), None).unwrap_err(), Unreadable::OtherKey);
    assert_eq!(decode(frame.into(), &key("/y"), Some(&variant())).unwrap_err(), Unreadable::OtherKey);
}

#[test]
fn a_frame_of_another_format_is_left_alone() {
    let mut frame = encode(&response(None, StoredBody::default()), Position(0));
    frame[0] = RECORDED + 1;
    reseal(&mut frame);
    assert_eq!(decoded(frame, None).unwrap_err(), Unreadable::OtherFormat);
}

/// Frames as format 1 wrote them. They have to stay readable, or be recognised by their first byte.
#[test]
fn golden_frames_of_format_1() {
    let stored = response(Some(variant()), body(b"hello", Some(fields(&[("x-sum", "1")]))));
    for (frame, golden) in [
        (encode(&stored, Position(4)), include_str!("golden/response-1-tagged.hex")),
        (encode_selecting(&key("/x"), &variant().spec), include_str!("golden/selecting-1.hex")),
    ] {
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let golden: String = golden.split_whitespace().collect();
        assert_eq!(hex, golden);
    }
}

/// The first of them has its entity tag among the validators only; nothing reads it there any more, for the fields have it too.
#[test]
fn golden_frames_of_format_1_stay_readable() {
    for (golden, etag) in [(include_str!("golden/response-1.hex"), None), (include_str!("golden/response-1-tagged.hex"), Some("\"x\""))] {
        let hex: Vec<u8> = golden.bytes().filter(u8::is_ascii_hexdigit).collect();
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
        let frame: Vec<u8> = hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
        let loaded = decoded(frame, Some(&variant())).unwrap().complete(vec![Bytes::from_static(b"hello")]).unwrap();
        assert_eq!((loaded.position, loaded.fetch, loaded.body_fetch()), (Position(4), 21, 20));
        assert_eq!((loaded.head.date_seconds, { loaded.head.lifetime.seconds }), (1_700_000_000, 5));
        assert!(loaded.head.must_revalidate() && !loaded.head.no_cache() && loaded.head.origin_control.is_some());
        assert_eq!(loaded.head.etag().as_ref().map(|etag| etag.to_str().unwrap()), etag);
        assert!(loaded.tags().iter().eq([Tag::surrogate("issues")]));
        assert_eq!(loaded.body().trailers().map(HeaderMap::len), Some(1));
    }
}

/// A bit came to the flags that says whether requests with cookies may have the response. Frames without it say no, which is safe.
#[test]
fn golden_frames_of_format_1_with_leave_for_cookies() {
    let of = |flag: bool| {
        let plain = response(None, body(b"hello", None));
        let head = StoredHead { flags: HeadFlags::default().with(HeadFlags::FOR_COOKIES, flag), ..plain.head.clone() };
        StoredResponse::new(&key("/x"), None, &head, body(b"hello", None), &[Tag::surrogate("issues")], Position(9), 21)
    };
    let frame = encode(&of(true), Position(4));
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden/response-1-cookies.hex").split_whitespace().collect::<String>());
    for (frame, flag) in [(frame, true), (encode(&of(false), Position(4)), false)] {
        let loaded = decoded(frame, None).unwrap().complete(vec![Bytes::from_static(b"hello")]).unwrap();
        assert_eq!(loaded.head.flags.has(HeadFlags::FOR_COOKIES), flag);
    }
}

fn recorded(body: StoredBody) -> StoredBody {
    let mut recorder = Recorder::default();
    [(2, 300), (3, 7)].into_iter().for_each(|(length, after)| recorder.add(RecordedPiece { length, after }));
    body.with_recording(recorder.finish())
}

/// Streams came to have their recording behind everything else. Responses without one are what they were.
#[test]
fn golden_frames_of_format_2() {
    let stored = response(None, recorded(body(b"hello", Some(fields(&[("x-sum", "1")])))));
    let frame = encode(&stored, Position(4));
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden/response-2-recorded.hex").split_whitespace().collect::<String>());
    let record = decoded(frame.clone(), None).unwrap();
    assert_eq!(encode_record(&record, Position(4)), frame);
    let loaded = record.complete(vec![Bytes::from_static(b"hello")]).unwrap();
    assert_eq!(loaded.body().recording(), stored.body().recording());
    assert_eq!(loaded.body().trailers().map(HeaderMap::len), Some(1));
    let fresh = loaded.freshened(&loaded.head, Position(5), 22);
    assert_eq!(fresh.body().recording(), stored.body().recording(), "a validation changes the head only");
}

#[test]
fn any_single_damaged_byte_is_noticed() {
    let frame = encode(&response(Some(variant()), body(b"hello", None)), Position(0));
    for at in 0..frame.len() {
        let mut damaged = frame.clone();
        damaged[at] ^= 0x10;
        assert!(decoded(damaged, Some(&variant())).is_err(), "byte {at}");
        assert!(decoded(frame[..at].to_vec(), Some(&variant())).is_err(), "cut off at {at}");
    }
}

fn reseal(frame: &mut Vec<u8>) {
    frame.truncate(frame.len() - 4);
    let sum = crc32fast::hash(frame);
    frame.extend_from_slice(&sum.to_le_bytes());
}

proptest! {
    /// A writer of the store can also write a checksum.
    #[test]
    fn a_hostile_frame_never_panics(at in 0_usize..300, with in any::<[u8; 4]>(), cut in 0_usize..300) {
        let mut frame = encode(&response(Some(variant()), body(b"hello", None)), Position(0));
        let at = 1 + at % (frame.len() - 8);
        frame[at..at + 4].copy_from_slice(&with);
        frame.truncate(frame.len() - cut % (frame.len() / 2));
        reseal(&mut frame);
        if let Ok(Record::Response(record)) = decode(frame.into(), &key("/x"), Some(&variant())) {
            let _ = record.complete(vec![Bytes::from_static(b"hello")]);
        }
    }
}
