//! The settings of the tier on disk, as plain data with its defaults: no file, no runtime, no clock.
//!
//! ```text
//! [store.disk] --larder-config--> DiskOptions --larder-disk--> DiskStore
//! ```

use std::path::PathBuf;
use std::time::Duration;

pub use larder_packing::{Compression, SealKey, SealKeys};

const MIB: u64 = 1 << 20;

/// The settings of the tier on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// The directory, which this process has for itself.
    pub path: PathBuf,
    /// Bytes of disk that it may take, at least [`Self::MIN_CAPACITY`].
    pub capacity: u64,
    /// Further directories, each with its capacity: keys are spread over all of them.
    pub others: Vec<(PathBuf, u64)>,
    /// The largest body that is kept, in bytes.
    pub max_object: u64,
    /// The responses that are written.
    pub admission: Admission,
    /// Bytes that may be written a second, in the mean over ten seconds; `None`: as many as there are.
    pub write_rate: Option<u64>,
    /// Which bodies are compressed; `None`: none.
    pub compress: Option<Compression>,
    /// Keys that heads and bodies are sealed with; `None`: they are not.
    pub keys: Option<SealKeys>,
    /// Bytes of bodies that may wait to be written, to all directories together.
    pub write_queue: u64,
    /// How long a look-up may take before the request goes on without it.
    pub timeout: Duration,
    /// Failures in a row after which the disk is left alone.
    pub breaker_failures: u32,
    /// How long it is left alone.
    pub breaker_open: Duration,
}

/// The responses that are written to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// Those that were asked for a second time, or fetched a second time: flash wears, and many responses are asked for once only.
    #[default]
    SecondHit,
    /// All.
    All,
}

impl DiskOptions {
    /// Four of the smallest segments: with fewer there would be none to drop while another one is written.
    pub const MIN_CAPACITY: u64 = 256 * MIB;

    /// The largest capacity that segments can be numbered for.
    pub const MAX_CAPACITY: u64 = 4096 * 1024 * MIB;

    /// A tier in this directory, with defaults for everything else.
    pub fn new(path: PathBuf, capacity: u64) -> Self {
        Self {
            path,
            capacity,
            others: Vec::new(),
            max_object: 64 * MIB,
            admission: Admission::default(),
            write_rate: Some(20 * MIB),
            compress: None,
            keys: None,
            write_queue: 64 * MIB,
            timeout: Duration::from_millis(200),
            breaker_failures: 5,
            breaker_open: Duration::from_secs(5),
        }
    }

    /// The settings of each directory by itself. As many bodies wait for each as its part of all the capacity, since so many keys are its own.
    pub fn directories(&self) -> Vec<Self> {
        let others = self.others.iter().map(|(path, capacity)| (path, *capacity));
        let all = std::iter::once((&self.path, self.capacity)).chain(others);
        let total: u64 = all.clone().map(|(_, capacity)| capacity).sum();
        let queue_of = |capacity: u64| {
            let part = u128::from(self.write_queue) * u128::from(capacity) / u128::from(total.max(1));
            u64::try_from(part).unwrap_or(u64::MAX).max(MIB.min(self.write_queue))
        };
        let of = |(path, capacity): (&PathBuf, u64)| {
            let write_queue = queue_of(capacity);
            Self { path: path.clone(), capacity, others: Vec::new(), write_queue, ..self.clone() }
        };
        all.map(of).collect()
    }

    /// Bytes of a segment, the unit in which space is taken and given back: 256 MiB, or a sixteenth of a smaller capacity, 64 MiB at least.
    pub fn segment_size(&self) -> u64 {
        (self.capacity / 16).clamp(64 * MIB, 256 * MIB) / MIB * MIB
    }

    /// How many segments there are.
    pub fn segments(&self) -> u32 {
        u32::try_from(self.capacity / self.segment_size()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_wait_for_several_directories_take_no_more_than_for_one() {
        let of = |write_queue: u64, others: &[u64]| {
            let others = others.iter().map(|gib| (PathBuf::from("/y"), gib * 1024 * MIB)).collect();
            let options = DiskOptions { write_queue, others, ..DiskOptions::new(PathBuf::from("/x"), 1024 * MIB) };
            options.directories().iter().map(|directory| directory.write_queue / MIB).collect::<Vec<_>>()
        };
        assert_eq!(of(64 * MIB, &[]), [64]);
        assert_eq!(of(64 * MIB, &[1, 2]), [16, 16, 32], "by their capacities");
        assert_eq!(of(MIB, &[1024, 1]), [1, 1, 1], "the smallest setting at least");
        assert_eq!(of(1 << 40, &[4096, 4095]).iter().sum::<u64>(), 1 << 20, "the largest setting");
    }

    #[test]
    fn segments_fill_the_capacity_and_are_neither_few_nor_many() {
        let of = |mib: u64| {
            let options = DiskOptions::new(PathBuf::from("/x"), mib * MIB);
            (options.segment_size() / MIB, options.segments())
        };
        assert_eq!([of(256), of(1024), of(2048), of(50 * 1024), of(4096 * 1024)], [(64, 4), (64, 16), (128, 16), (256, 200), (256, 16384)]);
    }
}
