//! Figures of the tier.

use std::path::PathBuf;

use larder_store::BreakerState;

/// Figures of the tier; counts run from the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskStats {
    /// Look-ups that found a response.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
    /// Look-ups that the disk did not answer, or not in time, or that the breaker refused.
    pub failures: u64,
    /// Records that were damaged.
    pub damaged: u64,
    /// Responses that no key opens.
    pub locked: u64,
    /// Long bodies that broke off after their beginning.
    pub interrupted: u64,
    /// Responses written.
    pub written: u64,
    /// Writes given up: the queue was full, or the disk did not take them.
    pub dropped: u64,
    /// Writes given up because more than the rate was to be written.
    pub held_back: u64,
    /// Entries that went because their segment was needed.
    pub evicted: u64,
    /// Bytes written, what was written on included.
    pub written_bytes: u64,
    /// Bytes of hot entries that were written on from a segment that was needed.
    pub moved_bytes: u64,
    /// Writes that wait.
    pub queued: u64,
    /// Bytes of bodies that wait.
    pub queued_bytes: u64,
    /// Entries whose place is known.
    pub entries: u64,
    /// Bytes of memory for that.
    pub index_bytes: u64,
    /// Bytes of disk that it may take.
    pub capacity_bytes: u64,
    /// Whether the directory is open, and everything in it known.
    pub is_ready: bool,
    /// Whether the disk is read.
    pub reading: BreakerState,
    /// Whether it is written.
    pub writing: BreakerState,
}

/// One of several directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryStats {
    /// Where it is.
    pub path: PathBuf,
    /// Its own figures.
    pub stats: DiskStats,
    /// Why it does not work now, in words for people.
    pub problem: Option<String>,
}

impl DiskStats {
    /// Of two directories together.
    #[must_use]
    pub(crate) fn with(self, other: &Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            failures: self.failures + other.failures,
            damaged: self.damaged + other.damaged,
            locked: self.locked + other.locked,
            interrupted: self.interrupted + other.interrupted,
            written: self.written + other.written,
            dropped: self.dropped + other.dropped,
            held_back: self.held_back + other.held_back,
            evicted: self.evicted + other.evicted,
            written_bytes: self.written_bytes + other.written_bytes,
            moved_bytes: self.moved_bytes + other.moved_bytes,
            queued: self.queued + other.queued,
            queued_bytes: self.queued_bytes + other.queued_bytes,
            entries: self.entries + other.entries,
            index_bytes: self.index_bytes + other.index_bytes,
            capacity_bytes: self.capacity_bytes + other.capacity_bytes,
            is_ready: self.is_ready && other.is_ready,
            reading: worse(self.reading, other.reading),
            writing: worse(self.writing, other.writing),
        }
    }
}

/// Of two breakers, the one that lets less through.
fn worse(one: BreakerState, other: BreakerState) -> BreakerState {
    let rank = |state: &BreakerState| match state {
        BreakerState::Closed => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Open => 2,
    };
    std::cmp::max_by_key(one, other, rank)
}
