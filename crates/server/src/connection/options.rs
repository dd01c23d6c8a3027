//! How the public listener behaves.

use std::time::Duration;

use crate::connection::activity::{BEATS, Deadlines};
use crate::request::guard::HeadLimits;

/// Bounds of the public listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// For the first bytes of a connection, and for each request's head from its first byte on.
    pub header_read_timeout: Duration,
    /// For a connection on which nothing is asked.
    pub idle_timeout: Duration,
    /// For a tunnel through which nothing goes, either way.
    pub tunnel_idle: Duration,
    /// Bytes of a request's line and fields together; more is answered with 431.
    pub max_head: usize,
    /// Bytes of a request's target; more is answered with 414.
    pub max_target: usize,
    /// Connections at once; one more is answered with 503 and closed.
    pub max_connections: u32,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// For a write to a client that takes nothing; then the connection is reset, or over HTTP/2 the stream.
    pub write_timeout: Duration,
    /// How long idle HTTP/1.1 connections stay open once the server stops, at most half of `drain_timeout`: a request that crosses the
    /// goodbye is answered, and told that it was the last.
    pub parting_time: Duration,
    /// How long requests under way may take to finish once the server stops.
    pub drain_timeout: Duration,
}

impl ServerOptions {
    pub(crate) fn head_limits(&self) -> HeadLimits {
        HeadLimits { target: self.max_target, fields: self.max_head }
    }

    /// The time between two beats.
    pub(crate) fn beat(&self) -> Duration {
        self.header_read_timeout.min(self.idle_timeout) / BEATS
    }

    pub(crate) fn deadlines(&self) -> Deadlines {
        let beat = self.beat().as_nanos().max(1);
        let beats = |time: Duration| u32::try_from(time.as_nanos().div_ceil(beat)).unwrap_or(u32::MAX);
        Deadlines { head: beats(self.header_read_timeout), idle: beats(self.idle_timeout) }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            tunnel_idle: Duration::from_secs(600),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_counted_in_beats_of_the_shorter_one() {
        let deadlines = |head, idle| {
            let options = ServerOptions {
                header_read_timeout: Duration::from_secs(head),
                idle_timeout: Duration::from_secs(idle),
                ..ServerOptions::default()
            };
            (options.beat(), options.deadlines())
        };
        assert_eq!(deadlines(10, 75), (Duration::from_millis(2500), Deadlines { head: BEATS, idle: 30 }));
        assert_eq!(deadlines(30, 2), (Duration::from_millis(500), Deadlines { head: 60, idle: BEATS }));
        let (_, endless) = deadlines(1, u64::MAX);
        assert_eq!(endless, Deadlines { head: BEATS, idle: u32::MAX });
    }
}
