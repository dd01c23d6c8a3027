//! Removals that the disk has not taken yet: it refused them, or they did not get a place in the queue. Without them, what was removed would be found
//! again by the next process.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder_semantics::PrimaryKey;
use larder_store::{Invalidation, InvalidationLog, InvalidationTarget, StoredResponse, Variant};

use super::handed_over::{forget_now, remove_now};
use super::worker::{forget_later, mark_name, may_be_stored};
use super::{Tier, hash_of};
use crate::engine::Engine;
use crate::log::Shared;

/// Removals that are remembered one by one. Beyond that, everything is forgotten.
const MAX_DUE: usize = 1 << 16;

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Removals {
    /// The latest fetch whose response is removed, by the hash.
    due: Mutex<HashMap<u64, u64>>,
    /// The same of responses without `Vary` whose key has variants since then, by the hash of the primary key.
    unvaried: Mutex<HashMap<u64, u64>>,
    /// The mark of a process that may end before the disk has taken them.
    last_mark: Mutex<Option<String>>,
}

impl Removals {
    fn due(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unvaried(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.unvaried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_mark(&self) -> MutexGuard<'_, Option<String>> {
        self.last_mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers one. `false`: there are too many.
    pub(super) fn add(&self, hash: u64, fetch: u64) -> bool {
        let mut due = self.due();
        if due.len() >= MAX_DUE && !due.contains_key(&hash) {
            return false;
        }
        let known = due.entry(hash).or_insert(fetch);
        *known = fetch.max(*known);
        true
    }

    /// Whether the response of this fetch is removed, so that it must not be written.
    pub(super) fn cover(&self, hash: u64, fetch: u64) -> bool {
        self.due().get(&hash).is_some_and(|removed| *removed >= fetch)
    }

    /// One that is to be written.
    pub(super) fn next(&self) -> Option<(u64, u64)> {
        first(&self.due())
    }

    fn next_unvaried(&self) -> Option<(u64, u64)> {
        first(&self.unvaried())
    }

    fn are_due(&self) -> bool {
        !self.due().is_empty() || !self.unvaried().is_empty()
    }

    /// The disk has the removal of responses up to this fetch, or a response that hides them.
    pub(super) fn done(&self, hash: u64, fetch: u64) {
        let mut due = self.due();
        if due.get(&hash).is_some_and(|removed| *removed <= fetch) {
            due.remove(&hash);
        }
    }
}

fn first(due: &HashMap<u64, u64>) -> Option<(u64, u64)> {
    due.iter().next().map(|(hash, fetch)| (*hash, *fetch))
}

impl Tier {
    /// The response of this fetch, and earlier ones, are not to be found any more: by this process at once, and by the next one as soon as the disk takes it.
    pub(super) fn lose(&self, engine: &Engine, hash: u64, fetch: u64) {
        engine.lose(hash);
        if !self.removals.add(hash, fetch) {
            self.must_forget.store(true, Ordering::Relaxed);
        }
    }

    /// A removal while the directory is not this process's any more.
    pub(super) fn remove_elsewhere(&self, response: &StoredResponse) {
        if !self.queue.is_closed() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // The process that has it reads the purges of this one.
        if let Some(log) = self.log.clone() {
            let url = InvalidationTarget::Url(response.key().url().to_owned());
            runtime.spawn(async move { Shared(log).publish(Invalidation::hard([url])).await });
            return;
        }
        if let Some(note) = self.removal_note(response) {
            let directory = self.options.path.clone();
            // A full disk takes the file without the note.
            runtime.spawn_blocking(move || remove_now(&directory, &note).or_else(|_| forget_now(&directory)));
        }
    }

    /// Writes removals that were given up, once the disk may be asked again.
    pub(super) fn remove_due(&self, engine: &Engine) {
        if !self.removals.are_due() {
            return;
        }
        let Some(pass) = self.writing.pass((self.clocks.monotonic)()) else { return };
        match self.write_removals(engine) {
            Ok(()) => {
                pass.succeeded();
                self.works();
            }
            Err(error) => {
                self.failed(&error);
                pass.failed((self.clocks.monotonic)());
            }
        }
    }

    /// The same before the directory is given up. Where the disk does not take them, nothing on it may be used.
    pub(super) fn remove_at_last(&self, engine: &Engine) -> io::Result<()> {
        let forget = |_| {
            engine.forget(None)?;
            self.removals.due().clear();
            self.removals.unvaried().clear();
            Ok::<_, io::Error>(())
        };
        self.write_removals(engine).or_else(forget)?;
        let mut mark = self.removals.last_mark();
        if !self.are_removals_due()
            && let Some(mark) = mark.take()
        {
            std::fs::remove_file(self.options.path.join(mark))?;
        }
        Ok(())
    }

    /// The process may end before the disk has taken what is to be removed: then the next one uses nothing on it.
    pub(super) fn leave_last_mark(&self) {
        // Held until the file is there, so that a thread which still gets to the removals takes it away again.
        let mut mark = self.removals.last_mark();
        if self.are_removals_due() {
            let name = mark_name();
            if forget_later(&self.options.path, &name).is_ok() {
                *mark = Some(name);
            }
        }
    }

    fn are_removals_due(&self) -> bool {
        self.removals.are_due() || self.must_forget.load(Ordering::Relaxed)
    }

    /// A response with a variant is not written, or not yet: an earlier one without `Vary` must not answer for all variants.
    pub(super) fn unvary_for(&self, engine: &Engine, response: &StoredResponse) {
        self.unvary(engine, &response.key(), response.variant(), response.fetch);
    }

    /// The same, up to this fetch.
    pub(super) fn unvary(&self, engine: &Engine, key: &PrimaryKey, variant: Option<&Variant>, fetch: u64) {
        if variant.is_none() {
            return;
        }
        let primary = hash_of(engine.seed(), key, None);
        if !may_be_stored(engine, primary) {
            return;
        }
        let mut unvaried = self.removals.unvaried();
        if unvaried.len() >= MAX_DUE {
            self.must_forget.store(true, Ordering::Relaxed);
            return;
        }
        let known = unvaried.entry(primary).or_insert(fetch);
        *known = fetch.max(*known);
    }

    fn write_removals(&self, engine: &Engine) -> io::Result<()> {
        while let Some((hash, fetch)) = self.removals.next() {
            engine.remove_unknown(hash, fetch, self.clocks.now())?;
            self.removals.done(hash, fetch);
        }
        while let Some((hash, fetch)) = self.removals.next_unvaried() {
            engine.remove_unvaried(hash, fetch, self.clocks.now())?;
            let mut unvaried = self.removals.unvaried();
            if unvaried.get(&hash) == Some(&fetch) {
                unvaried.remove(&hash);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_covers_its_fetch_and_earlier_ones_until_it_is_done() {
        let removals = Removals::default();
        assert!(removals.add(1, 5) && removals.add(1, 3));
        assert!(removals.cover(1, 5) && !removals.cover(1, 6) && !removals.cover(2, 1));
        removals.done(1, 4);
        assert_eq!(removals.next(), Some((1, 5)), "a later one came meanwhile");
        removals.done(1, 5);
        assert_eq!(removals.next(), None);
    }

    #[test]
    fn removals_are_bounded() {
        let removals = Removals::default();
        assert!((0..MAX_DUE as u64).all(|hash| removals.add(hash, 1)));
        assert!(!removals.add(u64::MAX, 1) && removals.add(0, 2));
    }
}
