//! Invalidations that the log does not have yet, in the order in which they came.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_store::Invalidation;

use super::file::JournalFile;
use super::form::{encode, everything};

/// Targets that may be kept. Beyond it one entry stands for all: everything is invalid.
const MAX_TARGETS: usize = 10_000;

/// Bytes of their forms that may be kept, in memory and on disk.
const MAX_BYTES: usize = 16 << 20;

/// Invalidations that wait for the log, in memory and in a file.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Each with a number of its own.
    entries: VecDeque<(u64, Invalidation)>,
    last: u64,
    targets: usize,
    bytes: usize,
    file: Option<JournalFile>,
    /// How many of the last entries could not be written to the file.
    unwritten: usize,
}

impl Journal {
    /// With what an earlier process has left in the file, and a place there for what comes.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let journal = Self::default();
        if let Some((file, left)) = path.map(JournalFile::open).transpose()? {
            let mut kept = journal.lock();
            left.into_iter().for_each(|invalidation| _ = kept.add(invalidation));
            kept.file = Some(file);
        }
        Ok(journal)
    }

    /// `false`: it is in memory only, although there is a file, which cannot be written.
    pub(crate) fn keep(&self, invalidation: Invalidation) -> bool {
        self.lock().add(invalidation)
    }

    /// Why the file cannot be written, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        self.lock().file.as_ref()?.problem().map(str::to_owned)
    }

    #[cfg(test)]
    pub(crate) fn first(&self) -> Option<Invalidation> {
        self.lock().entries.front().map(|(_, entry)| entry.clone())
    }

    /// The oldest, as many as fit into so many bytes as one invalidation, but one at least: that one, and the numbers of those that it is
    /// made of. They stay until they are [`Self::done`].
    pub(crate) fn batch(&self, max_bytes: usize) -> (Invalidation, Vec<u64>) {
        let kept = self.lock();
        let (mut all, mut of, mut bytes) = (Invalidation::default(), Vec::new(), 0);
        for (number, entry) in &kept.entries {
            bytes += encode(entry).len();
            // Soft and hard invalidations stay apart, and all in their order.
            if !of.is_empty() && (bytes > max_bytes || entry.soft != all.soft) {
                break;
            }
            all.soft = entry.soft;
            all.targets.extend_from_slice(&entry.targets);
            of.push(*number);
        }
        (all, of)
    }

    /// The log has the oldest, if it is still the one of this number. Another one that is equal may stand for what came since.
    pub(crate) fn done(&self, number: u64) {
        let mut kept = self.lock();
        if kept.entries.front().is_some_and(|(first, _)| *first == number) {
            kept.entries.pop_front();
            kept.unwritten = kept.unwritten.min(kept.entries.len());
            kept.targets = kept.entries.iter().map(|(_, entry)| entry.targets.len()).sum();
            if kept.entries.is_empty() {
                // Before that, published ones stay in the file: to publish them twice does no harm.
                kept.bytes = 0;
                kept.file.iter_mut().for_each(JournalFile::clear);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    #[cfg(test)]
    pub(crate) fn swap_file(&self, file: std::fs::File) -> std::fs::File {
        self.lock().file.as_mut().expect("a file").swap(file)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, invalidation: Invalidation) -> bool {
        let (targets, bytes) = (invalidation.targets.len(), encode(&invalidation).len());
        let mut kept = invalidation;
        if self.targets.saturating_add(targets) > MAX_TARGETS || self.bytes.saturating_add(bytes) > MAX_BYTES {
            kept = everything();
            self.entries.clear();
            (self.targets, self.bytes, self.unwritten) = (MAX_TARGETS, 0, 0);
            self.file.iter_mut().for_each(JournalFile::clear);
        } else {
            self.targets += targets;
            self.bytes += bytes;
        }
        self.last += 1;
        self.entries.push_back((self.last, kept));
        self.write()
    }

    /// Writes what the file does not have yet, in its order, as far as that goes; `false` if something is left.
    fn write(&mut self) -> bool {
        let Some(file) = &mut self.file else { return true };
        self.unwritten += 1;
        let first = self.entries.len() - self.unwritten;
        self.unwritten -= self.entries.range(first..).take_while(|(_, entry)| file.append(entry)).count();
        self.unwritten == 0
    }
}

#[cfg(test)]
mod tests {
    use larder_store::InvalidationTarget;

    use super::*;

    fn tagged(name: &str) -> Invalidation {
        Invalidation::soft([InvalidationTarget::Tag(name.to_owned()), InvalidationTarget::Prefix("/x".to_owned())])
    }

    #[test]
    fn they_leave_in_the_order_in_which_they_came() {
        let journal = Journal::default();
        journal.keep(tagged("a"));
        journal.keep(tagged("b"));
        assert_eq!(journal.first(), Some(tagged("a")));
        let (_, first) = journal.batch(0);
        journal.done(first[0]);
        journal.done(first[0]);
        assert_eq!(journal.first(), Some(tagged("b")), "done twice is done once");
    }

    #[test]
    fn they_are_told_in_batches() {
        let journal = Journal::default();
        let one = encode(&tagged("0")).len();
        (0..5).for_each(|n| _ = journal.keep(tagged(&n.to_string())));
        journal.keep(everything());
        let batch = |max_bytes| {
            let (all, of) = journal.batch(max_bytes);
            of.iter().for_each(|number| journal.done(*number));
            (all.soft, all.targets.len(), of.len())
        };
        assert_eq!(batch(2 * one), (true, 4, 2));
        assert_eq!(batch(0), (true, 2, 1), "one at least");
        assert_eq!(batch(usize::MAX), (true, 4, 2), "what is soft stays apart");
        assert_eq!((journal.batch(usize::MAX), journal.len()), ((everything(), vec![6]), 1));
        journal.done(6);
        assert_eq!(batch(usize::MAX), (false, 0, 0));
    }

    #[test]
    fn when_there_are_too_many_one_stands_for_all() {
        let journal = Journal::default();
        for n in 0..=MAX_TARGETS / 2 {
            journal.keep(tagged(&n.to_string()));
        }
        assert_eq!((journal.first(), journal.len()), (Some(everything()), 1));
        let (_, published) = journal.batch(usize::MAX);
        journal.keep(tagged("later"));
        assert_eq!(journal.len(), 1);
        journal.done(published[0]);
        assert_eq!(journal.first(), Some(everything()), "it stands for the later one too");
        let (_, published) = journal.batch(usize::MAX);
        journal.done(published[0]);
        journal.keep(tagged("after"));
        assert_eq!(journal.first(), Some(tagged("after")));
    }
}
