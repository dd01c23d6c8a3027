//! The files of the log.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use larder_store::{Epoch, Invalidation, InvalidationTarget};
use tracing::info;

/// Bytes of lines, beyond which the older half is dropped.
const MAX_BYTES: u64 = 8 << 20;

const LINES: &str = "purges";
/// It says which log that is.
pub(crate) const STATE: &str = "purge-log";

/// Identifies one life of the machine. Where it is not known, each process is taken for another life.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// A file that only this process writes to.
#[derive(Debug)]
pub(super) struct LogFile {
    directory: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    next: u64,
    state: State,
    /// Puts the names in a directory on the disk.
    sync: fn(&Path) -> io::Result<()>,
}

/// What the file `purge-log` says: epoch, machine's life, and `closed` or `open`, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    epoch: String,
    boot: String,
    is_closed: bool,
}

impl LogFile {
    /// The log, and its entries with their numbers.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Vec<(u64, Invalidation)>)> {
        Self::open_in(directory, fs::read_to_string(BOOT).unwrap_or_else(|_| random()).trim())
    }

    fn open_in(directory: &Path, boot: &str) -> io::Result<(Self, Vec<(u64, Invalidation)>)> {
        let known = fs::read_to_string(directory.join(STATE)).ok().and_then(|text| State::parse(&text));
        // Lines that the machine had not put on the disk when it stopped are missing, and nobody knows which.
        let known = known.filter(|known| known.is_closed || known.boot == boot);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(directory.join(LINES))?;
        let mut bytes = Vec::new();
        match &known {
            Some(_) => _ = file.read_to_end(&mut bytes)?,
            None => file.set_len(0)?,
        }
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        // A line without its end was being written when the process died, before its purge was acknowledged.
        bytes.truncate(whole);
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        let entries = entries(&bytes);
        let next = entries.last().map_or(1, |(number, _)| number + 1);
        let epoch = known.map_or_else(random, |known| known.epoch);
        let state = State { epoch, boot: boot.to_owned(), is_closed: false };
        let log = Self { directory: directory.to_owned(), file, length: whole as u64, next, state, sync: sync_directory };
        log.write_state()?;
        Ok((log, entries))
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch::of(&self.state.epoch)
    }

    /// The number of the entry.
    pub(super) fn append(&mut self, invalidation: &Invalidation) -> io::Result<u64> {
        let number = self.next;
        let line = line(number, invalidation)?;
        // In one call, so that a line is whole or without its end.
        if let Err(error) = self.file.write_all(&line) {
            // The beginning of a line would spoil the next one.
            let _ = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            return Err(error);
        }
        (self.length, self.next) = (self.length + line.len() as u64, number + 1);
        if self.length > MAX_BYTES {
            self.drop_older_half()?;
        }
        Ok(number)
    }

    /// Everything is on the disk.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.state.is_closed = true;
        self.write_state()
    }

    fn write_state(&self) -> io::Result<()> {
        replace(&self.directory, STATE, self.state.to_text().as_bytes())?;
        (self.sync)(&self.directory)
    }

    /// What is older than the oldest line left is of no use to a later process.
    fn drop_older_half(&mut self) -> io::Result<()> {
        let bytes = fs::read(self.directory.join(LINES))?;
        let half = bytes.len() / 2;
        let start = bytes[half..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| half + end + 1);
        // The number of the next line has to be known where none is left.
        let left = if start < bytes.len() { &bytes[start..] } else { &bytes[..] };
        self.file = replace(&self.directory, LINES, left)?;
        self.length = left.len() as u64;
        // Behind these: the next line goes into the new file, whatever becomes of this.
        (self.sync)(&self.directory)?;
        info!("the older half of the log of purges was dropped: responses on disk from before it are not used after a restart");
        Ok(())
    }
}

impl State {
    fn to_text(&self) -> String {
        let Self { epoch, boot, is_closed } = self;
        format!("{epoch}\n{boot}\n{}\n", if *is_closed { "closed" } else { "open" })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (epoch, boot) = (lines.next()?.to_owned(), lines.next()?.to_owned());
        let is_closed = match lines.next()? {
            "closed" => true,
            "open" => false,
            _ => return None,
        };
        (!epoch.is_empty()).then_some(Self { epoch, boot, is_closed })
    }
}

/// Replaces a file as a whole, whose bytes are on the disk: the new one, at its end. Its name is after [`sync_directory`].
fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<File> {
    let new = directory.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&new, directory.join(name))?;
    Ok(file)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_data()
}

fn random() -> String {
    let seed = RandomState::new();
    format!("{:016x}{:016x}", seed.hash_one(1), seed.hash_one(2))
}

fn line(number: u64, invalidation: &Invalidation) -> io::Result<Vec<u8>> {
    let mut line = format!("{number} ").into_bytes();
    serde_json::to_writer(&mut line, invalidation)?;
    line.push(b'\n');
    Ok(line)
}

/// Whole lines. One that cannot be read may have meant anything, so it means everything.
fn entries(bytes: &[u8]) -> Vec<(u64, Invalidation)> {
    let mut entries: Vec<(u64, Invalidation)> = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let before = entries.last().map_or(0, |(number, _)| *number);
        let read = std::str::from_utf8(line).ok().and_then(|line| {
            let (number, json) = line.split_once(' ')?;
            let number = number.parse().ok().filter(|number| *number > before)?;
            Some((number, serde_json::from_str(json).ok()?))
        });
        entries.push(read.unwrap_or_else(|| (before + 1, Invalidation::hard([InvalidationTarget::All]))));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(name: &str) -> Invalidation {
        Invalidation::hard([InvalidationTarget::Tag(name.to_owned())])
    }

    fn everything() -> Invalidation {
        Invalidation::hard([InvalidationTarget::All])
    }

    #[test]
    fn what_was_purged_is_known_to_the_next_process_whether_the_last_one_ended_well_or_was_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, entries) = LogFile::open_in(folder.path(), "boot").unwrap();
        let epoch = log.epoch();
        assert_eq!((entries, log.append(&tagged("a")).unwrap(), log.append(&tagged("b\n")).unwrap()), (vec![], 1, 2));
        drop(log);
        let (mut log, entries) = LogFile::open_in(folder.path(), "boot").unwrap();
        assert_eq!((entries, log.epoch()), (vec![(1, tagged("a")), (2, tagged("b\n"))], epoch));
        assert_eq!(log.append(&tagged("c")).unwrap(), 3);
        log.close().unwrap();
        let (log, entries) = LogFile::open_in(folder.path(), "another boot").unwrap();
        assert_eq!((entries.len(), log.epoch()), (3, epoch), "nothing was missing when the machine stopped");
    }

    #[test]
    fn after_a_crash_of_the_machine_the_log_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = LogFile::open_in(folder.path(), "boot").unwrap();
        let epoch = log.epoch();
        log.append(&tagged("a")).unwrap();
        drop(log);
        let (log, entries) = LogFile::open_in(folder.path(), "another boot").unwrap();
        assert_eq!((entries, log.epoch() == epoch), (vec![], false));
    }

    #[test]
    fn a_line_without_its_end_was_never_acknowledged_and_one_that_cannot_be_read_means_everything() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = LogFile::open_in(folder.path(), "boot").unwrap();
        log.append(&tagged("a")).unwrap();
        log.file.write_all(b"rubbish\n2 {\"targ").unwrap();
        drop(log);
        let (mut log, entries) = LogFile::open_in(folder.path(), "boot").unwrap();
        assert_eq!(entries, [(1, tagged("a")), (2, everything())]);
        assert_eq!(log.append(&tagged("b")).unwrap(), 3);
        drop(log);
        let (_, entries) = LogFile::open_in(folder.path(), "boot").unwrap();
        assert_eq!(entries, [(1, tagged("a")), (2, everything()), (3, tagged("b"))]);
    }

    #[test]
    fn golden_text_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let lines = "7 {\"targets\":[{\"url\":\"http://a/x\"}],\"soft\":false}\n8 {\"targets\":[{\"tag\":\"a\"}],\"soft\":false}\n";
        std::fs::write(folder.path().join(LINES), lines).unwrap();
        std::fs::write(folder.path().join(STATE), "an epoch\na boot\nclosed\n").unwrap();
        let (log, entries) = LogFile::open_in(folder.path(), "another boot").unwrap();
        let url = Invalidation::hard([InvalidationTarget::Url("http://a/x".to_owned())]);
        assert_eq!((entries, log.epoch(), log.next), (vec![(7, url.clone()), (8, tagged("a"))], Epoch::of("an epoch"), 9));
        assert_eq!([line(7, &url).unwrap(), line(8, &tagged("a")).unwrap()].concat(), lines.as_bytes());
        log.close().unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join(STATE)).unwrap(), "an epoch\nanother boot\nclosed\n");
    }

    #[test]
    fn a_log_that_grows_long_loses_its_older_half_and_no_number() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = LogFile::open_in(folder.path(), "boot").unwrap();
        let long = "x".repeat(1 << 20);
        let last = (0..20).map(|_| log.append(&tagged(&long)).unwrap()).last();
        drop(log);
        let (mut log, entries) = LogFile::open_in(folder.path(), "boot").unwrap();
        assert!((4..9).contains(&entries.len()) && entries.last().map(|(number, _)| *number) == last && last == Some(20));
        assert_eq!(log.append(&tagged("a")).unwrap(), 21);
    }

    #[test]
    fn a_purge_after_a_half_that_was_not_dropped_for_certain_is_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = LogFile::open_in(folder.path(), "boot").unwrap();
        log.sync = |_| Err(io::ErrorKind::Other.into());
        let long = "x".repeat(1 << 20);
        while log.append(&tagged(&long)).is_ok() {}
        let number = log.append(&tagged("after")).unwrap();
        drop(log);
        let (_, entries) = LogFile::open_in(folder.path(), "boot").unwrap();
        assert_eq!(entries.last(), Some(&(number, tagged("after"))));
    }
}
