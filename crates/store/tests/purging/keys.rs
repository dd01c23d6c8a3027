//! Some keys, the ways to purge them, and responses that say which version of the origin's data they are.

use http::{HeaderMap, StatusCode};
use larder_semantics::{FreshnessLifetime, HeadFlags, KeyBuffer, KeyRules, LifetimeSource, PrimaryKey, StoredHead, Target, Timestamp};
use larder_store::{BodyBuilder, InvalidationTarget, Position, StoredResponse, Tag};

pub(crate) const KEYS: usize = 4;
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_000);

/// The ways to name what is purged.
pub(crate) const WAYS: usize = 7;

/// Keys 0 and 1 lie under one prefix, 2 and 3 under another; even keys share a tag.
fn path(key: usize) -> String {
    format!("/p{}/k{key}", key / 2)
}

pub(crate) fn primary(key: usize) -> PrimaryKey {
    let rules = KeyRules::default();
    let mut buffer = KeyBuffer::default();
    rules.derive(Target { scheme: "http", authority: "a.example", path: &path(key), query: None }, &HeaderMap::new(), &mut buffer);
    buffer.to_key()
}

pub(crate) fn target(key: usize, way: usize) -> InvalidationTarget {
    match way {
        0 => InvalidationTarget::Url(primary(key).url().to_owned()),
        1 => InvalidationTarget::Tag(format!("parity:{}", key % 2)),
        2 => InvalidationTarget::Prefix(format!("a.example/p{}", key / 2)),
        3 => InvalidationTarget::Prefix(path(key)),
        4 => InvalidationTarget::Pattern(format!("*.example/*/k{key}")),
        5 => InvalidationTarget::Route("r".to_owned()),
        _ => InvalidationTarget::All,
    }
}

/// The meaning of a target, written without the ledger.
pub(crate) fn concerns(key: usize, way: usize, other: usize) -> bool {
    match way {
        0 | 3 | 4 => other == key,
        1 => other % 2 == key % 2,
        2 => other / 2 == key / 2,
        _ => true,
    }
}

/// The response under a key with this version of the data.
pub(crate) fn response(key: usize, version: u8, position: Position, fetch: u64) -> StoredResponse {
    let tags = [Tag::surrogate(&format!("parity:{}", key % 2)), Tag::route("r")];
    let mut body = BodyBuilder::new(1);
    body.push(&[version]);
    let body = body.finish(None).expect("complete");
    let head = StoredHead {
        status: StatusCode::OK,
        headers: (&HeaderMap::new()).into(),
        response_time: NOW,
        initial_age: 0,
        lifetime: FreshnessLifetime { seconds: 60, source: LifetimeSource::MaxAge },
        stale_while_revalidate: 0,
        stale_if_error: 0,
        flags: HeadFlags::default(),
        date_seconds: NOW.as_secs(),
        origin_control: None,
    };
    StoredResponse::new(&primary(key), None, &head, body, &tags, position, fetch)
}
