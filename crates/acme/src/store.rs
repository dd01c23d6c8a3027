//! Where account, certificates and challenges are kept.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

/// The outcome of an operation on a store.
pub type Stored<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a store did not do what it was asked, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// Keeps values by their names, which are made of letters, digits, `.`, `-`, `_` and `/`. Private keys are among the values.
pub trait AcmeStore: Debug + Send + Sync {
    /// Whether other processes show what is kept here to the authority, so that each has to look for the challenges of all.
    fn is_shared(&self) -> bool;

    /// A value, if there is one.
    fn load<'a>(&'a self, name: &'a str) -> Stored<'a, Option<Vec<u8>>>;

    /// Keeps a value in place of the one before, as a whole; where it is shared, for so long at least.
    fn save<'a>(&'a self, name: &'a str, value: &'a [u8], kept: Duration) -> Stored<'a, ()>;

    /// Takes what is one process's at a time. Returns whether this one has it, until [`Self::unlock`], or where it is shared for `term` at most.
    fn lock<'a>(&'a self, name: &'a str, term: Duration) -> Stored<'a, bool>;

    /// Gives it back; where it is shared, after this pause, in which no process needs to try.
    fn unlock<'a>(&'a self, name: &'a str, pause: Duration) -> Stored<'a, ()>;
}
