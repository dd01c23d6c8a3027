//! What a directory is like, for who is about to trust a cache to it: its file system, its room, its speed, and how much was written to it so far.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise, fdatasync, statfs};

use crate::engine::wear::{self, Wear};

/// The file that is written and read for the measurement, and removed after it.
const PROBE: &str = "probe";

/// Bytes of it, at most.
const PROBE_BYTES: u64 = 64 << 20;

/// Bytes that are written at a time, and that are read at a time.
const WRITE: usize = 1 << 20;
const READ: usize = 4 << 10;

/// Reads whose times are compared.
const READS: u64 = 64;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// The kind of file system, in the words of `mount`; the number that names it where that is not known.
    pub file_system: String,
    /// Bytes that are free there.
    pub free: u64,
    /// Bytes that it has.
    pub size: u64,
    /// Bytes of the directory's segments.
    pub taken: u64,
    /// Bytes written a second, and on the disk.
    pub write_speed: u64,
    /// The time of a read of 4 KiB that is not in memory: half of them took no longer, and 99 of 100 took no longer.
    pub reads: (Duration, Duration),
    /// How much was written to it, where it has been used.
    pub usage: Option<Usage>,
}

/// How much was written to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Seconds since 1970 of its first use.
    pub since: u32,
    /// Bytes written.
    pub written: u64,
    /// Of these, bytes that were written a second time, since they were used when their segment was needed.
    pub moved: u64,
}

/// The probe's file, which is gone afterwards, whatever happens.
struct Probe(PathBuf);

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Usage {
    /// Of a directory that was first used at `since`, to which so many bytes were written, `moved` of them a second time.
    pub fn new(since: u32, written: u64, moved: u64) -> Self {
        Self { since, written, moved }
    }
}

impl Survey {
    /// Looks at a directory that exists, and measures it for about so long. It may be in use: nothing but a file of the measurement's own is touched.
    pub fn of(directory: &Path, time_limit: Duration, clock: fn() -> Instant) -> io::Result<Self> {
        let system = statfs(directory)?;
        let bytes = |blocks: u64| blocks.saturating_mul(system.f_bsize as u64);
        let (free, size) = (bytes(system.f_bavail), bytes(system.f_blocks));
        let probe = Probe(directory.join(format!("{PROBE}-{}", std::process::id())));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&probe.0)?;
        let (length, write_speed) = write(&file, PROBE_BYTES.min(free / 4), time_limit / 2, clock)?;
        let reads = read(&file, length, time_limit / 2, clock)?;
        let usage = fs::read(directory.join(wear::FILE)).ok().and_then(|bytes| Wear::parse(&bytes));
        Ok(Self {
            file_system: name(system.f_type as u64),
            free,
            size,
            taken: taken(directory)?,
            write_speed,
            reads,
            usage: usage.map(|Wear { since, written, moved }| Usage::new(since, written, moved)),
        })
    }
}

/// Writes so many bytes, or as many as there is time for: how many, and how many a second.
fn write(file: &File, bytes: u64, time_limit: Duration, clock: fn() -> Instant) -> io::Result<(u64, u64)> {
    let (began, mut length) = (clock(), 0);
    // Not zeros, which some file systems do not write.
    let block: Vec<u8> = (0..WRITE).map(|at| (at ^ (at >> 8) ^ 0x5a) as u8).collect();
    while length < bytes.max(WRITE as u64) && (length == 0 || clock() - began < time_limit) {
        file.write_all_at(&block, length)?;
        fdatasync(file)?;
        length += WRITE as u64;
    }
    let nanos = (clock() - began).as_nanos().max(1);
    Ok((length, u64::try_from(u128::from(length) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)))
}

/// Reads blocks from all over the file, each from the disk and not from memory.
fn read(file: &File, length: u64, time_limit: Duration, clock: fn() -> Instant) -> io::Result<(Duration, Duration)> {
    fadvise(file, 0, None, Advice::DontNeed)?;
    // A read ahead would bring the next block into memory.
    fadvise(file, 0, None, Advice::Random)?;
    let (began, blocks, mut times) = (clock(), length / READ as u64, Vec::new());
    let mut block = [0; READ];
    for number in 0..READS {
        let at = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % blocks * READ as u64;
        let before = clock();
        file.read_exact_at(&mut block, at)?;
        let after = clock();
        times.push(after - before);
        if after - began > time_limit {
            break;
        }
    }
    times.sort_unstable();
    let at = |hundredths: usize| times[(times.len() - 1) * hundredths / 100];
    Ok((at(50), at(99)))
}

fn taken(directory: &Path) -> io::Result<u64> {
    let mut taken = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("segment-") {
            taken += entry.metadata()?.len();
        }
    }
    Ok(taken)
}

/// The name of a kind of file system (`statfs(2)`).
fn name(kind: u64) -> String {
    let known = match kind as u32 {
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x2fc1_2fc1 => "zfs",
        0xf2f5_2010 => "f2fs",
        0xca45_1a4e => "bcachefs",
        0x0102_1994 => "tmpfs",
        0x8584_58f6 => "ramfs",
        0x794c_7630 => "overlay",
        0x6969 => "nfs",
        0xff53_4d42 | 0xfe53_4d42 => "cifs",
        0x6573_5546 => "fuse",
        0x0102_1997 => "9p",
        0x00c3_6400 => "ceph",
        other => return format!("{other:#x}"),
    };
    known.to_owned()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the clock of a test")]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_measured_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("segment-00003"), [0; 1_000]).unwrap();
        fs::write(folder.path().join("wear"), "5 100 20\n").unwrap();
        let survey = Survey::of(folder.path(), Duration::from_millis(1), Instant::now).unwrap();
        assert!(survey.write_speed > 0 && survey.reads.0 <= survey.reads.1 && survey.size >= survey.free, "{survey:?}");
        assert_eq!((survey.taken, survey.usage), (1_000, Some(Usage::new(5, 100, 20))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the probe's file is gone");
    }

    #[test]
    fn a_directory_that_cannot_be_written_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Survey::of(&file, Duration::from_millis(1), Instant::now).is_err());
    }
}
