//! Answers whose bodies come as the test sends them, and their readers.

use std::sync::Mutex;

use bytes::Bytes;
use http::HeaderMap;
use larder_redis::RedisStore;
use larder_store::{Lease, Loaded, Offered, Piece, Pieces, Relayed, RemoteError, StoreFuture, StoredResponse};
use larder_testkit::wait::eventually;
use larder_testkit::{Redis, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::{MINUTE, ask_for_lease, response};

pub(super) type Sent = Result<Piece, RemoteError>;

/// An answer whose body comes as the test sends it.
struct Answer {
    make: Box<dyn Fn() -> StoredResponse + Send + Sync>,
    length: Option<u64>,
    body: Mutex<Option<UnboundedReceiver<Sent>>>,
}

struct Body(UnboundedReceiver<Sent>);

impl Offered for Answer {
    fn response(&self) -> StoredResponse {
        (self.make)()
    }

    fn length(&self) -> Option<u64> {
        self.length
    }

    fn pieces(&self) -> Option<Box<dyn Pieces>> {
        Some(Box::new(Body(self.body.lock().unwrap().take()?)))
    }
}

impl Pieces for Body {
    fn next(&mut self) -> StoreFuture<'_, Option<Sent>> {
        Box::pin(self.0.recv())
    }
}

/// The head of such an answer is there, for those who wait for this lease; its body comes from what is returned.
pub(super) fn arrives(
    lease: &mut Lease,
    length: Option<u64>,
    make: impl Fn() -> StoredResponse + Send + Sync + 'static,
) -> UnboundedSender<Sent> {
    let (sender, receiver) = unbounded_channel();
    lease.arriving(Some(Box::new(Answer { make: Box::new(make), length, body: Mutex::new(Some(receiver)) })));
    sender
}

pub(super) fn empty() -> StoredResponse {
    response("/x", 7, b"")
}

pub(super) fn send(sender: &UnboundedSender<Sent>, bytes: impl Into<Bytes>) {
    sender.send(Ok(Piece::Data(bytes.into()))).expect("it is handed on");
}

/// Waits for a lease until the answer can be read.
pub(super) async fn relayed(store: &RedisStore) -> Result<Relayed> {
    let opens = || async {
        match ask_for_lease(store, "/x", MINUTE).await {
            Ok(Loaded::Relayed(relayed)) => Ok(Some(relayed)),
            Ok(Loaded::Awaited(_)) => Ok(None),
            other => panic!("{other:?}"),
        }
    };
    eventually("waiting for the answer", opens).await
}

pub(super) async fn data(pieces: &mut Box<dyn Pieces>) -> Bytes {
    match pieces.next().await {
        Some(Ok(Piece::Data(data))) => data,
        other => panic!("{other:?}"),
    }
}

/// The whole rest of a body, and its trailers.
pub(super) async fn rest(pieces: &mut Box<dyn Pieces>) -> Result<(Vec<u8>, Option<HeaderMap>), RemoteError> {
    let (mut all, mut trailers) = (Vec::new(), None);
    while let Some(piece) = pieces.next().await {
        match piece? {
            Piece::Data(data) => all.extend_from_slice(&data),
            Piece::Trailers(fields) => trailers = Some(fields),
        }
    }
    Ok((all, trailers))
}

pub(super) async fn relays(redis: &Redis) -> Result<i64> {
    redis.count(&["EVAL", "return #redis.call('KEYS', '*:r:*')", "0"]).await
}

pub(super) async fn is_let_go(store: &RedisStore) -> Result<()> {
    let alone = || async { Ok(matches!(ask_for_lease(store, "/x", MINUTE).await, Ok(Loaded::Nothing(None))).then_some(())) };
    eventually("waiting to be let go", alone).await
}
