//! How a server of an upstream stands, for people and metrics.

use std::time::Duration;

use crate::balance::server::Server;

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerState {
    /// Its URL, and the address where its name has several.
    pub server: String,
    /// Its share of the requests, compared with the others'.
    pub weight: u32,
    /// Whether it is asked only while no other can be.
    pub backup: bool,
    /// Whether it is left out because it failed.
    pub ejected: bool,
    /// Whether its health check, if it has one, has not failed.
    pub healthy: bool,
    /// How often it was left out, since the start.
    pub ejections: u64,
    /// Requests that it has answered, since the start.
    pub answers: u64,
    /// Requests that it has failed to answer, or has answered with 502, 503 or 504, since the start.
    pub failures: u64,
    /// Requests whose response has not ended.
    pub requests_in_flight: u64,
    /// Open connections, idle ones included.
    pub connections: u64,
    /// The time to its response's head by which it is compared with others; `None` for a single server, which is compared with none.
    pub latency: Option<Duration>,
}

impl ServerState {
    pub(crate) fn of(server: &Server) -> Self {
        let standing = &server.standing;
        let seconds = standing.latency.last();
        Self {
            server: standing.label.to_string(),
            weight: server.weight,
            backup: server.is_backup,
            ejected: standing.is_ejected(),
            healthy: standing.is_healthy(),
            ejections: standing.ejections(),
            answers: standing.answers(),
            failures: standing.failures(),
            requests_in_flight: standing.stats.requests_in_flight(),
            connections: standing.stats.connections_open(),
            latency: (seconds > 0.0).then(|| Duration::from_secs_f64(seconds)),
        }
    }
}
