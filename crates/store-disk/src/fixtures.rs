//! Responses for tests.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use larder_semantics::{
    FreshnessLifetime, HeadFlags, KeyBuffer, KeyRules, LifetimeSource, PrimaryKey, StoredFields, StoredHead, Target, Timestamp,
};
use larder_store::{BodyBuilder, Epoch, LogPosition, Position, StoredBody, StoredResponse, Variant, Write};

/// The epoch of the log in tests.
pub(crate) fn epoch() -> Epoch {
    Epoch::of("one")
}

/// The key of a path.
pub(crate) fn key(path: &str) -> PrimaryKey {
    let mut buffer = KeyBuffer::default();
    KeyRules::default().derive(Target { scheme: "http", authority: "a", path, query: None }, &HeaderMap::new(), &mut buffer);
    buffer.to_key()
}

/// A body whose bytes tell where they belong.
pub(crate) fn body(length: usize) -> StoredBody {
    let mut builder = BodyBuilder::new(length as u64);
    builder.push(&(0..length).map(|at| (at ^ (at >> 8)) as u8).collect::<Vec<_>>());
    builder.finish(None).expect("all of it came")
}

/// A response fetched at the log's position `number`, by the fetch of the same number.
pub(crate) fn response(path: &str, length: usize, number: u64, variant: Option<Variant>) -> StoredResponse {
    let head = StoredHead {
        status: StatusCode::OK,
        headers: StoredFields::from(&HeaderMap::new()),
        response_time: Timestamp::from_secs(1),
        initial_age: 0,
        lifetime: FreshnessLifetime { seconds: 60, source: LifetimeSource::MaxAge },
        stale_while_revalidate: 0,
        stale_if_error: 0,
        flags: HeadFlags::default(),
        date_seconds: 1,
        origin_control: None,
    };
    StoredResponse::new(&key(path), variant, &head, body(length), &[], Position::of_log(number), number)
}

/// The write of such a response, which is of use for a minute.
pub(crate) fn write(path: &str, length: usize, number: u64) -> Write {
    write_of(response(path, length, number, None))
}

/// The write of a response.
pub(crate) fn write_of(response: StoredResponse) -> Write {
    let log_position = Some(LogPosition { epoch: epoch(), number: response.position.log_number() });
    Write { response: Arc::new(response), keep: Duration::from_secs(60), lease: None, log_position }
}
