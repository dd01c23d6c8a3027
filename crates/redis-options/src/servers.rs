//! Addresses of the servers.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// A text that is no Redis URL. The message does not quote it, since it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a Redis URL: {reason}")]
pub struct InvalidRedisUrl {
    reason: String,
}

/// The address of a server, with user and password.
#[derive(Clone)]
pub struct RedisUrl {
    info: Box<ConnectionInfo>,
    text: String,
}

impl RedisUrl {
    /// Reads `redis://`, `rediss://` (TLS), `valkey://`, `valkeys://` or `redis+unix://`, with `user:password@` and `/database` as usual.
    pub fn parse(url: &str) -> Result<Self, InvalidRedisUrl> {
        let info = url.into_connection_info().map_err(|error| InvalidRedisUrl { reason: error.category().to_owned() })?;
        Ok(Self { info: Box::new(info), text: url.to_owned() })
    }

    /// The number of the database; 0 unless the URL has one.
    pub fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }

    /// Whether the connection is under TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::TcpTls { .. })
    }

    /// Whether it is a socket of this machine.
    pub fn is_socket(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::Unix(_))
    }

    /// The form that the Redis client takes.
    pub fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// `None` without TLS; otherwise whether certificates are not verified.
    fn tls(&self) -> Option<bool> {
        match self.info.addr() {
            ConnectionAddr::TcpTls { insecure, .. } => Some(*insecure),
            _ => None,
        }
    }

    /// Whether a Cluster's client, which takes user, password, protocol and TLS from `self`, can reach `other` with them.
    fn reaches(&self, other: &RedisUrl) -> bool {
        let (own, others) = (self.info.redis_settings(), other.info.redis_settings());
        self.tls() == other.tls()
            && own.protocol() == others.protocol()
            && (own.username().is_none() || own.username() == others.username())
            && (own.password().is_none() || own.password() == others.password())
            && (others.db() == 0 || own.db() == others.db())
            && !other.is_socket()
    }
}

impl fmt::Display for RedisUrl {
    /// Host and port, or the path, without secrets.
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

/// The servers and their roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisServers {
    /// One server.
    Single(RedisUrl),
    /// A Cluster, by some of its nodes: they name the others.
    Cluster(Vec<RedisUrl>),
    /// Sentinels, which know the current master. User, password and database of their URLs are the master's.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<RedisUrl>,
        /// The master's name in the sentinels' configuration.
        master: String,
    },
}

impl RedisServers {
    /// Whether one client can reach all of them: the nodes of a Cluster do not differ in user, password or TLS, and none is a socket.
    pub fn are_alike(&self) -> bool {
        match self {
            Self::Single(_) | Self::Sentinel { .. } => true,
            Self::Cluster(nodes) => nodes.first().is_some_and(|first| nodes.iter().all(|node| first.reaches(node))),
        }
    }
}

impl fmt::Display for RedisServers {
    /// Hosts and ports, or paths, without secrets.
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

#[cfg(test)]
mod tests {
    use super::RedisUrl;

    #[test]
    fn a_shown_url_holds_no_secret() {
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
