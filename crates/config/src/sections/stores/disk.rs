//! `[store.disk]`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use larder_disk_options::{Admission, DiskOptions};
use rustix::fs::{Access, access, statvfs};
use toml::Spanned;

use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::Table;
use crate::parse::units::display_bytes;
use crate::sections::stores::{breaker, stored_form};
use crate::sections::upstreams::positive;

/// The section. Whether the disk is there is no mistake of the configuration: without it responses are in memory, and that is a warning.
pub(crate) fn read(mut table: Table<'_>) -> Option<DiskOptions> {
    let mistakes = table.mistakes();
    table.require("path", "like path = \"/var/lib/larder/cache\", a directory that this process has for itself");
    table.require("capacity", "like capacity = \"50GiB\"");
    let path = table.parse("path", "a path in quotes", |text| match text {
        "" => Err(Mistake::new("a directory has a path").hint("like \"/var/lib/larder/cache\"")),
        text => Ok(PathBuf::from(text)),
    });
    let capacity = table.bytes("capacity", DiskOptions::MIN_CAPACITY..=DiskOptions::MAX_CAPACITY);
    let max_object = table.bytes("max_object", 1..=1 << 30);
    // Read in any case, so that all mistakes are reported at once.
    let (known_path, known_capacity) = (path.as_ref().map(Spanned::get_ref), capacity.as_ref().map(|capacity| *capacity.get_ref()));
    let mut options = DiskOptions::new(known_path.cloned().unwrap_or_default(), known_capacity.unwrap_or(DiskOptions::MIN_CAPACITY));
    if let Some(max_object) = max_object {
        options.max_object = *max_object.get_ref();
        if known_capacity.is_some_and(|capacity| options.max_object > capacity / 4) {
            let mistake = Mistake::new("`max_object` is more than a quarter of `capacity`");
            mistakes.error(max_object.span(), mistake.hint("what is larger would push out nearly everything else"));
        }
    }
    read_limits(&mut table, &mut options);
    options.compress = stored_form::compress(&mut table);
    options.keys = stored_form::encrypt(&mut table);
    breaker::read(&mut table, &mut options.breaker_failures, &mut options.breaker_open);
    table.finish();
    let (path, capacity) = (path?, capacity?);
    warn_of_place(path.get_ref(), path.span(), (*capacity.get_ref(), capacity.span()), mistakes);
    Some(options)
}

fn read_limits(table: &mut Table<'_>, options: &mut DiskOptions) {
    if let Some(admission) = table.one_of("admit", &[("second-hit", Admission::SecondHit), ("all", Admission::All)]) {
        options.admission = admission.into_inner();
    }
    if let Some(rate) = table.bytes("write_rate", 0..=1 << 40) {
        options.write_rate = Some(rate.into_inner()).filter(|rate| *rate > 0);
    }
    if let Some(max) = table.bytes("write_queue", 1 << 20..=1 << 40) {
        options.write_queue = max.into_inner();
    }
    if let Some(timeout) = positive(table, "timeout") {
        options.timeout = timeout;
    }
}

/// Whether the directory can be written, and has the room.
fn warn_of_place(path: &Path, at: Range<usize>, (capacity, capacity_at): (u64, Range<usize>), mistakes: &Mistakes) {
    let shown = path.display();
    let Some(existing) = path.ancestors().map(nonempty).find(|ancestor| ancestor.exists()) else { return };
    if !existing.is_dir() {
        let mistake = Mistake::new(format!("no directory can be at `{shown}`: `{}` is a file", existing.display()));
        return mistakes.warning(at, mistake.hint("without it responses are in memory only"));
    }
    if access(existing, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let mistake = Mistake::new(format!("`{}` cannot be written", existing.display()));
        return mistakes.warning(at, mistake.hint("the user who runs larder must be able to; without it responses are in memory only"));
    }
    let Ok(system) = statvfs(existing) else { return };
    let room = system.f_bavail.saturating_mul(system.f_frsize).saturating_add(taken(path));
    if room < capacity {
        let mistake = Mistake::new(format!("there is room for {} only", display_bytes(room >> 20 << 20)));
        mistakes.warning(capacity_at, mistake.hint("larder goes on with what it gets, and other programs find the disk full"));
    }
}

/// The parent of a relative path without a folder is where larder is started.
fn nonempty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Bytes that an earlier process has taken already.
fn taken(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let segments = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("segment-"));
    segments.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}
