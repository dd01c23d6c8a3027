//! Purges of a process that has given the directory up to its successor, and still answers what it had begun: each is a file of its own, which the
//! successor puts into the log and removes.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;

use larder_store::{Invalidation, InvalidationTarget};

const NOTE: &str = "purge-note-";

/// A file that is not whole yet.
const UNFINISHED: &str = ".new";

/// Leaves a note for the process that has the directory now, or has it next.
pub(super) fn leave(directory: &Path, invalidation: &Invalidation) -> io::Result<()> {
    let path = directory.join(format!("{NOTE}{:016x}", RandomState::new().hash_one("note")));
    let unfinished = path.with_extension(&UNFINISHED[1..]);
    fs::write(&unfinished, serde_json::to_vec(invalidation)?)?;
    fs::rename(unfinished, path)
}

/// Hands each note to `keep`, and removes those that are kept. A note that cannot be read may have meant anything, so it means everything.
pub(super) fn take(directory: &Path, mut keep: impl FnMut(&Invalidation) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if !name.to_str().is_some_and(|name| name.starts_with(NOTE) && !name.ends_with(UNFINISHED)) {
            continue;
        }
        let path = directory.join(name);
        let read = serde_json::from_slice(&fs::read(&path)?);
        keep(&read.unwrap_or_else(|_| Invalidation::hard([InvalidationTarget::All])))?;
        fs::remove_file(path)?;
    }
    Ok(())
}
