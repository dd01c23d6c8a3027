//! The configuration once everything in it is known to be right: plain data, defaults filled in, inheritance resolved.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use larder_redis_options::RedisOptions;
use larder_semantics::{KeyRules, Policy, QueryRules};

use super::listen::Listen;
use super::path::PathTemplate;
use super::purge::Purge;
use super::server_options::ServerOptions;
use super::source::Source;
use super::tags::TagTemplate;
use super::tokens::Token;
use super::upstream_url::UpstreamUrl;
use super::writes::{OnEvent, OnWrite, ResponseTags};
use crate::limits::{BreakerLimit, Limit};
use larder_message::forward::{HostPolicy, Trust};

/// All settings of one gateway.
#[derive(Clone, Debug)]
pub struct Config {
    /// The public listeners and what they allow.
    pub server: Server,
    /// The listener for `/metrics`, `/healthz`, `/readyz` and `/purge`.
    pub admin: Admin,
    /// Where requests go; sorted by name, never empty. Routes name them by position.
    pub upstreams: Vec<Upstream>,
    /// What purges may do.
    pub purge: Purge,
    /// How origins name tags.
    pub tags: ResponseTags,
    /// What writes make old.
    pub on_write: Vec<OnWrite>,
    /// What events make old.
    pub on_event: Vec<OnEvent>,
    /// The memory tier.
    pub memory: MemoryStore,
    /// The tier that replicas share; `None`: there is none.
    pub redis: Option<RedisOptions>,
    /// The namespace of `[cache]`: gateways with different ones share nothing in Redis, purges included.
    pub namespace: String,
    /// What is logged.
    pub log: Log,
    /// In the order of the file. No two match the same requests equally well.
    pub routes: Vec<Route>,
    /// Takes the requests that match no route: the only upstream with the settings of `[cache]`. With several upstreams there is none,
    /// and such requests are answered with 404.
    pub fallback: Option<Route>,
    /// The file it came from, for errors that show only later (see [`Config::bind_failure`]).
    pub(super) source: Option<Arc<Source>>,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Never empty.
    pub listen: Vec<Listen>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What they are believed about.
    pub trust: Trust,
    /// How long new connections are accepted after SIGTERM, while `/readyz` says that they should go elsewhere.
    pub drain_delay: Duration,
    /// Deadlines and limits of connections.
    pub options: ServerOptions,
    /// Bytes a second that content has to come at, on average and after a while; 0 for any number.
    pub min_upload_rate: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![Listen::local(8080)],
            trusted_proxies: Vec::new(),
            trust: Trust::default(),
            drain_delay: Duration::ZERO,
            options: ServerOptions::default(),
            min_upload_rate: 1 << 10,
        }
    }
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// A loopback address, or any other where there are tokens.
    pub listen: Listen,
    /// What is asked for where the address is not loopback.
    pub tokens: Vec<Token>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: Listen::local(8090), tokens: Vec::new() }
    }
}

/// `[upstreams.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// As in the file; `default` where the command line gave it.
    pub name: Arc<str>,
    /// Where it is.
    pub url: UpstreamUrl,
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
    /// When it is left alone; `None` for never.
    pub breaker: Option<BreakerLimit>,
    /// Which `Host` it sees. With [`HostPolicy::Upstream`], HTTP/2 is offered to `https` origins; with [`HostPolicy::Preserve`] it is not,
    /// because there `:authority` is the connection's and has to agree with `Host` (RFC 9113 §8.3.1).
    pub host: HostPolicy,
    /// Speaks HTTP/2 without TLS and without negotiation. Only with `http`.
    pub h2c: bool,
    /// The PEM file with the only certificate authorities it is trusted by; `None` for the system's.
    pub ca_file: Option<PathBuf>,
}

/// `[store.memory]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryStore {
    /// Bytes of keys, heads, bodies and bookkeeping together.
    pub capacity: u64,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { capacity: 256 << 20 }
    }
}

/// `[log]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// One line a request.
    pub access: AccessLog,
    /// The least severe event of the gateway itself that is logged.
    pub level: LogLevel,
}

/// The form of the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// None, and nothing is computed for it.
    Off,
    /// For programs.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Severity of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what needs someone.
    Error,
    /// And what is odd.
    Warn,
    /// And what happens: start, reload, stop.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And everything.
    Trace,
}

/// `[[routes]]`
///
/// Routes for the request's host come before those for every host; then the most specific path wins; for the same path the route that
/// lists the method wins over one for all methods.
#[derive(Clone, Debug)]
pub struct Route {
    /// For metrics and logs; unique. Derived from methods, host and path where the file gives none.
    pub name: Arc<str>,
    /// The host, in lower case and without a port; `None` for every host.
    pub host: Option<String>,
    /// The paths.
    pub path: PathTemplate,
    /// Never empty; `None` for every method.
    pub methods: Option<Vec<Method>>,
    /// Position in [`Config::upstreams`].
    pub upstream: usize,
    /// The class that it took settings from.
    pub class: Option<Arc<str>>,
    /// How it is cached.
    pub settings: RouteSettings,
    /// What its stored responses are tagged with.
    pub tags: Vec<TagTemplate>,
}

/// What `[cache]`, a class and a route say about caching, resolved: the route wins over its class, the class over `[cache]`.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// `false`: every request passes by the cache.
    pub cache: bool,
    /// Lifetimes, scope and what is given up.
    pub policy: Policy,
    /// How a request becomes a key, and the bypass parameter.
    pub key: KeyRules,
    /// Bytes of the largest body that is stored.
    pub max_object: u64,
    /// Bytes of the largest request body that goes to the upstream; `None`: any.
    pub max_request_body: Option<u64>,
    /// How long a request waits for another's fetch before it makes its own; zero: not at all.
    pub collapse_wait: Duration,
    /// Clients whose bypass parameter counts.
    pub bypass_from: Vec<IpNet>,
    /// Whether `Cache-Status` tells the key (RFC 9211 §2.7).
    pub cache_status_key: bool,
    /// What is done with paths that have more than one reading.
    pub odd_paths: OddPaths,
}

/// What is done with a path that origins read in different ways: with dot segments, empty segments, encoded slashes, backslashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OddPaths {
    /// It goes up as it is, past the cache.
    #[default]
    Pass,
    /// 400.
    Refuse,
    /// As every other: stored under the path as it was sent.
    Cache,
}

impl RouteSettings {
    /// Whether a client at `address` may go round the cache.
    pub fn may_bypass(&self, address: IpAddr) -> bool {
        self.bypass_from.iter().any(|net| net.contains(&address))
    }
}

impl Default for RouteSettings {
    fn default() -> Self {
        Self {
            cache: true,
            policy: Policy::default(),
            key: KeyRules {
                namespace: "default".to_owned(),
                version: 1,
                query: QueryRules { sort: true, drop: vec!["utm_*".to_owned()], drop_empty: false, bypass: Some("no_cache".to_owned()) },
                identity: Vec::new(),
            },
            max_object: 8 << 20,
            max_request_body: None,
            collapse_wait: Duration::from_secs(10),
            bypass_from: vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())],
            cache_status_key: false,
            odd_paths: OddPaths::default(),
        }
    }
}
