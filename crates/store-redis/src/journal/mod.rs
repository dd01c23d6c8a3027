//! Invalidations on their way into the log of invalidations, and their form there.
//!
//! 1. [`coarse::within`] bounds an invalidation that is too long for one entry by one that covers it.
//! 2. [`encode`] and [`decode`] are its form in the log and on disk.
//! 3. While Redis does not take it, it waits in the [`Journal`], in memory and, where a file is named, on disk (`file`).
//! 4. [`Recent`] keeps the last ones that Redis did take: they are published again after a failover that may have lost them.

mod coarse;
mod file;
mod form;
mod pending;
mod recent;

pub(crate) use coarse::within;
pub(crate) use form::{decode, encode};
pub(crate) use pending::Journal;
pub(crate) use recent::Recent;
