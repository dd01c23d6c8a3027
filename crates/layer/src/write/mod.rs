//! What passes by the look-up: reads that are not looked up, and writes with what they make old.

#[cfg(feature = "json")]
pub(crate) mod body_invalidation;
#[cfg(not(feature = "json"))]
#[path = "no_bodies.rs"]
pub(crate) mod body_invalidation;
pub(crate) mod invalidate;
pub(crate) mod pass;
pub(crate) mod refetch;
mod steps;
