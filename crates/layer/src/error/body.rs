//! Breaks of response bodies.

use http::StatusCode;
use larder_store::RemoteError;

use super::FetchError;

/// Why a response body broke off. The client's connection is ended so that it sees the break, never a clean end.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The inner service's body failed.
    #[error("the upstream body failed: {0}")]
    Upstream(FetchError),
    /// A stored body broke off on its way here, and the inner service could not bring the rest of the same representation.
    #[error("the stored body broke off: {0}")]
    Stored(RemoteError),
    /// The inner service's body ended with more or fewer bytes than its `Content-Length` said.
    #[error("the upstream body had {got} bytes instead of {announced}")]
    Length {
        /// Bytes that `Content-Length` announced.
        announced: u64,
        /// Bytes that came.
        got: u64,
    },
    /// No bytes came for too long.
    #[error("the upstream body stalled")]
    Stalled,
    /// This client took nothing for too long while others waited for it.
    #[error("the client held up others")]
    Outrun,
    /// The task that read the body is gone.
    #[error("the fill was abandoned")]
    Abandoned,
}

impl BodyError {
    /// A body's own error, where it has one: a body that is made of several knows better why it broke off. Otherwise the failure of the body of
    /// an answer with this status.
    pub(crate) fn of(error: FetchError, status: StatusCode) -> Self {
        error.downcast_ref::<Self>().cloned().unwrap_or_else(|| Self::Upstream(error.with_upstream_status(status)))
    }

    /// The failure of the inner service's body, where it is that: with its kind, and the status of its answer.
    pub fn fetch_error(&self) -> Option<&FetchError> {
        match self {
            Self::Upstream(error) => Some(error),
            _ => None,
        }
    }
}
