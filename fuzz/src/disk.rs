//! Targets of `larder-disk`: what it reads from its directory.

use larder_disk::fuzzing::records;

/// Every target of this crate.
pub const TARGETS: &[super::FuzzTarget] = &[("disk_records", records)];
