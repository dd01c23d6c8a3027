//! Settings of a listener's connections: those of `[server]`, and some that no key sets.

use std::time::Duration;

/// Deadlines and limits of a listener's connections. Those of the public listener come from `[server]`, whose defaults stand here; the
/// admin listener has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// How long a client may take to send its first bytes, and each request's line and fields from their first byte on.
    pub header_read_timeout: Duration,
    /// How long a connection without a request is kept.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of what is written to it. Then the connection is reset, or over HTTP/2 the stream.
    pub write_timeout: Duration,
    /// How long a tunnel may be quiet, both ways.
    pub tunnel_idle: Duration,
    /// Bytes a second that a client has to send of its content on average, after ten seconds; 0: any number.
    pub min_upload_rate: u64,
    /// Connections at the same time, over all addresses. One more is answered with 503 and closed.
    pub max_connections: u32,
    /// Bytes of request line and fields together, at least 8 KiB; more is answered with 431.
    pub max_header_bytes: usize,
    /// Bytes of a request's target; more is answered with 414. No key sets it.
    pub max_target: usize,
    /// Requests at the same time on one HTTP/2 connection. No key sets it.
    pub max_streams: u32,
    /// How long idle HTTP/1.1 connections stay open once the server stops, at most half of `drain_timeout`: a request that a client sends
    /// before it knows is answered, with `Connection: close`. No key sets it.
    pub idle_close_delay: Duration,
    /// How long requests in flight may go on once the server stops.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(600),
            min_upload_rate: 1 << 10,
            max_connections: 10_000,
            max_header_bytes: 32 << 10,
            max_target: 16 << 10,
            max_streams: 128,
            idle_close_delay: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
