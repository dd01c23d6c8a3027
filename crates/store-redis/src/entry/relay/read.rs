//! An answer that another replica hands on, read while it arrives there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_store::codec::{Record, RelayPiece, decode, decode_piece};
use larder_store::{LeaseHolder, LoadRequest, Piece, Pieces, Relayed, RemoteError, SEGMENT, StoreFuture, Variant};

use crate::entry::tier::Tier;
use crate::entry::watch;
use crate::link::{Lane, Operation};
use crate::scripts;
use crate::value::{Holder, RelayKey, open as unseal};

/// Pieces that one look takes along: a megabyte at most.
const MAX_AT_ONCE: usize = 4;

/// Shortest and longest pause between two looks for the next piece.
const MIN_LOOK_PAUSE: Duration = Duration::from_millis(2);
const MAX_LOOK_PAUSE: Duration = Duration::from_millis(25);

/// What comes of a relay that a lease tells of.
pub(in crate::entry) enum Opened {
    /// It is for this request.
    Relayed(Relayed),
    /// It is another variant's, and this is the request's own.
    OtherVariant(Variant),
    /// It cannot be read from its start any more.
    Gone,
}

/// Head, selecting fields, length and age, as the script answers.
type Opening = Vec<Vec<u8>>;

/// Opens the relay of a fetch that a request waits for.
pub(in crate::entry) async fn open(tier: &Arc<Tier>, lease: &str, holder: Holder, ask: &LoadRequest<'_>) -> Result<Opened, RemoteError> {
    let (key, keys) = (RelayKey::new(lease, holder.token), tier.link.options().keys.as_ref());
    let call = &scripts::RELAY_OPEN.call().key(key.name());
    let work = |mut connection| async move { call.invoke::<Opening>(&mut connection).await };
    let opening = tier.link.run(Operation::Relay, Lane::Small, work).await?;
    let Ok([head, selecting, length, age]) = <[Vec<u8>; 4]>::try_from(opening) else { return Ok(Opened::Gone) };
    let Some(head) = unseal(keys, &key.head(), head.into()) else { return Ok(locked(tier)) };
    let own = match selecting.is_empty() {
        true => None,
        false => {
            let Some(selecting) = unseal(keys, &key.selecting(), selecting.into()) else { return Ok(locked(tier)) };
            let Ok(Record::Selecting(spec)) = decode(selecting, ask.key, None) else { return Ok(damaged(tier)) };
            Some(Variant::of(spec, ask.request))
        }
    };
    let mut record = match (decode(head, ask.key, own.as_ref()), own) {
        (Ok(Record::Response(record)), _) => record,
        (Err(larder_store::codec::Unreadable::OtherKey), Some(own)) => return Ok(Opened::OtherVariant(own)),
        _ => return Ok(damaged(tier)),
    };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
    // A holder's clock may be ahead of this one.
    if let (Some(age), Some(wall)) = (number(&age), tier.link.clocks().wall) {
        record.is_at_least(age, wall());
    }
    let pieces = Reading::new(tier, key, holder);
    let holder = LeaseHolder { token: holder.token, position: holder.position, silent: false };
    Ok(Opened::Relayed(Relayed { holder, record, length: number(&length), pieces: Box::new(pieces) }))
}

fn locked(tier: &Tier) -> Opened {
    tier.counters.locked.add();
    Opened::Gone
}

fn damaged(tier: &Tier) -> Opened {
    tier.counters.damaged.add();
    Opened::Gone
}

/// A relay that is being read: a piece after the other, a few of them at once where they are there.
struct Reading {
    tier: Arc<Tier>,
    key: RelayKey,
    holder: Holder,
    /// The number of the next piece, and bytes of the body before it.
    next: u32,
    got: u64,
    /// Pieces from `next` on that have been fetched.
    fetched: VecDeque<Vec<u8>>,
    pause: Duration,
    max_ahead: usize,
    has_ended: bool,
}

impl Reading {
    fn new(tier: &Arc<Tier>, key: RelayKey, holder: Holder) -> Self {
        let (tier, fetched, pause) = (Arc::clone(tier), VecDeque::new(), MIN_LOOK_PAUSE);
        Self { tier, key, holder, next: 0, got: 0, fetched, pause, max_ahead: MAX_AT_ONCE - 1, has_ended: false }
    }

    async fn take(&mut self) -> Result<Option<Piece>, RemoteError> {
        while !self.has_ended {
            let Some(value) = self.fetched.pop_front() else {
                self.look().await?;
                continue;
            };
            let number = self.next;
            self.next += 1;
            match self.read(number, value)? {
                RelayPiece::Content(content) => {
                    self.got += content.len() as u64;
                    return Ok(Some(Piece::Data(content)));
                }
                RelayPiece::End { length, .. } if length != self.got => return Err(self.damaged()),
                RelayPiece::End { trailers, .. } => {
                    self.has_ended = true;
                    return Ok(trailers.map(Piece::Trailers));
                }
            }
        }
        Ok(None)
    }

    /// Fetches the pieces that are there, or waits a moment where none is.
    async fn look(&mut self) -> Result<(), RemoteError> {
        let mut get = redis::cmd("HMGET");
        get.arg(self.key.name()).arg("n");
        (self.next..).take(1 + self.max_ahead).for_each(|number| _ = get.arg(number));
        let get = &get;
        let work = |mut connection| async move { get.query_async::<Vec<Option<Vec<u8>>>>(&mut connection).await };
        let mut values = self.tier.link.run_streaming(Operation::Relay, work).await?.into_iter();
        // Dropped by its writer, expired, or evicted.
        let count = values.next().flatten().ok_or(RemoteError::Incomplete)?;
        let count: u32 = std::str::from_utf8(&count).ok().and_then(|count| count.parse().ok()).ok_or_else(|| self.damaged())?;
        self.fetched.extend(values.map_while(|value| value));
        if !self.fetched.is_empty() {
            self.pause = MIN_LOOK_PAUSE;
            return Ok(());
        }
        let Holder { token, replica, .. } = self.holder;
        // Pieces that are gone: this reader is too far behind. And none come from a replica that has died.
        if count > self.next || replica.is_some_and(|replica| watch::is_silent(&self.tier, token, replica)) {
            return Err(RemoteError::Incomplete);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_LOOK_PAUSE);
        Ok(())
    }

    fn read(&self, number: u32, value: Vec<u8>) -> Result<RelayPiece, RemoteError> {
        let Some(frame) = unseal(self.tier.link.options().keys.as_ref(), &self.key.piece(number), Bytes::from(value)) else {
            self.tier.counters.locked.add();
            return Err(RemoteError::Damaged);
        };
        decode_piece(frame, self.holder.token, number).map_err(|_| self.damaged())
    }

    fn damaged(&self) -> RemoteError {
        self.tier.counters.damaged.add();
        RemoteError::Damaged
    }
}

impl Pieces for Reading {
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Piece, RemoteError>>> {
        Box::pin(async move {
            let piece = self.take().await;
            if piece.is_err() {
                self.tier.counters.interrupted.add();
            }
            piece.transpose()
        })
    }

    fn ahead(&self) -> u64 {
        (self.fetched.len() * SEGMENT) as u64
    }

    fn limit_ahead(&mut self, pieces: usize) {
        self.max_ahead = pieces.min(MAX_AT_ONCE - 1);
    }
}
