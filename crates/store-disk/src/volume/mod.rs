//! The files below a store, behind a trait: tests put faults into it.
//!
//! [`Directory`] is the real one. [`Faulty`] holds the files in memory, and fails when it is told to.

mod directory;
#[cfg(test)]
mod faulty;

use std::fmt;
use std::io;

pub(crate) use directory::{Directory, OpenError};
#[cfg(test)]
pub(crate) use faulty::{Fault, Faulty};

/// What a read may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It may wait for the disk, so it is not for threads that serve others.
    Waiting,
    /// It takes what the operating system has in memory, and fails with [`io::ErrorKind::WouldBlock`] where that is not all.
    Cached,
}

/// Numbered segments of one size, and small files by name.
pub(crate) trait Volume: Send + Sync + fmt::Debug {
    /// Fills the buffer from a segment.
    fn read(&self, slot: u32, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// As [`Self::read`] with [`Access::Cached`].
    fn read_cached(&self, slot: u32, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes to a segment that exists.
    fn write(&self, slot: u32, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes a segment with all its space, unless it exists.
    fn create(&self, slot: u32) -> io::Result<()>;

    /// Whether a segment exists.
    fn exists(&self, slot: u32) -> bool;

    /// Removes every segment. One that is in use takes its space until [`Self::release`], and can be read until then.
    fn remove_segments(&self) -> io::Result<()>;

    /// Nothing reads or writes a segment that was removed any more, until it is made again.
    fn release(&self, slot: u32);

    /// What was written to segments outlives the machine's crash once this returns.
    fn sync(&self) -> io::Result<()>;

    /// A small file; `None` where it does not exist.
    fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Replaces a small file as a whole. It outlives the machine's crash once this returns.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
}
