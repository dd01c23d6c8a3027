use http::{HeaderMap, HeaderName, StatusCode};
use larder_semantics::{StoredHead, Timestamp, VarySpec};

use super::*;
use crate::entry::fixtures::{NOW, Runs, accepting, by_flavour, head, key, response_with_body};
use crate::entry::{BodyBuilder, BodyPacking};
use crate::ledger::{Invalidation, InvalidationTarget, Position};

pub(super) fn store() -> MemoryStore {
    MemoryStore::new(1 << 20, 1 << 14, Arc::new(Ledger::default()))
}

pub(super) fn response(path: &str, fetch: u64, position: crate::ledger::Position) -> Arc<StoredResponse> {
    let key = key(path);
    let mut body = BodyBuilder::new(4);
    body.push(b"body");
    let body = body.finish(None).expect("complete");
    Arc::new(StoredResponse::new(&key, None, &head(NOW, None), body, &[], position, fetch))
}

fn variant(path: &str, spec: &VarySpec, language: &'static str, fetch: u64, date: Timestamp) -> Arc<StoredResponse> {
    let key = key(path);
    let variant = Variant::of(spec.clone(), &accepting(language));
    let head = head(date, Some("\"v\""));
    Arc::new(StoredResponse::new(&key, Some(variant), &head, Default::default(), &[], Default::default(), fetch))
}

pub(super) fn find(store: &MemoryStore, path: &str, request: &HeaderMap) -> Lookup {
    let key = key(path);
    store.lookup(store.slot_key_of(&key), request, NOW)
}

pub(super) fn found(lookup: Lookup) -> Option<Arc<StoredResponse>> {
    match lookup {
        Lookup::Found(response) => Some(response),
        _ => None,
    }
}

#[test]
fn a_store_says_where_it_is_divided_too_finely_for_an_entry_that_would_fit() {
    let store = |max_object| MemoryStore::new(16 << 20, max_object, Arc::new(Ledger::default()));
    for (made_for, bytes, is_kept, is_too_fine) in [
        (1 << 10, 1 << 10, true, false),
        (1 << 10, 512 << 10, false, true),
        (512 << 10, 512 << 10, true, false),
        (16 << 20, 17 << 20, false, false),
    ] {
        let store = store(made_for);
        store.commit(Arc::new(response_with_body("/a", &"x".repeat(bytes))));
        let is_found = found(find(&store, "/a", &HeaderMap::new())).is_some();
        assert_eq!((is_found, store.is_divided_too_finely_for(bytes as u64)), (is_kept, is_too_fine), "{made_for} {bytes}");
    }
}

#[test]
fn a_committed_response_is_found_under_its_key_only() {
    let store = store();
    assert!(store.commit(response("/a", 1, store.ledger().position())));
    assert!(found(find(&store, "/a", &HeaderMap::new())).is_some());
    assert!(matches!(find(&store, "/b", &HeaderMap::new()), Lookup::Absent(_)));
}

#[test]
fn a_colliding_placement_is_a_miss_not_a_leak() {
    let store = store();
    store.commit(response("/a", 1, store.ledger().position()));
    let stored = key("/a");
    let forged = SlotKey { text: "v1:default:GET:http://example.com/secret", hash: store.slot_key_of(&stored).hash };
    assert!(matches!(store.lookup(forged, &HeaderMap::new(), NOW), Lookup::Absent(_)));
}

#[test]
fn an_invalidated_response_is_never_found_again() {
    let store = store();
    store.commit(response("/a", 1, store.ledger().position()));
    store.ledger().apply(&Invalidation::hard([InvalidationTarget::Url(key("/a").url().to_owned())]), NOW);
    for _ in 0..2 {
        assert!(matches!(find(&store, "/a", &HeaderMap::new()), Lookup::Absent(Departure::Purged)));
    }
    assert_eq!(store.stats().entries, 0);
}

#[test]
fn a_fill_that_raced_an_invalidation_is_not_stored() {
    let store = store();
    let before = store.ledger().position();
    store.ledger().apply(&Invalidation::hard([InvalidationTarget::Url(key("/a").url().to_owned())]), NOW);
    assert!(!store.commit(response("/a", 1, before)));
    assert!(matches!(find(&store, "/a", &HeaderMap::new()), Lookup::Absent(_)));
}

#[test]
fn a_fetch_that_began_earlier_never_replaces_a_later_one() {
    let store = store();
    let position = store.ledger().position();
    assert!(store.commit(response("/a", 2, position)));
    assert!(!store.commit(response("/a", 1, position)));
    assert_eq!(found(find(&store, "/a", &HeaderMap::new())).map(|r| r.fetch), Some(2));
}

#[test]
fn rfc9111_4_1_each_variant_is_found_by_its_selecting_fields() {
    let store = store();
    let spec = by_flavour();
    for (fetch, flavour) in [(1, "sweet"), (2, "sour")] {
        assert!(store.commit(variant("/v", &spec, flavour, fetch, NOW)));
    }
    for (fetch, flavour) in [(1, "sweet"), (2, "sour")] {
        assert_eq!(found(find(&store, "/v", &accepting(flavour))).map(|r| r.fetch), Some(fetch));
    }
    let Lookup::VaryMiss(index, _) = find(&store, "/v", &accepting("bitter")) else { panic!("a variant was served to a stranger") };
    assert_eq!(store.candidates(&index, &HeaderMap::new()).iter().map(|r| r.fetch).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn rfc9111_4_1_the_most_recent_of_several_matches_is_selected() {
    let store = store();
    let narrow = by_flavour();
    let wide = VarySpec::new(vec![HeaderName::from_static("x-flavour"), HeaderName::from_static("x-size")]);
    store.commit(variant("/v", &narrow, "sweet", 1, NOW));
    store.commit(variant("/v", &wide, "sweet", 2, Timestamp::from_secs(10)));
    assert_eq!(found(find(&store, "/v", &accepting("sweet"))).map(|r| r.fetch), Some(1));
}

/// Values of a selecting field.
fn flavours(range: std::ops::RangeInclusive<usize>) -> impl Iterator<Item = (u64, &'static str)> {
    range.map(|n| (n as u64 + 1, &*Box::leak(n.to_string().into_boxed_str())))
}

#[test]
fn variants_are_capped_per_resource_and_the_oldest_of_those_unused_goes() {
    let store = store();
    let spec = by_flavour();
    for (fetch, flavour) in flavours(0..=MAX_VARIANTS) {
        store.commit(variant("/v", &spec, flavour, fetch, NOW));
    }
    assert!(found(find(&store, "/v", &accepting("0"))).is_none());
    assert!(found(find(&store, "/v", &accepting("1"))).is_some());
    assert_eq!(store.stats().entries, MAX_VARIANTS as u64 + 1, "the variants and their index");
}

#[test]
fn a_variant_in_use_stays_however_many_others_are_asked_for() {
    let store = store();
    let spec = by_flavour();
    store.commit(variant("/v", &spec, "hot", 1, NOW));
    for (fetch, flavour) in flavours(1..=10 * MAX_VARIANTS) {
        found(find(&store, "/v", &accepting("hot"))).expect("the one in use").mark_asked();
        store.commit(variant("/v", &spec, flavour, fetch, NOW));
        // Two requests for one variant do not make it one in use.
        found(find(&store, "/v", &accepting(flavour))).expect("the latest").mark_asked();
    }
    assert!(found(find(&store, "/v", &accepting("hot"))).is_some());
}

#[test]
fn an_earlier_fetch_with_vary_takes_no_place_from_a_later_one_without() {
    let store = store();
    assert!(store.commit(response("/v", 5, store.ledger().position())));
    assert!(!store.commit(variant("/v", &by_flavour(), "sweet", 4, NOW)));
    assert_eq!(found(find(&store, "/v", &accepting("sweet"))).map(|r| r.fetch), Some(5));
    assert!(store.mark_hit_for_miss(mark("/v", 7), NOW));
    assert!(!store.commit(variant("/v", &by_flavour(), "sweet", 6, NOW)), "what a later fetch has shown");
    assert!(store.commit(variant("/v", &by_flavour(), "sweet", 8, NOW)));
}

#[test]
fn variants_replaced_by_a_response_for_all_never_come_back() {
    let store = store();
    store.commit(variant("/v", &by_flavour(), "sweet", 1, NOW));
    assert!(store.commit(response("/v", 2, store.ledger().position())));
    store.commit(variant("/v", &by_flavour(), "sour", 3, NOW));
    assert!(matches!(find(&store, "/v", &accepting("sweet")), Lookup::VaryMiss(..)));
    assert!(found(find(&store, "/v", &accepting("sour"))).is_some());
}

fn mark(path: &str, fetch: u64) -> HitForMiss {
    HitForMiss { key: key(path), until: Timestamp::from_secs(2_000), too_large: false, of_credentials: false, fetch }
}

#[test]
fn an_answer_to_credentials_marks_nothing_that_others_get() {
    let store = store();
    store.commit(response("/a", 1, store.ledger().position()));
    let of_credentials = || HitForMiss { of_credentials: true, ..mark("/a", 2) };
    assert!(!store.mark_hit_for_miss(of_credentials(), NOW));
    assert!(found(find(&store, "/a", &HeaderMap::new())).is_some());
    // Once it is of no use any more, the mark spares requests the waiting for each other.
    assert!(store.mark_hit_for_miss(of_credentials(), Timestamp::from_secs(1_061)));
}

fn refusal(path: &str, flavour: Option<&'static str>, fetch: u64, at: Timestamp) -> Arc<StoredResponse> {
    let variant = flavour.map(|flavour| Variant::of(by_flavour(), &accepting(flavour)));
    let head = StoredHead { status: StatusCode::BAD_REQUEST, ..head(at, None) };
    Arc::new(StoredResponse::new(&key(path), variant, &head, Default::default(), &[], Default::default(), fetch))
}

#[test]
fn the_refusal_of_one_request_takes_no_place_from_what_is_fresh() {
    let store = store();
    store.commit(response("/a", 1, store.ledger().position()));
    for flavour in [None, Some("sweet")] {
        assert!(!store.commit(refusal("/a", flavour, 2, NOW)), "{flavour:?}");
    }
    assert!(store.commit(refusal("/a", None, 2, Timestamp::from_secs(1_060))), "stale by now");
    assert!(store.commit(refusal("/a", None, 3, NOW)), "one refusal after another");

    store.commit(variant("/v", &by_flavour(), "sweet", 1, NOW));
    assert!(!store.commit(refusal("/v", None, 2, NOW)), "it would be for all of them");
    assert!(!store.commit(refusal("/v", Some("sweet"), 2, NOW)));
    assert!(store.commit(refusal("/v", Some("sour"), 2, NOW)), "nothing is stored for those");
    store.ledger().apply(&Invalidation::hard([InvalidationTarget::All]), NOW);
    let now = store.ledger().position();
    let head = StoredHead { status: StatusCode::BAD_REQUEST, ..head(NOW, None) };
    let fresh = StoredResponse::new(&key("/v"), None, &head, Default::default(), &[], now, 3);
    assert!(store.commit(Arc::new(fresh)), "what is purged is not fresh");
}

fn of_status(status: StatusCode, fetch: u64, at: Timestamp, stale_while_revalidate: u32) -> Arc<StoredResponse> {
    let head = StoredHead { status, stale_while_revalidate, ..head(at, None) };
    Arc::new(StoredResponse::new(&key("/a"), None, &head, Default::default(), &[], Default::default(), fetch))
}

#[test]
fn a_server_error_takes_no_place_from_what_may_still_be_served() {
    let error = |fetch, second| of_status(StatusCode::SERVICE_UNAVAILABLE, fetch, Timestamp::from_secs(second), 0);
    let store = store();
    store.commit(of_status(StatusCode::OK, 1, NOW, 30));
    for second in [1_000, 1_059, 1_089] {
        assert!(!store.commit(error(2, second)), "{second}");
    }
    assert!(store.commit(error(2, 1_090)), "nothing is left of it");
    assert!(store.commit(error(3, 1_091)), "one error after another");
    assert!(store.commit(of_status(StatusCode::OK, 4, Timestamp::from_secs(1_092), 0)), "and a success after that");
}

#[test]
fn a_hit_for_miss_mark_replaces_what_is_stored_and_is_forgotten_in_time() {
    let store = store();
    store.commit(response("/a", 1, store.ledger().position()));
    assert!(store.mark_hit_for_miss(
        HitForMiss { key: key("/a"), until: Timestamp::from_secs(1_001), too_large: false, of_credentials: false, fetch: 2 },
        NOW
    ));
    assert!(matches!(find(&store, "/a", &HeaderMap::new()), Lookup::HitForMiss { of_credentials: false }));
    let key = key("/a");
    let later = store.lookup(store.slot_key_of(&key), &HeaderMap::new(), Timestamp::from_secs(1_002));
    assert!(matches!(later, Lookup::Absent(_)));
}

#[test]
fn one_variant_that_cannot_be_shared_says_nothing_about_the_others() {
    let store = store();
    let spec = by_flavour();
    store.commit(variant("/v", &spec, "sweet", 1, NOW));
    assert!(!store.mark_hit_for_miss(
        HitForMiss { key: key("/v"), until: Timestamp::from_secs(2_000), too_large: false, of_credentials: false, fetch: 2 },
        NOW
    ));
    assert!(found(find(&store, "/v", &accepting("sweet"))).is_some());
}

#[test]
fn the_capacity_bounds_the_bytes_held() {
    let store = MemoryStore::new(64 * 1024, 1 << 12, Arc::new(Ledger::default()));
    for n in 0..1_000 {
        store.commit(response(&format!("/{n}"), n + 1, store.ledger().position()));
    }
    let stats = store.stats();
    assert!(stats.bytes <= stats.capacity, "{stats:?}");
    assert!(stats.evictions.size > 0, "{stats:?}");
    let gone = |n: i32| match find(&store, &format!("/{n}"), &HeaderMap::new()) {
        Lookup::Absent(departure) => Some(departure),
        _ => None,
    };
    let gone: Vec<_> = (0..1_000).filter_map(gone).collect();
    assert!(
        !gone.is_empty() && gone.iter().filter(|departure| **departure == Departure::Evicted).count() > gone.len() * 9 / 10,
        "{gone:?}"
    );
    assert!(matches!(find(&store, "/never", &HeaderMap::new()), Lookup::Absent(Departure::Unknown)));
}

#[test]
fn a_variant_that_was_purged_is_missed_because_of_that() {
    let store = store();
    let spec = by_flavour();
    let why = |found: Lookup| match found {
        Lookup::VaryMiss(_, why) => why,
        other => panic!("{other:?}"),
    };
    let peek = |flavour: &'static str| why(store.peek(store.slot_key_of(&key("/v")), &accepting(flavour), NOW));
    assert!(store.commit(variant("/v", &spec, "sweet", 1, NOW)));
    assert_eq!(peek("bitter"), Departure::Unknown);
    store.ledger().apply(&Invalidation::hard([InvalidationTarget::All]), NOW);
    assert_eq!((peek("sweet"), peek("bitter")), (Departure::Purged, Departure::Unknown));
    assert_eq!(why(find(&store, "/v", &accepting("bitter"))), Departure::Unknown);
    assert_eq!(why(find(&store, "/v", &accepting("sweet"))), Departure::Purged);
}

fn softened(store: &MemoryStore, path: &str) -> bool {
    found(find(store, path, &HeaderMap::new())).expect("it is there").is_softened()
}

#[test]
fn a_soft_purged_response_is_found_and_marked() {
    let store = store();
    assert!(store.commit(response("/a", 1, store.ledger().position())));
    store.ledger().apply(&Invalidation::soft([InvalidationTarget::All]), NOW);
    assert!(softened(&store, "/a"));
    // Fetched before the invalidation and committed after it: just as stale.
    assert!(store.commit(response("/b", 2, Position(0))));
    assert!(softened(&store, "/b"));
    assert!(store.commit(response("/a", 3, store.ledger().position())));
    assert!(!softened(&store, "/a"));
}

#[test]
fn an_estimate_counts_without_invalidating() {
    let store = store();
    for path in ["/a/1", "/a/2", "/b/1"] {
        assert!(store.commit(response(path, 1, Position(0))));
    }
    let prefix = |text: &str| Invalidation::hard([InvalidationTarget::Prefix(text.to_owned())]);
    assert_eq!(store.estimate(&prefix("example.com/a")), 2);
    store.ledger().apply(&prefix("example.com/a/1"), NOW);
    assert_eq!(store.estimate(&prefix("/a")), 1);
    assert_eq!(store.estimate(&Invalidation::hard([InvalidationTarget::All])), 2);
}

#[test]
fn a_body_is_packed_where_it_is_stored_and_weighs_less_there() {
    let store = store();
    let packing = BodyPacking::new(Runs);
    let plain = Arc::new(response_with_body("/a", &"x".repeat(9_000)));
    assert!(store.commit(Arc::clone(&plain)));
    let before = store.stats().bytes;
    assert!(store.pack(&plain, packing.pack(&plain).expect("it saves")).is_some());
    let found = found(find(&store, "/a", &HeaderMap::new())).expect("stored");
    assert!(found.is_packed() && store.stats().bytes + 8_000 < before, "{} of {before}", store.stats().bytes);
    assert_eq!(found.body().segments().concat(), "x".repeat(9_000).as_bytes());
}

#[test]
fn what_was_replaced_or_purged_meanwhile_is_not_brought_back_by_packing() {
    let store = store();
    let packing = BodyPacking::new(Runs);
    let plain = Arc::new(response_with_body("/a", &"x".repeat(9_000)));
    let packed = || packing.pack(&plain).expect("it saves");
    assert!(store.pack(&plain, packed()).is_none(), "nothing is stored");
    store.commit(response("/a", 2, store.ledger().position()));
    assert!(store.pack(&plain, packed()).is_none(), "another is stored");
    store.remove(&response("/a", 2, Position::default()));
    store.commit(Arc::clone(&plain));
    store.ledger().apply(&Invalidation::hard([InvalidationTarget::Url(key("/a").url().to_owned())]), NOW);
    store.pack(&plain, packed());
    assert!(found(find(&store, "/a", &HeaderMap::new())).is_none());
}
