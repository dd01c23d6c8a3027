//! The process, the build that it is, and its configuration.

use serde::Serialize;

use super::LabelledCount;

/// Figures of the process as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProcessSnapshot {
    /// Open connections from clients.
    pub client_connections: u64,
    /// Bytes of responses over HTTP/2 that clients have not taken yet.
    pub client_unsent_bytes: u64,
    /// Tasks of the runtime that have not ended: connections, fetches, and what runs for as long as the process does.
    pub runtime_tasks: u64,
    /// How often clients have reached the limits of HTTP/2, since the start.
    pub http2_limits: Vec<LabelledCount>,
    /// Access log lines dropped because the log's reader was too slow or they could not be written, since the start.
    pub access_log_dropped: u64,
    /// Spans of traces; `None` where there are none.
    pub traces: Option<TraceSnapshot>,
    /// What the operating system says of it; `None` where it does not.
    pub system: Option<SystemSnapshot>,
}

/// Spans of traces since the start, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TraceSnapshot {
    /// The collector has them.
    pub exported: u64,
    /// They were given up: the collector was away or slow, or refused them.
    pub dropped: u64,
}

/// What the operating system says of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SystemSnapshot {
    /// Time on processors, since the start.
    pub cpu_seconds: f64,
    /// Bytes of memory that it holds.
    pub resident_bytes: u64,
    /// Bytes of addresses that it has taken.
    pub virtual_bytes: u64,
    /// Open file descriptors.
    pub open_files: u64,
    /// File descriptors that it may have open.
    pub max_files: u64,
    /// Its start, in seconds since 1970.
    pub start_seconds: u64,
}

/// The build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BuildSnapshot {
    /// Its version.
    pub version: &'static str,
    /// The architecture that it is for.
    pub arch: &'static str,
    /// The operating system that it is for.
    pub os: &'static str,
}

/// The running configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConfigSnapshot {
    /// The hash of its text, by which replicas are compared; `None` where it came from no file.
    pub hash: Option<String>,
    /// Configurations that took effect in place of another, since the start.
    pub reloaded: u64,
    /// Configurations that were refused, since the start.
    pub refused: u64,
    /// Whether the last one that was read is the running one.
    pub last_successful: bool,
    /// When the running one took effect, in seconds since 1970.
    pub last_success_seconds: u64,
}
