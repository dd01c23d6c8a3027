//! The process.

use serde::Serialize;

/// Figures of the process as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessSnapshot {
    /// Open connections from clients.
    pub client_connections: u64,
    /// Bytes of responses over HTTP/2 that clients have not taken yet.
    pub client_unsent_bytes: u64,
    /// Access log lines dropped because the log's reader was too slow, since the start.
    pub access_log_dropped: u64,
}
