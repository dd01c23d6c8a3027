//! A response on its way into the store, as other replicas may read it meanwhile.

use std::future::poll_fn;
use std::sync::Arc;

use larder_semantics::PrimaryKey;
use larder_store::{Offered, Piece, Pieces, RemoteError, StoreFuture, StoredBody, StoredResponse};

use crate::body::log::{Item, LogReader};
use crate::body::pending::{PendingReader, PendingResponse};

/// A response on its way from the origin.
#[derive(Debug)]
pub(crate) struct OfferedResponse {
    pub(crate) key: PrimaryKey,
    pub(crate) pending: Arc<PendingResponse>,
    /// The number of its fetch.
    pub(crate) fetch: u64,
}

impl Offered for OfferedResponse {
    fn response(&self) -> StoredResponse {
        let PendingResponse { head, variant, tags, position, .. } = &*self.pending;
        StoredResponse::new(&self.key, variant.clone(), head, StoredBody::default(), tags, *position, self.fetch)
    }

    fn length(&self) -> Option<u64> {
        self.pending.length
    }

    fn pieces(&self) -> Option<Box<dyn Pieces>> {
        match self.pending.body.reader()? {
            PendingReader::Arriving(reader) => Some(Box::new(LogPieces(reader))),
            // One that came with its head is stored before its lease could offer it.
            PendingReader::Whole(_) => None,
        }
    }
}

/// The pieces that a body log has.
struct LogPieces(LogReader);

impl Pieces for LogPieces {
    fn next(&mut self) -> StoreFuture<'_, Option<Result<Piece, RemoteError>>> {
        Box::pin(async move {
            let item = poll_fn(|cx| self.0.poll_next(cx)).await?;
            Some(match item {
                Ok(Item::Data(data)) => Ok(Piece::Data(data)),
                Ok(Item::Trailers(trailers)) => Ok(Piece::Trailers(trailers)),
                Err(_) => Err(RemoteError::Incomplete),
            })
        })
    }
}
