//! How the public listener behaves.

use std::time::Duration;

/// Bounds of the public listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// For the first bytes of a connection, for each request's head from when it could begin, and so for an idle connection too.
    pub header_read_timeout: Duration,
    /// Bytes of a request's line and fields together; more is answered with 431.
    pub max_head: usize,
    /// Bytes of a request's target; more is answered with 414.
    pub max_target: usize,
    /// Connections at once; one more is answered with 503 and closed.
    pub max_connections: u32,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// How long requests under way may take to finish once the server stops.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(30),
            max_head: 96 * 1024,
            max_target: 16 * 1024,
            max_connections: 16 * 1024,
            max_streams: 128,
            drain_timeout: Duration::from_secs(30),
        }
    }
}
