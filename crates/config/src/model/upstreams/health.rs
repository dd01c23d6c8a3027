//! `health`: servers are asked whether they work, apart from the requests of clients.

use std::time::Duration;

/// `health = { path = "/healthz", … }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for, behind the path of the server's URL.
    pub path: String,
    /// The time between two questions.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// So many good answers in a row let a server in again.
    pub rise: u32,
    /// So many bad ones in a row leave it out.
    pub fall: u32,
    /// The statuses of good answers: from this to that.
    pub status: (u16, u16),
    /// Whether replicas tell each other through Redis, where there is one, so that each server is asked by one of them.
    pub shared: bool,
}

impl HealthCheck {
    /// The defaults around a path.
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            status: (200, 299),
            shared: true,
        }
    }
}
