//! `[store.disk]`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use larder_disk_options::{Admission, DiskOptions};
use rustix::fs::{Access, access, statvfs};
use toml::Spanned;

use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::{Table, sized};
use crate::parse::units::display_bytes;
use crate::sections::stores::{breaker, stored_form};
use crate::sections::upstreams::positive;

/// The section. Whether the disk is there is no mistake of the configuration: without it responses are in memory, and that is a warning.
pub(crate) fn read(mut table: Table<'_>) -> Option<DiskOptions> {
    let mistakes = table.mistakes();
    table.require("path", "like path = \"/var/lib/larder/cache\", a directory that this process has for itself");
    table.require("capacity", "like capacity = \"50GiB\"");
    let paths = paths(&mut table);
    let capacities = table.one_or_list("capacity", "a size in quotes, like \"50GiB\", or one for each directory", |text| {
        sized("capacity", text, &(DiskOptions::MIN_CAPACITY..=DiskOptions::MAX_CAPACITY))
    });
    let shares = paths.as_ref().zip(capacities.as_ref()).and_then(|(paths, capacities)| shares(paths, capacities, mistakes));
    let max_object = table.bytes("max_object", 1..=1 << 30);
    // Read in any case, so that all mistakes are reported at once.
    let smallest = shares.iter().flatten().min().copied();
    let mut options = DiskOptions::new(PathBuf::new(), smallest.unwrap_or(DiskOptions::MIN_CAPACITY));
    if let Some(max_object) = max_object {
        options.max_object = *max_object.get_ref();
        if smallest.is_some_and(|smallest| options.max_object > smallest / 4) {
            let of = if shares.as_ref().is_some_and(|shares| shares.len() > 1) { "the smallest directory" } else { "`capacity`" };
            let mistake = Mistake::new(format!("`max_object` is more than a quarter of {of}"));
            mistakes.error(max_object.span(), mistake.hint("what is larger would push out nearly everything else"));
        }
    }
    read_limits(&mut table, &mut options);
    options.compress = stored_form::compress(&mut table);
    options.keys = stored_form::encrypt(&mut table);
    breaker::read(&mut table, &mut options.breaker_failures, &mut options.breaker_open);
    table.finish();
    let (paths, capacities, shares) = (paths?, capacities?, shares?);
    for (at, (path, share)) in paths.iter().zip(&shares).enumerate() {
        let capacity = capacities.get(at).unwrap_or(&capacities[0]);
        warn_of_place(path.get_ref(), path.span(), (*share, capacity.span()), mistakes);
    }
    let mut directories = paths.into_iter().map(Spanned::into_inner).zip(shares);
    (options.path, options.capacity) = directories.next()?;
    options.others = directories.collect();
    Some(options)
}

/// The capacity of each directory: one of its own, or an equal share of one for all.
fn shares(paths: &[Spanned<PathBuf>], capacities: &[Spanned<u64>], mistakes: &Mistakes) -> Option<Vec<u64>> {
    let (paths, first) = (paths.len(), capacities.first()?);
    if capacities.len() > 1 && capacities.len() != paths {
        let mistake = Mistake::new(format!("there are {} sizes for {paths} directories", capacities.len()));
        mistakes.error(first.span(), mistake.hint("say one for each, in their order, or one for all of them together"));
        return None;
    }
    if capacities.len() > 1 {
        return Some(capacities.iter().map(|capacity| *capacity.get_ref()).collect());
    }
    let share = first.get_ref() / paths as u64;
    if share < DiskOptions::MIN_CAPACITY {
        let mistake = Mistake::new(format!("`capacity` is {} for each of {paths} directories", display_bytes(share)));
        mistakes.error(first.span(), mistake.hint(format!("at least {} each", display_bytes(DiskOptions::MIN_CAPACITY))));
        return None;
    }
    Some(vec![share; paths])
}

/// `path = "/mnt/a"`, or a list of several, which share the capacity equally.
fn paths(table: &mut Table<'_>) -> Option<Vec<Spanned<PathBuf>>> {
    let parse = |text: &str| match text {
        "" => Err(Mistake::new("a directory has a path").hint("like \"/var/lib/larder/cache\"")),
        text => Ok(PathBuf::from(text)),
    };
    let paths = table.one_or_list("path", "a path in quotes, or a list of them", parse)?;
    for (at, path) in paths.iter().enumerate() {
        if paths[..at].iter().any(|before| before.get_ref() == path.get_ref()) {
            let mistake = Mistake::new(format!("`{}` is there twice", path.get_ref().display()));
            table.mistakes().error(path.span(), mistake.hint("each directory is of one disk"));
        }
    }
    Some(paths)
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
