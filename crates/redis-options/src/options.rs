//! How much to expect of Redis, and in which form responses are stored there.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::keys::SealKeys;
use crate::servers::RedisServers;

/// Which bodies are compressed before they are stored, and how hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Bytes of the shortest body that is.
    pub min: u64,
    /// zstd's level, from 1 to 19.
    pub level: i32,
}

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
    /// First part of every key.
    pub prefix: String,
    /// The maximum time of an operation, waiting for a connection included. A look-up that takes longer is a miss. What is
    /// left of a long body that is being served already may take a second from one chunk to the next.
    pub timeout: Duration,
    /// The maximum time for connecting, name resolution, TLS and authentication included.
    pub connect_timeout: Duration,
    /// When responses are written.
    pub write: WriteMode,
    /// Maximum bytes of bodies that wait to be written; further ones are not written.
    pub write_queue: u64,
    /// The maximum length of a body that is stored there, in bytes.
    pub max_object: u64,
    /// Failures in a row after which the breaker opens.
    pub breaker_failures: u32,
    /// How long the breaker stays open, unless Redis is seen to work before.
    pub breaker_open: Duration,
    /// How long what is in memory is served although the log of invalidations cannot be read.
    pub max_lag: Duration,
    /// After `max_lag`: `true`, stored responses are validated with the origin; `false`, they are still served.
    pub validate_when_cut_off: bool,
    /// The file for invalidations that the log does not have yet; without it they are in memory only.
    pub journal: Option<PathBuf>,
    /// Which bodies are compressed; none by default.
    pub compress: Option<Compression>,
    /// The keys that heads and bodies are sealed with; they are stored as they are by default.
    pub keys: Option<SealKeys>,
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
        }
    }
}
