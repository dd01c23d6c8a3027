//! How the public listener behaves.

use std::time::Duration;

use super::guard::HeadLimits;

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
    /// For a write to a client that takes nothing; then the connection is reset.
    pub write_timeout: Duration,
    /// How long idle HTTP/1.1 connections stay open once the server stops, at most half of `drain_timeout`: a request that crosses the
    /// goodbye is answered, and told that it was the last.
    pub parting_time: Duration,
    /// How long requests under way may take to finish once the server stops.
    pub drain_timeout: Duration,
}

impl ServerOptions {
    pub(super) fn head_limits(&self) -> HeadLimits {
        HeadLimits { target: self.max_target, fields: self.max_head }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(30),
            max_head: 96 * 1024,
            max_target: 16 * 1024,
            max_connections: 16 * 1024,
            max_streams: 128,
            write_timeout: Duration::from_secs(60),
            parting_time: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
