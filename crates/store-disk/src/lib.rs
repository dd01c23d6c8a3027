//! A directory on disk as Larder's second tier: more than memory holds, and there after a restart.
//!
//! ```text
//! RemoteStore      array     the directory of a key, where there are several
//!                   |
//!                  tier      look-ups, a queue of writes, admission, breaker
//!                   |
//!                 engine     a ring of segments, and an index in memory of 21 bytes an entry
//!                 /     \
//!             record   volume    the bytes in a segment; the files
//! ```
//!
//! A few large files are allocated ahead and written from front to back, as a ring. Beside them, in memory, an index says where the entry of a key's
//! hash is. The segment that was written longest ago goes as a whole, and its entries that were used since are written on. So a write is an
//! append, nothing has to be collected, and no entry costs a file.
//!
//! Everything that is read is proven first: a record has a checksum of its head, and one for each 256 KiB of body; it names its segment's life, its key in full and the
//! body that it is a part of. A byte that was torn, turned or swapped is a miss and a count. The parts of a long body are written before its
//! head, so that a process may be killed at any moment: what comes back is whole or absent.
//!
//! A sealed segment ends with a list of its records, so that a restart reads some megabytes of lists for a million entries, beside the requests that are
//! served already.

mod array;
mod clocks;
mod engine;
#[cfg(test)]
mod fixtures;
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod log;
mod observer;
mod record;
mod set;
mod stats;
mod survey;
mod tier;
mod volume;

pub use array::DiskArray;
pub use clocks::Clocks;
pub use larder_disk_options::{Admission, Compression, DiskOptions, SealKey, SealKeys};
pub use observer::{DiskObserver, DiskOperation};
pub use stats::{DirectoryStats, DiskStats};
pub use survey::{Survey, Usage};
pub use tier::DiskStore;
