//! An operation on a tier: its future, and how it fails.

use std::pin::Pin;

/// A boxed future, which keeps [`RemoteStore`](crate::RemoteStore) object-safe.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the tier did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RemoteError {
    /// The breaker is open: the tier has failed too often.
    #[error("the store is being left alone after failures")]
    Open,
    /// It took longer than it may.
    #[error("the store did not answer in time")]
    Timeout,
    /// The connection failed, or something else than the store is at its other end.
    #[error("the connection to the store failed")]
    Connection,
    /// The store refused: no memory, no permission, read-only.
    #[error("the store refused")]
    Refused,
    /// It works, but the log of invalidations has not been read, so stored responses cannot be validated against it.
    #[error("the log of invalidations has not been read")]
    Unvouched,
    /// A stored value does not decode.
    #[error("what the store holds is damaged")]
    Damaged,
    /// A part of a stored value is gone: evicted, or replaced by something newer.
    #[error("what the store holds is incomplete")]
    Incomplete,
}
