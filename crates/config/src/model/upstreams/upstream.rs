//! `[upstreams.NAME]`: where requests go, and how much an upstream is asked at a time and while it fails.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_message::forward::HostPolicy;
use larder_tls::Pair;
use rustls::pki_types::ServerName;

use super::{Balance, Eject, HealthCheck, Retry, UpstreamServer, UpstreamUrl};
use crate::model::ReadFile;

/// `[upstreams.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// As in the file; `default` where the command line gave it.
    pub name: Arc<str>,
    /// The servers that answer for it, in the order of the file: one at least.
    pub servers: Vec<UpstreamServer>,
    /// How requests are shared out to them.
    pub balance: Balance,
    /// When one of several is left out for a while; `None` for never.
    pub eject: Option<Eject>,
    /// Which requests are sent once more when they fail; `None` for none, but for those on a reused connection that had died.
    pub retry: Option<Retry>,
    /// How servers are asked whether they work; `None`: they are not.
    pub health: Option<HealthCheck>,
    /// How long a server that comes back takes to get its full share; zero for at once.
    pub warm_up: Duration,
    /// For DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the last byte of the request to the response's fields.
    pub first_byte_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Unused connections kept for each host.
    pub max_idle: usize,
    /// How many exchanges it has at a time, and how many wait.
    pub limit: Limit,
    /// Whether requests are held back when its answers say that it takes no more for a while.
    pub learn_limits: bool,
    /// When it is left alone; `None` for never.
    pub breaker: Option<BreakerLimit>,
    /// Which `Host` it sees. With [`HostPolicy::Upstream`], HTTP/2 is offered to `https` origins; with [`HostPolicy::Preserve`] it is not,
    /// because there `:authority` is the connection's and has to agree with `Host` (RFC 9113 §8.3.1).
    pub host: HostPolicy,
    /// Speaks HTTP/2 without TLS and without negotiation. Only with `http`.
    pub h2c: bool,
    /// The PEM file with the only certificate authorities it is trusted by; `None` for the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown to its servers; `None` for none.
    pub client_certificate: Option<Pair>,
    /// The name that certificates of its servers have to be for; `None` for that of each URL.
    pub server_name: Option<ServerName<'static>>,
    /// The files that TLS was read from. A change of one makes this another section.
    pub files: Vec<ReadFile>,
    /// How names of servers are looked up, each of whose addresses is a server then; `None`: by the system at each connection, and they are one.
    pub resolve: Option<Resolve>,
}

/// `resolve = { every = "30s", server = "10.0.0.2" }`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolve {
    /// The time between two look-ups.
    pub every: Duration,
    /// The name server that is asked; `None`: the system's.
    pub server: Option<SocketAddr>,
}

impl Upstream {
    /// The defaults around a URL.
    pub fn new(name: &str, url: UpstreamUrl) -> Self {
        Self::over(name, vec![UpstreamServer::new(url)])
    }

    /// The defaults around some servers.
    pub fn over(name: &str, servers: Vec<UpstreamServer>) -> Self {
        let are_several = servers.len() > 1;
        Self::with_choice(name, servers, are_several)
    }

    /// The defaults, where there may be a choice of servers. A single one is not ejected, for the breaker does that, and its failures are not
    /// retried.
    pub fn with_choice(name: &str, servers: Vec<UpstreamServer>, are_several: bool) -> Self {
        Self {
            name: Arc::from(name),
            servers,
            balance: Balance::default(),
            eject: are_several.then(Eject::default),
            retry: are_several.then(Retry::default),
            health: None,
            warm_up: Duration::ZERO,
            connect_timeout: Duration::from_secs(1),
            first_byte_timeout: Duration::from_secs(30),
            // Below the five seconds after which Node closes its side: a connection that both ends close at once loses a request.
            idle_timeout: Duration::from_secs(4),
            max_idle: 128,
            limit: Limit::default(),
            learn_limits: false,
            breaker: Some(BreakerLimit::default()),
            host: HostPolicy::default(),
            h2c: false,
            ca_file: None,
            client_certificate: None,
            server_name: None,
            files: Vec::new(),
            resolve: None,
        }
    }
}

/// The limit of one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Exchanges at a time; 0: any number.
    pub max_requests: usize,
    /// Requests that wait for a place.
    pub queue: usize,
    /// How long they wait.
    pub wait: Duration,
}

impl Default for Limit {
    fn default() -> Self {
        Self { max_requests: 200, queue: 100, wait: Duration::from_secs(1) }
    }
}

/// When an upstream is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerLimit {
    /// Failures in a row.
    pub failures: u32,
    /// The pause, after which one request at a time tries.
    pub open: Duration,
}

impl Default for BreakerLimit {
    fn default() -> Self {
        Self { failures: 5, open: Duration::from_secs(5) }
    }
}
