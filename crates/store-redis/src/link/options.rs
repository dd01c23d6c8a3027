//! How to reach Redis, and how much to expect of it.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_semantics::Timestamp;
use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::value::{Compression, SealKeys};

/// A URL that is no Redis URL. Says nothing of its text, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a Redis URL: {reason}")]
pub struct InvalidRedisUrl {
    reason: String,
}

/// Where a server is, and as whom it is spoken to.
#[derive(Clone)]
pub struct RedisUrl {
    info: Box<ConnectionInfo>,
    text: String,
}

impl RedisUrl {
    /// From `redis://`, `rediss://` (TLS), `valkey://`, `valkeys://` or `redis+unix://`, with `user:password@` and `/database` as usual.
    pub fn parse(url: &str) -> Result<Self, InvalidRedisUrl> {
        let info = url.into_connection_info().map_err(|error| InvalidRedisUrl { reason: error.category().to_owned() })?;
        Ok(Self { info: Box::new(info.set_tcp_settings(tcp())), text: url.to_owned() })
    }

    /// The number of the database; 0 unless the URL has one.
    pub fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }

    /// Whether it is spoken to under TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::TcpTls { .. })
    }

    /// Whether it is a socket of this machine.
    pub fn is_socket(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::Unix(_))
    }

    pub(crate) fn info(&self) -> ConnectionInfo {
        ConnectionInfo::clone(&self.info)
    }
}

/// Off by default in this client; without it small commands wait for acknowledgements.
pub(crate) fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

impl fmt::Display for RedisUrl {
    /// Host and port or path, and nothing secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.info.addr(), f)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for RedisUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RedisUrl {}

/// The servers, and what they are to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisServers {
    /// One server.
    Single(RedisUrl),
    /// A Cluster, by some of its nodes: they name the others.
    Cluster(Vec<RedisUrl>),
    /// A master that may change, and those who know which it is. User, password and database of their URLs are the master's.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<RedisUrl>,
        /// The name that they know the master by.
        master: String,
    },
}

impl fmt::Display for RedisServers {
    /// Hosts and ports or paths, and nothing secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, urls: &[RedisUrl]| {
            urls.iter().enumerate().try_for_each(|(index, url)| write!(f, "{}{url}", if index == 0 { "" } else { ", " }))
        };
        match self {
            Self::Single(url) => fmt::Display::fmt(url, f),
            Self::Cluster(seeds) => list(f, seeds),
            Self::Sentinel { sentinels, master } => {
                write!(f, "{master} of ")?;
                list(f, sentinels)
            }
        }
    }
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
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// The servers.
    pub servers: RedisServers,
    /// The certificate authorities to trust for TLS, as PEM; those of the system by default.
    pub ca: Option<Bytes>,
    /// First part of every key.
    pub prefix: String,
    /// The longest an operation may take, waiting for a connection included. A look-up that takes longer is a miss. What is
    /// left of a long body that is being served already may take a second from one chunk to the next.
    pub timeout: Duration,
    /// The longest that connecting may take, TLS and authentication included.
    pub connect_timeout: Duration,
    /// When responses are written.
    pub write: WriteMode,
    /// Bytes of bodies that may wait to be written; what comes beyond is not written.
    pub write_queue: u64,
    /// The longest body that is kept there, in bytes.
    pub max_object: u64,
    /// Failures in a row after which it is left alone.
    pub breaker_failures: u32,
    /// For how long, unless it is seen to work before.
    pub breaker_open: Duration,
    /// How long what is in memory is served although the log of invalidations cannot be read.
    pub max_lag: Duration,
    /// What comes after: `true`, it is validated with its origin; `false`, it is served on.
    pub validate_when_cut_off: bool,
    /// The file for invalidations that the log does not have yet; without it they are in memory only.
    pub journal: Option<PathBuf>,
    /// Which bodies are compressed; none by default.
    pub compress: Option<Compression>,
    /// The keys that heads and bodies are sealed with; they are stored as they are by default.
    pub keys: Option<SealKeys>,
    /// The monotonic clock.
    pub monotonic: fn() -> Instant,
    /// The clock by which heads are dated and look-ups are made. With it a response's age is handed on by Redis' clock, whatever replicas take
    /// the time to be, and a process that stood still knows how long before it serves anything.
    pub wall: Option<fn() -> Timestamp>,
}

impl RedisOptions {
    /// The defaults.
    pub fn new(servers: RedisServers, monotonic: fn() -> Instant) -> Self {
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
            monotonic,
            wall: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RedisUrl;

    #[test]
    fn what_is_shown_of_a_url_holds_no_secret() {
        for (url, shown) in [
            ("redis://me:hunter2@host:7000/3", "host:7000"),
            ("rediss://:hunter2@host", "host:6379"),
            ("redis+unix:///run/redis.sock?pass=hunter2", "/run/redis.sock"),
        ] {
            let url = RedisUrl::parse(url).unwrap();
            assert_eq!((url.to_string().as_str(), format!("{url:?}").as_str()), (shown, shown));
        }
        for wrong in ["", "http://host", "redis://:hunter2@host/x", "hunter2"] {
            let error = RedisUrl::parse(wrong).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
