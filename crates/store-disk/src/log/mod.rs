//! The log of invalidations of a process that has a disk and no Redis: without it no purge would outlive the process, and so nothing on the disk
//! could be used by the next one.
//!
//! ```text
//! purges      one line for each invalidation: its number, and the invalidation as JSON
//! purge-log   which log that is, and whether its last process ended well
//! purge-note  of a process that has given the directory up and still answers what it had begun, one file for each purge
//! ```
//!
//! A line is written to the operating system before the purge is acknowledged, so it outlives the process and not the machine. After a crash of the
//! machine the log has another epoch: nothing that was stored before is used.

mod file;
mod notes;

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_store::{AppliedBy, Invalidation, InvalidationLog, InvalidationTarget, Ledger, Published, StoreFuture};
use tokio::sync::Semaphore;
use tracing::warn;

use file::LogFile;
pub(crate) use file::STATE;

/// How long a purge waits for the disk.
pub(crate) const PURGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Purges that are kept for the log one by one. Beyond that, one stands for all.
const MAX_KEPT: usize = 10_000;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct LocalLog {
    ledger: Arc<Ledger>,
    state: Mutex<State>,
    /// One thread writes at a time, so a disk that hangs keeps no more of them.
    permits: Arc<Semaphore>,
}

#[derive(Debug)]
enum State {
    /// Another process still has the directory, or it cannot be used. Purges of this time are kept for the log.
    Waiting(Vec<Invalidation>),
    /// With what keeps the directory this process's: no other one writes to the file before this one has left it.
    Open(LogFile, Arc<dyn Any + Send + Sync>),
    /// A successor has the directory, and gets purges as notes.
    HandedOver(PathBuf),
    Closed,
}

impl LocalLog {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger, state: Mutex::new(State::Waiting(Vec::new())), permits: Arc::new(Semaphore::new(1)) }
    }

    /// Reads what earlier processes have invalidated. The directory is this process's for as long as `hold` lives.
    pub(crate) fn open(&self, directory: &Path, hold: Arc<dyn Any + Send + Sync>) -> io::Result<()> {
        let (mut file, entries) = LogFile::open(directory)?;
        let mut state = self.state();
        if let Some((first, _)) = entries.first() {
            // What the log had before its oldest line is not known any more.
            self.ledger.start_over_at(first - 1);
        }
        entries.iter().for_each(|(number, invalidation)| self.ledger.apply_logged(*number, invalidation));
        if let State::Waiting(kept) = &*state {
            // Applied before all of these, and yet later: what is on the disk has to be compared with them.
            for invalidation in kept {
                self.ledger.apply_logged(file.append(invalidation)?, invalidation);
            }
        }
        notes::take(directory, |invalidation| self.append_to(&mut file, invalidation))?;
        self.ledger.enter(file.epoch());
        *state = State::Open(file, hold);
        Ok(())
    }

    /// Takes what a process has purged that had the directory before, and still answers what it had begun.
    pub(crate) fn read_notes(&self, directory: &Path) -> io::Result<()> {
        match &mut *self.state() {
            State::Open(file, _) => notes::take(directory, |invalidation| self.append_to(file, invalidation)),
            State::Waiting(_) | State::HandedOver(_) | State::Closed => Ok(()),
        }
    }

    /// Whether it has everything that this process has purged.
    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.state(), State::Open(..))
    }

    fn append_to(&self, file: &mut LogFile, invalidation: &Invalidation) -> io::Result<()> {
        self.ledger.apply_logged(file.append(invalidation)?, invalidation);
        Ok(())
    }

    /// A successor gets the directory. What is purged from here on is left to it. See [`Self::close`].
    pub(crate) fn hand_over(&self, directory: &Path, is_stored: bool) {
        self.end(State::HandedOver(directory.to_owned()), is_stored);
    }

    /// The process ends. `is_stored`: all that it wrote is on the disk, so the next one may use it even if the machine stops meanwhile.
    pub(crate) fn close(&self, is_stored: bool) {
        self.end(State::Closed, is_stored);
    }

    fn end(&self, end: State, is_stored: bool) {
        let mut state = self.state();
        if matches!(*state, State::HandedOver(_)) {
            return;
        }
        if let State::Open(file, _hold) = std::mem::replace(&mut *state, end)
            && is_stored
            && let Err(error) = file.close()
        {
            warn!("the log of purges could not be closed: {error}");
        }
    }

    fn append(&self, invalidation: &Invalidation) -> Published {
        let mut state = self.state();
        let file = match &mut *state {
            State::Open(file, _) => file,
            State::Waiting(kept) => {
                if kept.len() >= MAX_KEPT {
                    *kept = vec![Invalidation::hard([InvalidationTarget::All])];
                } else {
                    kept.push(invalidation.clone());
                }
                return Published::Kept;
            }
            State::HandedOver(directory) => {
                let left = notes::leave(directory, invalidation);
                return left.map_or(Published::Unwritten, |()| Published::Kept);
            }
            State::Closed => return Published::Unwritten,
        };
        match file.append(invalidation) {
            Ok(number) => {
                self.ledger.apply_logged(number, invalidation);
                Published::Logged(number)
            }
            Err(error) => {
                warn!("a purge could not be written to the disk, so the next process does not use what is stored there: {error}");
                Published::Unwritten
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log of a process that has no other replicas.
#[derive(Debug)]
pub(crate) struct Shared(pub(crate) Arc<LocalLog>);

impl InvalidationLog for Shared {
    fn publish(&self, invalidation: Invalidation) -> StoreFuture<'_, Published> {
        let (log, permits) = (Arc::clone(&self.0), Arc::clone(&self.0.permits));
        Box::pin(async move {
            let append = async move {
                let permit = permits.acquire_owned().await.ok()?;
                let append = move || {
                    let published = log.append(&invalidation);
                    drop(permit);
                    published
                };
                tokio::task::spawn_blocking(append).await.ok()
            };
            // A client waits for the answer to its write: on a disk that hangs the purge is written when that goes on, if at all.
            tokio::time::timeout(PURGE_TIMEOUT, append).await.ok().flatten().unwrap_or(Published::Unwritten)
        })
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn outlives_process(&self) -> bool {
        matches!(*self.0.state(), State::HandedOver(_))
    }

    fn applied_by(&self, _: u64) -> StoreFuture<'_, Option<AppliedBy>> {
        Box::pin(std::future::ready(Some(AppliedBy { applied: 1, replicas: 1, unknown: 0 })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purges_that_wait_for_the_directory_are_bounded_by_one_that_stands_for_all() {
        let (folder, log) = (tempfile::tempdir().unwrap(), LocalLog::new(Arc::default()));
        for number in 0..=MAX_KEPT {
            log.append(&Invalidation::hard([InvalidationTarget::Tag(number.to_string())]));
        }
        log.open(folder.path(), Arc::new(())).unwrap();
        log.close(true);
        let (_, entries) = LogFile::open(folder.path()).unwrap();
        assert_eq!(entries, [(1, Invalidation::hard([InvalidationTarget::All]))]);
    }
}
