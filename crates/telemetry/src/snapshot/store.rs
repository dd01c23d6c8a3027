//! The memory tier and those behind it, and what decides over its entries.

use serde::Serialize;

use super::LabelledCount;

/// The memory tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreSnapshot {
    /// Stored responses.
    pub entries: u64,
    /// Bytes that they take: keys, heads, bodies, bookkeeping.
    pub stored_bytes: u64,
    /// Bytes that they may take.
    pub capacity_bytes: u64,
    /// Stored responses that were dropped.
    pub evictions: Evictions,
    /// Requests with the bypass parameter that were answered as without it since the start: their network had asked too often.
    pub bypasses_refused: u64,
    /// Bodies that are held packed; `None` where none are.
    pub packing: Option<PackingSnapshot>,
}

/// Bodies that memory holds in fewer bytes than they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PackingSnapshot {
    /// Bodies that were packed, since the start.
    pub bodies: u64,
    /// Bytes that this has saved, since the start.
    pub saved_bytes: u64,
    /// Bytes of bodies that are whole now because clients read them.
    pub whole_bytes: u64,
}

/// A tier behind the memory, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TierSnapshot {
    /// Its name.
    pub name: &'static str,
    /// Look-ups that found a response.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
    /// Look-ups that failed or took too long.
    pub failures: u64,
    /// Responses given to it because a farther tier had them.
    pub promotions: u64,
}

/// Stored responses that were dropped since the start, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evictions {
    /// There was no room for them.
    pub size: u64,
    /// They were invalidated, or superseded by a response that cannot be stored.
    pub removed: u64,
    /// A newer response took their key.
    pub replaced: u64,
}

/// Fetches that several requests share (collapsed forwarding).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CollapsingSnapshot {
    /// Requests that shared another's fetch, since the start.
    pub followers: u64,
    /// Requests that wait for another's fetch to get its response's head.
    pub waiting: u64,
    /// Fetches under way.
    pub fills_in_flight: u64,
    /// Bytes of bodies held for them.
    pub fill_bytes: u64,
    /// Answers that broke off in a tier midway and were asked for again, since the start: those that went on, by another answer that was the same.
    pub continued: u64,
    /// Those that did not, since it was another one.
    pub differing: u64,
    /// Those for which none came.
    pub failed: u64,
}

/// The ledger of invalidations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InvalidationSnapshot {
    /// Invalidations since the start, by kind of target.
    pub by_target: Vec<LabelledCount>,
    /// Messages on the Redis channel of invalidations since the start, by outcome; empty without such a channel.
    pub messages: Vec<LabelledCount>,
    /// Records kept.
    pub records: u64,
    /// How often records had to make room.
    pub folds: Folds,
    /// The last position in the sequence of invalidations.
    pub position: u64,
}

/// How often records of invalidations had to make room since the start, by what took their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Folds {
    /// Coarser records, which cover them.
    pub coarser: u64,
    /// One that covers everything stored before it.
    pub everything: u64,
}
