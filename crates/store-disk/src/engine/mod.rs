//! Records in a ring of segments. Everything here blocks, and nothing here knows HTTP.
//!
//! 1. `open` reads what an earlier process left, and [`Engine::restore`] fills the index from it, the latest first;
//! 2. `write` appends: an entry, the parts of a long body before it, a removal; `spool` writes a long body while it arrives;
//! 3. `reclaim` makes room: the oldest segment goes as a whole, and its hot entries are written on;
//! 4. `read` finds an entry and proves it, and `parts` reads a long body, into memory of `buffers`.
//!
//! ```text
//! oldest                                           newest
//! [sealed][sealed][sealed] ... [sealed][active ->      ][free]
//!    \____ reclaimed, when there is no free one ____________/
//! ```

mod buffers;
mod marks;
mod open;
mod parts;
mod read;
mod reclaim;
mod slots;
mod spool;
mod superblock;
#[cfg(test)]
mod tests;
pub(crate) mod wear;
mod write;

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_store::LogPosition;

use crate::index::Index;
use crate::volume::Volume;
use buffers::Buffers;
use marks::Marks;
pub(crate) use parts::Parts;
pub(crate) use read::{Found, FoundBody, ReadError};
use slots::{Pin, Slots};
pub(crate) use spool::Spool;
use spool::Spooling;
use wear::Wear;
use write::Writer;
#[cfg(test)]
pub(crate) use write::Written;
pub(crate) use write::{Content, NewBody, NewEntry};

/// The sizes of the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Bytes of a segment.
    pub(crate) segment_size: u64,
    /// How many there are, four at least.
    pub(crate) segments: u32,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Engine {
    volume: Arc<dyn Volume>,
    shape: Shape,
    seed: u64,
    slots: Arc<Slots>,
    buffers: Arc<Buffers>,
    index: Index,
    writer: Mutex<Writer>,
    /// As an earlier process left them: this one may use what it stores itself.
    forgotten: Marks,
    /// As they are in the file, or are to be.
    marks: Mutex<Marks>,
    /// The file has not taken the last of them.
    marks_are_due: AtomicBool,
    /// Hashes that nothing older may be restored for; `None` once all is restored.
    superseded: Mutex<Option<HashSet<u64>>>,
    restored: AtomicBool,
    spooling: Spooling,
    counters: Counters,
    /// What earlier processes have written.
    wear: Wear,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Records that were damaged.
    pub(crate) damaged: AtomicU64,
    /// Bytes that were written.
    pub(crate) written_bytes: AtomicU64,
    /// Of these, bytes of entries that were written on from a segment that was reclaimed.
    pub(crate) moved_bytes: AtomicU64,
    /// Entries that went with their segment.
    pub(crate) evicted: AtomicU64,
}

impl Engine {
    /// What keys are hashed with.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes that were written since the start.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.counters.written_bytes.load(Ordering::Relaxed)
    }

    /// Notes how much has been written. Where that cannot be written nothing is lost but the figure.
    pub(crate) fn note_wear(&self) {
        let _ = self.wear.with(self.written_bytes(), self.counters.moved_bytes.load(Ordering::Relaxed)).write(&*self.volume);
    }

    /// Entries that are known, and bytes of memory for that.
    pub(crate) fn indexed(&self) -> (usize, usize) {
        (self.index.len(), self.index.weight())
    }

    /// Whether everything that an earlier process left is known.
    pub(crate) fn is_restored(&self) -> bool {
        self.restored.load(Ordering::Acquire)
    }

    /// No later process may use what is stored up to this position; `None`: anything that is stored. Returns once that is certain.
    pub(crate) fn forget(&self, up_to: Option<LogPosition>) -> io::Result<()> {
        let mut writer = self.writer();
        let mut marks = self.marks();
        if !up_to.is_some_and(|up_to| marks.forget(up_to)) {
            marks.forget_all(writer.last_sequence());
            // There is room for its epoch now, if it has one.
            up_to.map(|up_to| marks.forget(up_to));
            // What is written from here on has a segment of its own.
            self.seal(&mut writer);
        }
        self.volume.put(marks::FILE, &marks.encode()).or_else(|_| {
            // A full disk takes no mark, but gives up files.
            self.marks_are_due.store(true, Ordering::Relaxed);
            self.volume.remove_segments()?;
            self.abandon(&mut writer);
            Ok(())
        })
    }

    /// No later process may use segments up to this sequence, of which this one uses none.
    fn forget_segments(&self, sequence: u64) {
        self.marks().forget_segments(sequence);
        self.marks_are_due.store(true, Ordering::Relaxed);
        // Tried again before each write.
        let _ = self.write_due_marks();
    }

    /// Writes marks that the disk had no room for: a response that was fetched before may still be written. Returns once none are left to write.
    pub(crate) fn write_due_marks(&self) -> io::Result<()> {
        if !self.marks_are_due.load(Ordering::Relaxed) {
            return Ok(());
        }
        let marks = self.marks();
        self.volume.put(marks::FILE, &marks.encode())?;
        self.marks_are_due.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// All that was written outlives the machine's crash once this returns.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.volume.sync()
    }

    /// While this lives, every write waits.
    #[cfg(test)]
    pub(crate) fn hold_writes(&self) -> impl Sized + '_ {
        self.writer()
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be locked after the writer, if both are.
    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a segment as it is, and says which life it has.
    fn pin(&self, slot: u32) -> Option<(Pin, u64)> {
        self.slots.pin(slot)
    }

    /// Nothing older than now may be restored for this hash.
    fn supersede(&self, hash: u64) {
        if !self.is_restored()
            && let Some(superseded) = self.superseded.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        {
            superseded.insert(hash);
        }
    }
}

fn count(cell: &AtomicU64, by: u64) {
    cell.fetch_add(by, Ordering::Relaxed);
}

/// The readers of small files, for the fuzz targets.
pub(crate) mod fuzzing {
    use super::marks::Marks;
    use super::superblock::Superblock;

    /// A file with a right checksum, in the place of each.
    pub(crate) fn small_files(bytes: &[u8]) {
        if let Some(block) = Superblock::decode(bytes) {
            assert_eq!(block.encode().len(), bytes.len());
        }
        if let Some(marks) = Marks::decode(bytes) {
            assert_eq!(marks.encode().len(), bytes.len());
        }
    }
}
