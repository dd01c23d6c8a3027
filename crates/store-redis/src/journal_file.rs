//! The journal on disk: what was accepted outlives the process.
//!
//! One line for each invalidation, as it stands in the log. A line without its end was being written when the process died, before
//! anybody was told that it was accepted. What cannot be read otherwise may have meant anything, so it means everything.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use larder_store::Invalidation;
use tracing::warn;

use crate::journal::{decode, encode};

/// A file that only this process writes to.
#[derive(Debug)]
pub(crate) struct JournalFile(File);

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
        Ok((Self(file), left))
    }

    pub(crate) fn append(&mut self, invalidation: &Invalidation) {
        let mut line = encode(invalidation);
        line.push(b'\n');
        // In one call, so that a line is whole or without its end.
        self.told(|file| file.write_all(&line));
    }

    pub(crate) fn clear(&mut self) {
        self.told(|file| {
            file.set_len(0)?;
            file.rewind()
        });
    }

    fn told(&mut self, work: impl FnOnce(&mut File) -> io::Result<()>) {
        if let Err(error) = work(&mut self.0) {
            warn!("the journal cannot be written: {error}; purges that Redis does not have yet are kept in memory only");
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
    fn what_was_kept_outlives_the_process_until_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(Some(&path)).unwrap();
        journal.keep(tagged("a"));
        journal.keep(tagged("b\n"));
        assert_eq!(Journal::open(Some(&path)).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(journal);
        let journal = Journal::open(Some(&path)).unwrap();
        for kept in [tagged("a"), tagged("b\n")] {
            assert_eq!(journal.first(), Some(kept.clone()));
            journal.done(&kept);
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
}
