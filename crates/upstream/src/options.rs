//! How an upstream is used.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_config::{BreakerLimit, Limit};
use larder_tower::clock::Clock;

use super::UpstreamUrl;
use super::observe::OriginObserver;
use larder_message::forward::{HostPolicy, TrustedProxies};

/// Everything one [`super::UpstreamService`] needs to know.
#[derive(Clone)]
pub struct UpstreamOptions {
    /// The number observers know it by.
    pub index: usize,
    /// What the log and clients know it by.
    pub name: Arc<str>,
    /// Where it is.
    pub url: UpstreamUrl,
    /// From the first look-up of the name to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// From the request (or the last of its body that could be sent) to the response head.
    pub first_byte_timeout: Duration,
    /// Bytes a second that a client has to send of its content on average, after a while; 0: any number.
    pub min_upload_rate: u64,
    /// How many exchanges it has at a time.
    pub limit: Limit,
    /// When it is left alone; `None`: never.
    pub breaker: Option<BreakerLimit>,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How many unused connections are kept.
    pub max_idle: usize,
    /// Speak HTTP/2 without TLS, without asking first. Only for origins known to.
    pub h2c: bool,
    /// Trust the certificates in this PEM file, and only those, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Which `Host` the origin sees. With [`HostPolicy::Upstream`], HTTP/2 is offered to `https` origins; with
    /// [`HostPolicy::Preserve`] it is not, because there `:authority` is the connection's and has to agree with `Host` (RFC 9113 §8.3.1).
    pub host: HostPolicy,
    /// Proxies in front of this one that are believed.
    pub trusted: TrustedProxies,
    /// For `Date`.
    pub clock: Clock,
    /// Told of every exchange.
    pub observer: Option<Arc<dyn OriginObserver>>,
}

impl UpstreamOptions {
    /// The defaults for an upstream at `url`.
    pub fn new(url: UpstreamUrl, clock: Clock) -> Self {
        Self {
            index: 0,
            name: Arc::from("default"),
            url,
            connect_timeout: Duration::from_secs(1),
            first_byte_timeout: Duration::from_secs(30),
            min_upload_rate: 1024,
            limit: Limit::default(),
            breaker: Some(BreakerLimit::default()),
            // Below the five seconds after which Node closes its side: a connection that both ends close at once loses a request.
            idle_timeout: Duration::from_secs(4),
            max_idle: 128,
            h2c: false,
            ca_file: None,
            host: HostPolicy::Preserve,
            trusted: TrustedProxies::default(),
            clock,
            observer: None,
        }
    }
}

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSetupError {
    /// The CA file is not there, not readable, or holds no certificate.
    #[error("no certificate authority could be read from {path}: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system's certificates could not be loaded.
    #[error("the system's certificate authorities could not be loaded: {0}")]
    NativeRoots(String),
    /// TLS could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
}
