//! The tier on disk.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::Families;
use super::operations::{self, Names};
use crate::snapshot::{Breaker, DirectorySnapshot, DiskLookups, DiskSnapshot};

pub(super) fn encode(disk: &DiskSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let DiskSnapshot { lookups, writes, .. } = disk;
    let names = Names {
        duration: ("disk_operation_duration", "Time of an operation on disk; look-ups that the index answers are left out."),
        errors: ("disk_errors", "Operations on disk that failed, by kind."),
    };
    operations::encode(&disk.operations, &names, families)?;
    let by_result = [("hit", lookups.hit), ("miss", lookups.miss), ("failure", lookups.failure)];
    let by_result = by_result.map(|(result, count)| ([("result", result)], count));
    families.counters("disk_lookups", "Look-ups on disk, by what they came to.", by_result)?;
    for (name, help, count) in [
        ("disk_damaged", "Records on disk that were damaged.", disk.damaged),
        ("disk_locked", "Responses on disk that no key opens.", disk.locked),
        ("disk_interrupted", "Long bodies from disk that broke off after their beginning.", disk.interrupted),
        ("disk_evicted", "Responses on disk that went because their place was needed.", disk.evicted),
        ("disk_written", "Responses written to disk.", writes.written),
        ("disk_written_bytes", "Bytes written to disk.", writes.written_bytes),
        ("disk_moved_bytes", "Bytes of used responses that were written on before their place was reused.", writes.moved_bytes),
        ("disk_dropped", "Writes to disk given up because the queue was full or the disk did not take them.", writes.dropped),
        ("disk_held_back", "Writes to disk given up because more than the write rate was to be written.", writes.held_back),
    ] {
        families.counter(name, help, count)?;
    }
    encode_state(disk, families)
}

fn encode_state(disk: &DiskSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let DiskSnapshot { writes, .. } = disk;
    let bytes = Some(&Unit::Bytes);
    for (name, help, unit, value) in [
        ("disk_queued", "Writes to disk that wait.", None, writes.queued),
        ("disk_queued", "Bytes of bodies that wait to be written to disk.", bytes, writes.queued_bytes),
        ("disk_entries", "Responses on disk.", None, disk.entries),
        ("disk_index", "Bytes of memory that say where responses on disk are.", bytes, disk.index_bytes),
        ("disk_capacity", "Bytes of disk that responses may take.", bytes, disk.capacity_bytes),
        ("disk_ready", "Whether the directory is open and everything in it known.", None, u64::from(disk.ready)),
    ] {
        families.gauge(name, help, unit, &value)?;
    }
    let states = [([("operation", "read")], state(disk.reading)), ([("operation", "write")], state(disk.writing))];
    families.gauges("disk_breaker", "Whether the disk is used: 0 yes, 1 one operation at a time, 2 no.", None, states)?;
    if disk.directories.is_empty() { Ok(()) } else { encode_directories(&disk.directories, families) }
}

fn state(breaker: Breaker) -> u64 {
    match breaker {
        Breaker::Closed => 0,
        Breaker::HalfOpen => 1,
        Breaker::Open => 2,
    }
}

/// Where there are several: one of them may be worn, full or gone while all others work.
fn encode_directories(directories: &[DirectorySnapshot], families: &mut Families<'_, '_>) -> fmt::Result {
    let each = |figure: fn(&DirectorySnapshot) -> u64| directories.iter().map(move |one| ([("directory", &*one.path)], figure(one)));
    let bytes = Some(&Unit::Bytes);
    let help = "Whether a directory is open and everything in it known.";
    families.gauges("disk_directory_ready", help, None, each(|one| u64::from(one.ready)))?;
    families.gauges("disk_directory_entries", "Responses in a directory.", None, each(|one| one.entries))?;
    families.gauges("disk_directory_capacity", "Bytes that responses may take in a directory.", bytes, each(|one| one.capacity_bytes))?;
    let help = "Whether a directory is used: 0 yes, 1 one operation at a time, 2 no.";
    let states = directories.iter().flat_map(|one| {
        let with = |operation| [("directory", &*one.path), ("operation", operation)];
        [(with("read"), state(one.reading)), (with("write"), state(one.writing))]
    });
    families.gauges("disk_directory_breaker", help, None, states)?;
    let lookups = directories.iter().flat_map(|one| {
        let DiskLookups { hit, miss, failure } = one.lookups;
        [("hit", hit), ("miss", miss), ("failure", failure)].map(|(result, count)| ([("directory", &*one.path), ("result", result)], count))
    });
    families.counters("disk_directory_lookups", "Look-ups of the keys that a directory has, by what they came to.", lookups)?;
    families.counters("disk_directory_written_bytes", "Bytes written to a directory.", each(|one| one.written_bytes))?;
    let help = "Writes to a directory that were given up: its queue was full, it did not take them, or more than its write rate was to be written.";
    families.counters("disk_directory_given_up", help, each(|one| one.given_up))?;
    families.counters("disk_directory_damaged", "Records in a directory that were damaged.", each(|one| one.damaged))
}
