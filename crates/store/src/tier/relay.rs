//! Relays: an answer that one replica fetches, read by others from a tier that they share while its body arrives.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;

use super::lease::LeaseHolder;
use super::operation::{RemoteError, StoreFuture};
use crate::codec::ResponseRecord;
use crate::entry::StoredResponse;

/// The next part of a body on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes, of any number but 0.
    Data(Bytes),
    /// The trailer fields (RFC 9110 §6.5); only the end comes after them.
    Trailers(HeaderMap),
}

/// A body on its way, from its start.
pub trait Pieces: Send {
    /// The next piece; `None` after the proven end. After an error nothing more comes. A future that is dropped has taken nothing.
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Piece, RemoteError>>>;

    /// Bytes of memory, at most, that what was fetched ahead takes now.
    fn ahead(&self) -> u64 {
        0
    }

    /// From now on so many pieces may be fetched ahead at most; with none, each is fetched when it is asked for. Until then the tier decides.
    fn limit_ahead(&mut self, pieces: usize) {
        let _ = pieces;
    }
}

/// An answer whose body is on its way here. Other replicas may read it meanwhile.
pub trait Offered: Send + Sync {
    /// All of it but the body, in whose place is none.
    fn response(&self) -> StoredResponse;

    /// The length of the body, where it was announced.
    fn length(&self) -> Option<u64>;

    /// A reader of the body; `None` once its start is gone.
    fn pieces(&self) -> Option<Box<dyn Pieces>>;
}

/// An answer that another replica is fetching, while its body arrives there. Neither its freshness nor its validity has been looked at.
pub struct Relayed {
    /// The lease of that fetch.
    pub holder: LeaseHolder,
    /// All of the answer but the body, of which the record says nothing.
    pub record: Box<ResponseRecord>,
    /// The length of the body, where it was announced.
    pub length: Option<u64>,
    /// The body.
    pub pieces: Box<dyn Pieces>,
}

impl fmt::Debug for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relayed").field("holder", &self.holder).field("record", &self.record).finish_non_exhaustive()
    }
}
