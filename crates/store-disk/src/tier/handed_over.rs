//! What a process leaves that has given the directory up to the next one and still answers what it had begun: files which the next one takes while it
//! runs, or when it begins. Purges go into the log as notes where that is in the directory (`log`); this is for what does not.
//!
//! ```text
//! forget-handed-over-…   a purge that no log has: everything is to be forgotten
//! removal-note-…         hash of the key, fetch, URL: a response that its origin no longer stands for
//! ```

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use larder_store::{Invalidation, InvalidationTarget, StoredResponse};
use tracing::info;

use super::worker::{FORGET, forget_later};
use super::{Tier, hash_of};
use crate::engine::Engine;

/// What follows [`FORGET`], so that a process which begins takes it for a mark like any other.
const HANDED_OVER: &str = "handed-over-";

const REMOVAL: &str = "removal-note-";

/// A file that is not whole yet.
const UNFINISHED: &str = ".new";

/// A file that the process before left.
enum Left {
    Everything,
    Removal { hash: u64, fetch: u64, url: String },
}

impl Tier {
    /// The note of a removal after the directory was given up. `None`: it never was this process's.
    pub(super) fn removal_note(&self, response: &StoredResponse) -> Option<String> {
        let (seed, key) = ((*self.seed.lock().unwrap_or_else(PoisonError::into_inner))?, response.key());
        Some(format!("{:016x} {} {}", hash_of(seed, &key, response.variant()), response.fetch, key.url()))
    }

    /// Takes what the process before this one invalidates while it ends. `applied`: what this one has applied, and the disk has not taken yet.
    pub(super) fn take_over(&self, engine: &Engine, applied: &mut HashSet<PathBuf>) {
        let notes = match &self.log {
            Some(log) if self.has_log.load(Ordering::Relaxed) => log.read_notes(&self.options.path),
            _ => Ok(()),
        };
        if let Err(error) = notes.and_then(|()| self.take_left(engine, applied)) {
            self.failed(&error);
        }
    }

    fn take_left(&self, engine: &Engine, applied: &mut HashSet<PathBuf>) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.options.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.ends_with(UNFINISHED)) else { continue };
            let left = match name {
                _ if name.starts_with(REMOVAL) => parse(&std::fs::read_to_string(entry.path())?),
                _ if name.strip_prefix(FORGET).is_some_and(|rest| rest.starts_with(HANDED_OVER)) => Left::Everything,
                _ => continue,
            };
            let path = entry.path();
            if applied.insert(path.clone()) {
                self.apply_left(&left);
            }
            match left {
                Left::Everything => self.forget_all(engine)?,
                Left::Removal { hash, fetch, .. } => engine.remove(hash, fetch, self.clocks.now())?,
            }
            std::fs::remove_file(&path)?;
            applied.remove(&path);
        }
        Ok(())
    }

    /// Before the disk has it: this process may have it in memory.
    fn apply_left(&self, left: &Left) {
        let target = match left {
            Left::Everything => {
                info!("the process before this one has purged something that no log has: nothing from before is used");
                InvalidationTarget::All
            }
            Left::Removal { url, .. } => InvalidationTarget::Url(url.clone()),
        };
        self.ledger.apply(&Invalidation::hard([target]), (self.clocks.wall)());
    }
}

/// The process that has the directory now must forget everything.
pub(super) fn forget_now(directory: &Path) -> io::Result<()> {
    forget_later(directory, &format!("{FORGET}{HANDED_OVER}{}", name()))
}

/// The process that has the directory now must remove a response.
pub(super) fn remove_now(directory: &Path, note: &str) -> io::Result<()> {
    let path = directory.join(format!("{REMOVAL}{}", name()));
    let unfinished = path.with_extension(&UNFINISHED[1..]);
    std::fs::write(&unfinished, note)?;
    std::fs::rename(unfinished, path)
}

/// One that cannot be read may have meant anything, so it means everything.
fn parse(line: &str) -> Left {
    let mut words = line.splitn(3, ' ');
    let mut read = || {
        let hash = u64::from_str_radix(words.next()?, 16).ok()?;
        Some(Left::Removal { hash, fetch: words.next()?.parse().ok()?, url: words.next()?.to_owned() })
    };
    read().unwrap_or(Left::Everything)
}

fn name() -> String {
    format!("{:016x}", RandomState::new().hash_one("left"))
}
