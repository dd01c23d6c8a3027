//! The tier on disk.

use serde::Serialize;

use super::{Breaker, OperationSnapshot};

/// The tier on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DiskSnapshot {
    /// Every kind of operation.
    pub operations: Vec<OperationSnapshot>,
    /// Look-ups by their outcome.
    pub lookups: DiskLookups,
    /// Responses on their way to the disk.
    pub writes: DiskWrites,
    /// Records that were damaged, since the start.
    pub damaged: u64,
    /// Responses that no key opens, since the start.
    pub locked: u64,
    /// Long bodies that broke off after their beginning was sent, since the start.
    pub interrupted: u64,
    /// Responses that went because their segment was needed, since the start.
    pub evicted: u64,
    /// Responses whose place is known.
    pub entries: u64,
    /// Bytes of memory for that.
    pub index_bytes: u64,
    /// Bytes of disk that it may take.
    pub capacity_bytes: u64,
    /// Whether the directory is open and everything in it known.
    pub ready: bool,
    /// Whether it is read.
    pub reading: Breaker,
    /// Whether it is written.
    pub writing: Breaker,
    /// Each directory by itself, where there are several.
    pub directories: Vec<DirectorySnapshot>,
}

/// One of several directories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DirectorySnapshot {
    /// Its path, as configured.
    pub path: String,
    /// Why it does not work now, in words for people.
    pub problem: Option<String>,
    /// Whether it is open and everything in it known.
    pub ready: bool,
    /// Look-ups of its keys by their outcome.
    pub lookups: DiskLookups,
    /// Responses whose place is known.
    pub entries: u64,
    /// Bytes that responses may take there.
    pub capacity_bytes: u64,
    /// Bytes written to it, since the start.
    pub written_bytes: u64,
    /// Writes to it that were given up, since the start: the queue was full, it did not take them, or beyond its rate.
    pub given_up: u64,
    /// Records in it that were damaged, since the start.
    pub damaged: u64,
    /// Whether it is read.
    pub reading: Breaker,
    /// Whether it is written.
    pub writing: Breaker,
}

/// Look-ups since the start, by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskLookups {
    /// A response was found.
    pub hit: u64,
    /// None was found.
    pub miss: u64,
    /// The disk did not answer, or not in time, or was not asked for its failures.
    pub failure: u64,
}

/// Responses on their way to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskWrites {
    /// Responses written, since the start.
    pub written: u64,
    /// Bytes written, since the start.
    pub written_bytes: u64,
    /// Of these, bytes of used responses that were written on from a segment that was needed.
    pub moved_bytes: u64,
    /// Writes given up because the queue was full or the disk did not take them, since the start.
    pub dropped: u64,
    /// Writes given up because more than `write_rate` was to be written, since the start.
    pub held_back: u64,
    /// Writes that wait.
    pub queued: u64,
    /// Bytes of bodies that wait.
    pub queued_bytes: u64,
}
