//! A body on its way here, handed on to other replicas.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::HeaderMap;
use larder_store::codec::{RelayPiece, encode, encode_piece, encode_selecting};
use larder_store::{Offered, Piece, Pieces, RemoteError, SEGMENT};

use crate::entry::heartbeat::Held;
use crate::entry::tier::Tier;
use crate::entry::write::age;
use crate::link::{Lane, Operation};
use crate::scripts;
use crate::value::{RelayKey, millis, seal};

/// How long a relay stays without a new piece. Longer than the layer waits for the next frame of an origin.
const KEPT: Duration = Duration::from_secs(90);

/// How long it stays after its end, for readers that are behind.
const KEPT_ENDED: Duration = Duration::from_secs(30);

/// Hands on what is offered under a lease. Ready only where that fails: those who wait had better not wait on. It goes on when this is dropped, for
/// those who read already.
pub(in crate::entry) async fn hand_on(tier: &Arc<Tier>, lease: &str, token: u64, offered: Box<dyn Offered>, held: &Arc<Held>) {
    let Ok(Some(relay)) = begin(tier, lease, token, &*offered, held).await else { return };
    // The lease may last longer than the body, which nothing here needs any more.
    drop(offered);
    if tokio::spawn(relay.run()).await.is_ok_and(|outcome| outcome.is_ok()) {
        pending().await
    }
}

/// Writes all but the body; `None`: the lease is not this fetch's any more, or the body has lost its start.
async fn begin(tier: &Arc<Tier>, lease: &str, token: u64, offered: &dyn Offered, held: &Arc<Held>) -> Result<Option<Relay>, RemoteError> {
    let Some(pieces) = offered.pieces() else { return Ok(None) };
    let (key, keys, response) = (RelayKey::new(lease, token), tier.link.options().keys.as_ref(), offered.response());
    let head = seal(keys, &key.head(), encode(&response, response.position.shared()).into())?;
    let selecting = match response.variant() {
        Some(variant) => seal(keys, &key.selecting(), encode_selecting(&response.key(), &variant.spec).into())?,
        None => Bytes::new(),
    };
    let length = offered.length().map(|length| length.to_string()).unwrap_or_default();
    let call = scripts::RELAY_BEGIN.call().key(key.name()).key(lease).arg(token).arg(&head[..]).arg(&selecting[..]).arg(length);
    let call = call.arg(age(tier, &response)).arg(millis(KEPT));
    let call = &call;
    let work = |mut connection| async move { call.invoke::<bool>(&mut connection).await };
    if !tier.link.run(Operation::Relay, Lane::Small, work).await? {
        return Ok(None);
    }
    tier.counters.relays.add();
    let (tier, held, body) = (Arc::clone(tier), Arc::clone(held), Batches { pieces, left: Bytes::new(), trailers: None, length: 0 });
    Ok(Some(Relay { tier, key, token, body, next: 0, window: Window::default(), _held: held }))
}

/// A relay under way.
struct Relay {
    tier: Arc<Tier>,
    key: RelayKey,
    token: u64,
    body: Batches,
    /// The number of the next piece.
    next: u32,
    window: Window,
    /// This replica goes on to show that it lives.
    _held: Arc<Held>,
}

impl Relay {
    /// Goes on to the end of the body. Where that cannot be, the relay is dropped, and its readers learn that it has broken off.
    async fn run(mut self) -> Result<(), RemoteError> {
        let outcome = self.write_all().await;
        if outcome.is_err() {
            // One that stays ends by itself.
            let _ = drop_all(&self.tier, &self.key).await;
        }
        outcome
    }

    async fn write_all(&mut self) -> Result<(), RemoteError> {
        loop {
            let piece = self.body.next().await?;
            let is_end = matches!(piece, RelayPiece::End { .. });
            self.write(&piece, if is_end { KEPT_ENDED } else { KEPT }).await?;
            if is_end {
                return Ok(());
            }
        }
    }

    async fn write(&mut self, piece: &RelayPiece, kept: Duration) -> Result<(), RemoteError> {
        let (number, options) = (self.next, self.tier.link.options());
        let value = seal(options.keys.as_ref(), &self.key.piece(number), encode_piece(self.token, number, piece).into())?;
        let call = scripts::RELAY_PIECE.call().key(self.key.name()).arg(number).arg(&value[..]).arg(number + 1).arg(millis(kept));
        let call = self.window.add(number, value.len() as u64, options.max_object).into_iter().fold(call, |call, gone| call.arg(gone));
        let call = &call;
        let work = |mut connection| async move { call.invoke::<bool>(&mut connection).await };
        self.next += 1;
        match self.tier.link.run_streaming(Operation::Relay, work).await? {
            true => Ok(()),
            false => Err(RemoteError::Incomplete),
        }
    }
}

/// Drops a relay, so that its readers need not wait for more.
async fn drop_all(tier: &Arc<Tier>, key: &RelayKey) -> Result<(), RemoteError> {
    let mut unlink = redis::cmd("UNLINK");
    unlink.arg(key.name());
    let unlink = &unlink;
    let work = |mut connection| async move { unlink.query_async::<()>(&mut connection).await };
    tier.link.run(Operation::Release, Lane::Small, work).await
}

/// The pieces that a relay has.
#[derive(Debug, Default)]
struct Window {
    pieces: VecDeque<(u32, u64)>,
    bytes: u64,
}

impl Window {
    /// Adds a piece of so many bytes, and says which ones go so that there are no more than `max` in all. The last one stays.
    fn add(&mut self, number: u32, bytes: u64, max: u64) -> Vec<u32> {
        self.pieces.push_back((number, bytes));
        self.bytes += bytes;
        let mut gone = Vec::new();
        while self.bytes > max.max(bytes)
            && let Some((number, bytes)) = self.pieces.pop_front()
        {
            self.bytes -= bytes;
            gone.push(number);
        }
        gone
    }
}

/// A body in batches: all that has arrived, a segment at most. While one is written, the next one grows.
struct Batches {
    pieces: Box<dyn Pieces>,
    /// The rest of a frame that did not fit.
    left: Bytes,
    trailers: Option<HeaderMap>,
    /// Bytes so far.
    length: u64,
}

impl Batches {
    async fn next(&mut self) -> Result<RelayPiece, RemoteError> {
        let mut batch = BytesMut::new();
        loop {
            let fits = self.left.len().min(SEGMENT - batch.len());
            batch.extend_from_slice(&self.left.split_to(fits));
            if batch.len() == SEGMENT {
                break;
            }
            let next = match batch.is_empty() {
                true => self.pieces.next().await,
                false => match self.pieces.next().now_or_never() {
                    Some(next) => next,
                    None => break,
                },
            };
            match next.transpose()? {
                Some(Piece::Data(data)) => self.left = data,
                Some(Piece::Trailers(trailers)) => self.trailers = Some(trailers),
                None if batch.is_empty() => return Ok(RelayPiece::End { length: self.length, trailers: self.trailers.take() }),
                None => break,
            }
        }
        self.length += batch.len() as u64;
        Ok(RelayPiece::Content(batch.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use larder_store::StoreFuture;

    use super::*;

    /// Pieces that are there already; `None` for a moment without any.
    struct Ready(VecDeque<Option<Result<Piece, RemoteError>>>);

    impl Pieces for Ready {
        fn next(&mut self) -> StoreFuture<'_, Option<Result<Piece, RemoteError>>> {
            Box::pin(async move {
                match self.0.front() {
                    Some(None) => {
                        self.0.pop_front();
                        tokio::task::yield_now().await;
                        self.0.pop_front().flatten()
                    }
                    _ => self.0.pop_front().flatten(),
                }
            })
        }
    }

    fn data(length: usize) -> Option<Result<Piece, RemoteError>> {
        Some(Ok(Piece::Data(Bytes::from(vec![7; length]))))
    }

    async fn batches(pieces: impl IntoIterator<Item = Option<Result<Piece, RemoteError>>>) -> Vec<Result<RelayPiece, RemoteError>> {
        let ready = Ready(pieces.into_iter().collect());
        let mut batches = Batches { pieces: Box::new(ready), left: Bytes::new(), trailers: None, length: 0 };
        let mut all = Vec::new();
        loop {
            all.push(batches.next().await);
            if !matches!(all.last(), Some(Ok(RelayPiece::Content(_)))) {
                return all;
            }
        }
    }

    fn lengths(batches: &[Result<RelayPiece, RemoteError>]) -> Vec<usize> {
        let content = |batch: &Result<RelayPiece, RemoteError>| match batch {
            Ok(RelayPiece::Content(content)) => Some(content.len()),
            _ => None,
        };
        batches.iter().filter_map(content).collect()
    }

    #[tokio::test]
    async fn what_has_arrived_is_one_batch_of_a_segment_at_most() {
        let all = batches([data(1), data(2), None, data(SEGMENT), data(2 * SEGMENT), data(3)]).await;
        assert_eq!(lengths(&all), [3, SEGMENT, SEGMENT, SEGMENT, 3]);
        let length = 3 * SEGMENT as u64 + 6;
        assert_eq!(all.last(), Some(&Ok(RelayPiece::End { length, trailers: None })));
    }

    #[tokio::test]
    async fn trailers_come_with_the_end() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"1\""))]);
        let all = batches([data(1), Some(Ok(Piece::Trailers(trailers.clone())))]).await;
        assert_eq!(all.last(), Some(&Ok(RelayPiece::End { length: 1, trailers: Some(trailers) })));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_has_no_end() {
        let all = batches([None, data(1), None, Some(Err(RemoteError::Incomplete))]).await;
        assert_eq!((lengths(&all), all.last()), (vec![1], Some(&Err(RemoteError::Incomplete))));
    }

    #[test]
    fn a_window_drops_the_oldest_pieces_and_never_the_last() {
        let mut window = Window::default();
        assert!((0..4).all(|number| window.add(number, 25, 100).is_empty()));
        assert_eq!(window.add(4, 25, 100), [0]);
        assert_eq!(window.add(5, 60, 100), [1, 2, 3]);
        assert_eq!(window.add(6, 300, 100), [4, 5]);
        assert_eq!(window.add(7, 1, 100), [6]);
    }
}
