//! Errors between the cache and its inner service.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use larder_store::RemoteError;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The inner service's error. One exchange may serve many clients, so they share it.
#[derive(Clone, Debug)]
pub struct FetchError(Arc<dyn Error + Send + Sync>);

impl FetchError {
    pub(crate) fn new(error: impl Into<BoxError>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// The inner service's own error, if it is of this type.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Why a response body broke off. The client's connection is ended so that it sees the break, never a clean end.
#[derive(Clone, Debug, thiserror::Error)]
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
    /// A body's own error, where it has one: a body that is made of several knows better why it broke off.
    pub(crate) fn of(error: FetchError) -> Self {
        error.downcast_ref::<Self>().cloned().unwrap_or(Self::Upstream(error))
    }
}
