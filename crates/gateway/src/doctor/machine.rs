//! The machine, as far as Linux tells.

use std::path::Path;

use larder_disk::DiskOptions;

use super::Finding;
use crate::config::{Config, display_bytes};

/// File descriptors besides those of connections: files, listeners, the runtime's own.
const OTHERS: u64 = 100;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut findings = Vec::new();
    findings.extend(open_files(&read("/proc/self/limits")).map(|limit| descriptors(limit, needed(config))));
    let limit = container_limit(&read("/sys/fs/cgroup/memory.max"), &read("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let total = machine_memory(&read("/proc/meminfo"));
    findings.extend(limit.into_iter().chain(total).min().map(|limit| memory(limit, config.memory.capacity)));
    if let Some(journal) = config.redis.as_ref().and_then(|redis| redis.journal.as_deref()) {
        findings.push(writable("journal", journal));
    }
    if let Some(file) = &config.log.file {
        findings.push(writable("access log", file));
    }
    findings
}

/// Each client may hold a connection to an origin open, and each segment of a disk stays open once it was used.
fn needed(config: &Config) -> u64 {
    let origins: usize = config.upstreams.iter().map(|upstream| upstream.limit.max_requests + upstream.max_idle).sum();
    let segments: u64 = config.disk.iter().flat_map(DiskOptions::directories).map(|directory| u64::from(directory.segments())).sum();
    u64::from(config.server.options.max_connections) + origins as u64 + segments + OTHERS
}

fn descriptors(limit: u64, needed: u64) -> Finding {
    let what = "file descriptors";
    if limit >= needed {
        return Finding::good(what, format!("{limit} are allowed, and {needed} may be needed"));
    }
    let remedy = "raise LimitNOFILE= in the unit, or `ulimit -n`; or lower `max_connections` in [server], or `capacity` in [store.disk]";
    Finding::warning(what, format!("{limit} are allowed here, and {needed} may be needed"), remedy)
}

/// The soft limit of open files.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The memory limit of the container, in either version of cgroups.
fn container_limit(second: &str, first: &str) -> Option<u64> {
    // Version 1 says "no limit" with a number near to the largest.
    let limited = |text: &str| text.trim().parse::<u64>().ok().filter(|limit| *limit < 1 << 60);
    limited(second).or_else(|| limited(first))
}

fn machine_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

fn memory(limit: u64, capacity: u64) -> Finding {
    let what = "memory";
    let why = format!("`capacity` is {}, and there are {}", display_bytes(capacity), display_bytes(limit));
    let remedy = "lower `capacity` in [store.memory], or give the container more; connections and the process itself need some beside it";
    match capacity {
        capacity if capacity >= limit => Finding::error(what, why, remedy),
        capacity if capacity > limit / 4 * 3 => Finding::warning(what, why, remedy),
        _ => Finding::good(what, why),
    }
}

/// A file that need not be there yet can be made in its folder.
fn writable(what: &str, path: &Path) -> Finding {
    let what = format!("{what} {}", path.display());
    let existed = path.exists();
    match std::fs::OpenOptions::new().append(true).create(true).open(path) {
        Ok(_) => {
            if !existed {
                // It was made for the check only.
                let _ = std::fs::remove_file(path);
            }
            Finding::good(what, "it can be written")
        }
        Err(error) => Finding::error(what, format!("it cannot be written: {error}"), "let the user who runs larder write there"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn limits_are_read_as_linux_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 524288               files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!((container_limit("max\n", ""), container_limit("536870912\n", "")), (None, Some(512 << 20)));
        assert_eq!((container_limit("", "9223372036854771712"), container_limit("", "1048576")), (None, Some(1 << 20)));
        assert_eq!(machine_memory("MemTotal:       16 kB\nMemFree: 1 kB\n"), Some(16 << 10));
    }

    #[test]
    fn each_segment_of_each_directory_needs_a_descriptor() {
        let with = |disk: &str| {
            let text = format!("[upstreams.api]\nurl = \"http://127.0.0.1:1\"\n{disk}");
            let parsed = crate::config::parse("test.toml", text.as_bytes(), &Default::default());
            needed(&parsed.unwrap_or_else(|report| panic!("{}", report.render(false))).0)
        };
        let disk = "[store.disk]\npath = [\"/mnt/a\", \"/mnt/b\"]\ncapacity = [\"300GiB\", \"50GiB\"]\n";
        assert_eq!(with(disk) - with(""), 1_200 + 200);
    }

    #[test]
    fn verdicts_say_how_much_is_missing() {
        assert_eq!((descriptors(1024, 1024).verdict, descriptors(1023, 1024).verdict), (Verdict::Good, Verdict::Warning));
        let verdicts = [74, 76, 100].map(|capacity| memory(100, capacity).verdict);
        assert_eq!(verdicts, [Verdict::Good, Verdict::Warning, Verdict::Error]);
    }

    #[test]
    fn a_journal_that_was_not_there_is_not_there_afterwards() {
        let path = std::env::temp_dir().join(format!("larder-doctor-{}", std::process::id()));
        assert_eq!((writable("journal", &path).verdict, path.exists()), (Verdict::Good, false));
        assert_eq!(writable("journal", &path.join("none")).verdict, Verdict::Error);
    }
}
