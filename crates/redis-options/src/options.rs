//! Settings of the tier: time limits, sizes, and the form in which responses are stored.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use larder_packing::{Compression, SealKeys};

use crate::servers::RedisServers;

/// When a stored response is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteMode {
    /// After the answer, from a bounded queue.
    #[default]
    Behind,
    /// Before the answer ends.
    Through,
}

/// Settings of the tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    /// The servers.
    pub servers: RedisServers,
    /// The certificate authorities to trust for TLS, as PEM; those of the system by default.
    pub ca: Option<Bytes>,
    /// First part of every key in Redis.
    pub prefix: String,
    /// Maximum time of an operation, waiting for a connection included. A look-up that takes longer is a miss. For a long body that a client is
    /// already being served, each further chunk may take a second.
    pub timeout: Duration,
    /// Maximum time for connecting, name resolution, TLS and authentication included.
    pub connect_timeout: Duration,
    /// When responses are written.
    pub write: WriteMode,
    /// Maximum bytes of bodies that wait to be written; beyond it, bodies are not written.
    pub write_queue: u64,
    /// Maximum length of a body that is stored in Redis, in bytes.
    pub max_object: u64,
    /// Consecutive failures after which the breaker opens.
    pub breaker_failures: u32,
    /// How long the breaker stays open, unless a probe succeeds before.
    pub breaker_open: Duration,
    /// How long responses in memory are served while the log of invalidations cannot be read.
    pub max_lag: Duration,
    /// After `max_lag`: `true`, stored responses are validated with the origin; `false`, they are still served.
    pub validate_when_cut_off: bool,
    /// The file for invalidations that the log does not have yet. Without a file they are kept in memory only.
    pub journal: Option<PathBuf>,
    /// Which bodies are compressed; none by default.
    pub compress: Option<Compression>,
    /// The keys with which heads and bodies are sealed. By default they are stored unsealed.
    pub keys: Option<SealKeys>,
    /// The name by which people know this replica among the others, such as its host; empty: none.
    pub replica: String,
}

impl RedisOptions {
    /// The defaults.
    pub fn new(servers: RedisServers) -> Self {
        Self {
            servers,
            ca: None,
            prefix: "larder".to_owned(),
            timeout: Duration::from_millis(50),
            connect_timeout: Duration::from_secs(1),
            write: WriteMode::Behind,
            write_queue: 16 << 20,
            max_object: 8 << 20,
            breaker_failures: 5,
            breaker_open: Duration::from_secs(5),
            max_lag: Duration::from_secs(30),
            validate_when_cut_off: true,
            journal: None,
            compress: None,
            keys: None,
            replica: String::new(),
        }
    }
}
