use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::entry::body::BodyBuilder;
use crate::entry::fixtures::{NOW, accepting, by_flavour, head, key};

fn body(length: u64, trailers: Option<HeaderMap>) -> StoredBody {
    let mut builder = BodyBuilder::new(length);
    builder.push(&vec![7; length as usize]);
    builder.finish(trailers).expect("complete")
}

fn stored(body: StoredBody, variant: Option<Variant>) -> StoredResponse {
    let tags = [Tag::surrogate("one"), Tag::route("two")];
    StoredResponse::new(&key("/a"), variant, &head(NOW, Some("\"1\"")), body, &tags, Position(3), 5)
}

#[test]
fn a_stored_head_reads_as_given() {
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("1"))]);
    let variant = Variant::of(by_flavour(), &accepting("sweet"));
    for (length, trailers) in [(0, None), (1, None), (SHORT, None), (SHORT + 1, None), (1, Some(trailers))] {
        for variant in [None, Some(&variant)] {
            let response = stored(body(length, trailers.clone()), variant.cloned());
            assert_eq!((response.key(), response.key_bytes()), (key("/a"), key("/a").as_bytes()), "{length}");
            assert_eq!(response.subject().url, key("/a").url());
            assert_eq!(response.tags().iter().collect::<Vec<_>>(), [Tag::surrogate("one"), Tag::route("two")]);
            assert_eq!((response.body_length(), response.body().segments().concat()), (length, vec![7; length as usize]));
            assert_eq!(response.body().trailers(), trailers.as_ref());
            assert_eq!((response.variant(), response.fetch, response.body_fetch()), (variant, 5, 5));
        }
    }
}

#[test]
fn a_renewed_head_keeps_what_it_does_not_name() {
    for length in [4, SHORT + 1] {
        let variant = Variant::of(by_flavour(), &accepting("sweet"));
        let old = stored(body(length, None), Some(variant.clone()));
        let fresh = old.freshened(&head(NOW, Some("\"22\"")), Position(8), 9);
        assert_eq!((fresh.key(), fresh.variant(), fresh.body_length()), (key("/a"), Some(&variant), length));
        assert_eq!((fresh.position, fresh.fetch, fresh.body_fetch()), (Position(8), 9, 5));
        assert_eq!(fresh.head.etag(), Some(HeaderValue::from_static("\"22\"")));
        assert!(fresh.tags().iter().eq(old.tags().iter()));
        let is_shared = fresh.body().segments()[0].as_ptr() == old.body().segments()[0].as_ptr();
        assert_eq!(is_shared, length > SHORT);
        let other = Variant::of(by_flavour(), &accepting("sour"));
        assert_eq!(fresh.also_for(other.clone()).variant(), Some(&other));
    }
}

#[test]
fn a_refresh_that_failed_is_not_repeated_before_its_time() {
    let response = stored(body(1, None), None);
    assert!(response.may_refresh(NOW));
    response.postpone_refresh(Timestamp::from_millis(NOW.as_millis() + 1_500));
    assert!(!response.may_refresh(Timestamp::from_millis(NOW.as_millis() + 1_500)));
    assert!(response.may_refresh(Timestamp::from_millis(NOW.as_millis() + 2_000)));
}

#[test]
fn an_entry_stays_within_the_piece_that_the_allocator_keeps_for_it() {
    assert_eq!(allocated(2 * size_of::<usize>() + size_of::<StoredResponse>()), 160);
}

#[test]
fn tags_behind_long_values_are_those_that_were_given() {
    let with = |length: usize| {
        let value = HeaderValue::from_str(&"x".repeat(length)).unwrap();
        let fields: HeaderMap = ["x-long-a", "x-long-b"].map(|name| (HeaderName::from_static(name), value.clone())).into_iter().collect();
        let head = head(NOW, None).with_fields((&fields).into());
        StoredResponse::new(&key("/a"), None, &head, body(1, None), &[Tag::surrogate("one")], Position(3), 5)
    };
    // The first one makes the shape.
    for length in [1, 32_765, 32_766, 40_000] {
        let response = with(length);
        assert_eq!(response.tags().iter().collect::<Vec<_>>(), [Tag::surrogate("one")], "{length}");
        assert_eq!(response.key(), key("/a"), "{length}");
    }
}
