//! Requests that are not looked up at once: reads whose content has to be read before ([`content`], which may find what is asked for
//! in another form ([`forms`]) or part by part ([`several`])), reads that pass by the store, and writes with
//! their invalidations.

#[cfg(feature = "json")]
pub(crate) mod body_invalidation;
#[cfg(not(feature = "json"))]
#[path = "no_bodies.rs"]
pub(crate) mod body_invalidation;
pub(crate) mod content;
mod forms;
mod fresh;
pub(crate) mod invalidate;
pub(crate) mod pass;
pub(crate) mod refetch;
pub(crate) mod several;
mod steps;
