//! What the operating system says of the process.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::families::Families;
use crate::snapshot::SystemSnapshot;

#[derive(Debug)]
pub(super) struct System(pub(super) Option<SystemSnapshot>);

impl Collector for System {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (Some(system), mut families) = (self.0, Families(&mut encoder)) else { return Ok(()) };
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        families.seconds_counter("process_cpu", "Time on processors, since the start.", system.cpu_seconds)?;
        for (name, help, unit, value) in [
            ("process_resident_memory", "Memory that the process holds.", bytes, system.resident_bytes),
            ("process_virtual_memory", "Addresses that the process has taken.", bytes, system.virtual_bytes),
            ("process_open_fds", "Open file descriptors.", None, system.open_files),
            ("process_max_fds", "File descriptors that may be open.", None, system.max_files),
            ("process_start_time", "When the process started, in seconds since 1970.", seconds, system.start_seconds),
        ] {
            families.gauge(name, help, unit, &value)?;
        }
        Ok(())
    }
}
