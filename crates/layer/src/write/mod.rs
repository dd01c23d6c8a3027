//! Requests that are not looked up at once: reads whose content has to be read before ([`content`]), reads that pass by the store, and writes with
//! their invalidations.

#[cfg(feature = "json")]
pub(crate) mod body_invalidation;
#[cfg(not(feature = "json"))]
#[path = "no_bodies.rs"]
pub(crate) mod body_invalidation;
pub(crate) mod content;
pub(crate) mod invalidate;
pub(crate) mod pass;
pub(crate) mod refetch;
mod steps;
