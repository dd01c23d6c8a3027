//! What the operating system says of this process.

use larder_semantics::Timestamp;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::telemetry::snapshot::SystemSnapshot;

/// Of the process that started then. `None` where there is no `/proc`.
pub(super) fn figures(started: Timestamp) -> Option<SystemSnapshot> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    Some(SystemSnapshot {
        cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        resident_bytes: bytes(&status, "VmRSS:")?,
        virtual_bytes: bytes(&status, "VmSize:")?,
        // The one that reads the directory is open too.
        open_files: std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64,
        max_files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        start_seconds: started.as_millis() / 1000,
    })
}

/// `VmRSS:    16 kB`.
fn bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_linux_writes_them() {
        assert_eq!(bytes("Name:\tlarder\nVmSize:\t   32 kB\nVmRSS:\t   16 kB\n", "VmRSS:"), Some(16 << 10));
        let found = figures(Timestamp::from_millis(7_000)).expect("there is /proc");
        assert!(found.resident_bytes > 0 && found.open_files > 0 && found.open_files <= found.max_files, "{found:?}");
        assert_eq!(found.start_seconds, 7);
    }
}
