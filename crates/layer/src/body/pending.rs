//! A response on its way into the store, which clients read before it is stored.

use std::sync::Arc;

use larder_semantics::StoredHead;
use larder_store::{Ledger, Position, Recording, StoredBody, Subject, Tags, Validity, Variant};

use crate::body::log::{LogHandle, LogReader};

/// A response on its way into the store, from the origin or from the tier behind the memory.
#[derive(Debug)]
pub(crate) struct PendingResponse {
    pub(crate) head: Arc<StoredHead>,
    /// Which requests it is for; `None` without `Vary`.
    pub(crate) variant: Option<Variant>,
    pub(crate) body: PendingBody,
    /// The body's length, where it was announced.
    pub(crate) length: Option<u64>,
    /// How it arrived when it was stored, where it comes from a tier and is a stream.
    pub(crate) recording: Option<Recording>,
    /// The purges that concern it.
    pub(crate) tags: Tags,
    /// Whether its body names more, which are known at its end only.
    pub(crate) more_tags: bool,
    /// `false`: it is for the requests that wait for it, and is not stored.
    pub(crate) kept: bool,
    /// The ledger's position from before its fetch began.
    pub(crate) position: Position,
}

/// Where its body is.
#[derive(Debug)]
pub(crate) enum PendingBody {
    /// On its way.
    Arriving(LogHandle),
    /// It came with the head, and is proven complete.
    Whole(StoredBody),
}

/// One reader's way through the body.
#[derive(Debug)]
pub(crate) enum PendingReader {
    Arriving(LogReader),
    Whole(StoredBody),
}

impl PendingBody {
    /// A reader from the first byte; `None` once the start is gone.
    pub(crate) fn reader(&self) -> Option<PendingReader> {
        match self {
            Self::Arriving(log) => log.reader().map(PendingReader::Arriving),
            Self::Whole(body) => Some(PendingReader::Whole(body.clone())),
        }
    }
}

impl PendingResponse {
    /// Whether nothing that names it was invalidated since its fetch began. Its origin may have named tags that were not known when the
    /// flight was joined.
    pub(crate) fn is_current(&self, url: &str, ledger: &Ledger) -> bool {
        if self.more_tags {
            return ledger.position() <= self.position;
        }
        ledger.check(&Subject { url, tags: (&self.tags).into() }, self.position) == Validity::Valid
    }
}
