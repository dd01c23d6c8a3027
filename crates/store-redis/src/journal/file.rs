//! The journal on disk: what was accepted outlives the process.
//!
//! One line for each invalidation, as it stands in the log. A line without its end was being written when the process died, before
//! it was acknowledged. A whole line that cannot be read may have meant anything, so it means everything.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use larder_store::Invalidation;
use tracing::{info, warn};

use super::form::{decode, encode};

/// A file that only this process writes to.
#[derive(Debug)]
pub(crate) struct JournalFile {
    file: File,
    /// Bytes of whole lines.
    length: u64,
    /// Why the last line could not be written.
    problem: Option<String>,
}

impl JournalFile {
    /// Opens it, and reads what is left in it from before.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<Invalidation>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "another process has it"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(whole);
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        let left = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(decode).collect();
        Ok((Self { file, length: whole as u64, problem: None }, left))
    }

    /// `false`: it could not be written, and does not outlive the process.
    pub(crate) fn append(&mut self, invalidation: &Invalidation) -> bool {
        let mut line = encode(invalidation);
        line.push(b'\n');
        // In one call, so that a line is whole or without its end.
        let written = self.file.write_all(&line);
        match &written {
            Ok(()) => self.length += line.len() as u64,
            // The beginning of a line would spoil the next one.
            Err(_) => self.cut_to(self.length),
        }
        self.note_outcome(written)
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
        self.cut_to(0);
    }

    /// Lines that stay in spite of it are published twice, which does no harm.
    fn cut_to(&mut self, length: u64) {
        let _ = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
    }

    #[cfg(test)]
    pub(crate) fn swap(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    /// Why it cannot be written, for people.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Said when it begins and when it is over, and not for every line.
    fn note_outcome(&mut self, written: io::Result<()>) -> bool {
        match (written, &self.problem) {
            (Ok(()), None) => true,
            (Ok(()), Some(_)) => {
                info!("the journal can be written again");
                self.problem = None;
                true
            }
            (Err(error), known) => {
                if known.is_none() {
                    warn!("the journal cannot be written: {error}; purges that Redis does not have yet are kept in memory only");
                }
                self.problem = Some(error.to_string());
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use larder_store::InvalidationTarget;

    use super::*;
    use crate::journal::Journal;

    fn tagged(name: &str) -> Invalidation {
        Invalidation::hard([InvalidationTarget::Tag(name.to_owned())])
    }

    fn everything() -> Invalidation {
        Invalidation::hard([InvalidationTarget::All])
    }

    #[test]
    fn kept_invalidations_outlive_the_process_until_they_are_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(Some(&path)).unwrap();
        journal.keep(tagged("a"));
        journal.keep(tagged("b\n"));
        assert_eq!(Journal::open(Some(&path)).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(journal);
        let journal = Journal::open(Some(&path)).unwrap();
        for kept in [tagged("a"), tagged("b\n")] {
            assert_eq!(journal.first(), Some(kept));
            journal.done(journal.batch(0).1[0]);
        }
        journal.keep(tagged("c"));
        drop(journal);
        let journal = Journal::open(Some(&path)).unwrap();
        assert_eq!((journal.first(), journal.len()), (Some(tagged("c")), 1));
    }

    #[test]
    fn a_line_without_its_end_was_never_accepted_and_one_that_says_nothing_means_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let line = [encode(&tagged("a")), b"\nrubbish\n".to_vec(), b"{\"targ".to_vec()].concat();
        std::fs::write(&path, line).unwrap();
        let (mut file, left) = JournalFile::open(&path).unwrap();
        assert_eq!(left, [tagged("a"), everything()]);
        file.append(&tagged("b"));
        drop(file);
        assert_eq!(JournalFile::open(&path).unwrap().1, [tagged("a"), everything(), tagged("b")]);
    }

    #[test]
    fn when_there_are_too_many_the_file_says_that_one_stands_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(Some(&path)).unwrap();
        for n in 0..=10_000 {
            journal.keep(tagged(&n.to_string()));
        }
        drop(journal);
        assert_eq!(JournalFile::open(&path).unwrap().1, [everything()]);
    }

    #[test]
    fn a_failed_write_is_reported_and_made_up_for_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(Some(&path)).unwrap();
        assert!(journal.keep(tagged("a")));
        // As on a full disk: what is open takes no bytes.
        let full = journal.swap_file(File::open(&path).unwrap());
        assert!(!journal.keep(tagged("b")) && !journal.keep(tagged("c")));
        assert!(journal.problem().is_some());
        journal.swap_file(full);
        assert!(journal.keep(tagged("d")), "with those before it");
        assert_eq!(journal.problem(), None);
        drop(journal);
        let (_, left) = JournalFile::open(&path).unwrap();
        assert_eq!(left, ["a", "b", "c", "d"].map(tagged));
    }

    #[test]
    fn half_a_line_that_found_no_room_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut file, _) = JournalFile::open(&path).unwrap();
        assert!(file.append(&tagged("a")));
        file.file.write_all(b"{\"targ").unwrap();
        file.cut_to(file.length);
        assert!(file.append(&tagged("b")));
        drop(file);
        assert_eq!(JournalFile::open(&path).unwrap().1, [tagged("a"), tagged("b")]);
    }
}
