//! The tier on disk.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::Families;
use super::operations::{self, Names};
use crate::snapshot::{Breaker, DiskSnapshot};

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
    let state = |breaker| match breaker {
        Breaker::Closed => 0_u64,
        Breaker::HalfOpen => 1,
        Breaker::Open => 2,
    };
    let states = [([("operation", "read")], state(disk.reading)), ([("operation", "write")], state(disk.writing))];
    families.gauges("disk_breaker", "Whether the disk is used: 0 yes, 1 one operation at a time, 2 no.", None, states)
}
