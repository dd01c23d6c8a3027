//! How replicas share health checks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::streak::Streak;

/// Where replicas tell each other what their health checks say.
pub trait SharedChecks: fmt::Debug + Send + Sync + 'static {
    /// What is known of this check, and whether this replica is the one to ask: one of all is in each `term`. `None` where the others cannot be
    /// reached; then each replica asks for itself.
    fn turn<'a>(&'a self, check: &'a str, term: Duration) -> Sharing<'a, Option<CheckLease>>;

    /// Tells the others, for as long as `kept`.
    fn tell<'a>(&'a self, check: &'a str, streak: Streak, kept: Duration) -> Sharing<'a, ()>;
}

/// A future of [`SharedChecks`].
pub type Sharing<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is known of a check, and who is to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckLease {
    /// The answers so far; `None` where nobody has told any lately.
    pub known: Option<Streak>,
    /// Whether this replica is to ask.
    pub is_own: bool,
}
