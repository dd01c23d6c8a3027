//! Settings of an upstream: its section of the configuration, and those that only the process knows.

use std::path::PathBuf;
use std::sync::Arc;

use larder_config::Upstream;
use larder_message::client::TrustedProxies;
use larder_tower::clock::Clock;

use crate::check::shared::SharedChecks;
use crate::names::look_up::LookUp;
use crate::observe::OriginObserver;
use crate::stand_in::StandIn;

/// Everything one [`crate::UpstreamService`] needs to know.
#[derive(Clone)]
pub struct UpstreamOptions {
    /// Its section of the configuration, with the defaults of that.
    pub config: Upstream,
    /// The number observers know it by.
    pub index: usize,
    /// Proxies in front of this one that are believed.
    pub trusted: TrustedProxies,
    /// For `Date`.
    pub clock: Clock,
    /// Told of every exchange.
    pub observer: Option<Arc<dyn OriginObserver>>,
    /// How names of servers are looked up where `resolve` asks for that.
    pub look_up: LookUp,
    /// How replicas share their health checks; `None`: they do not.
    pub shared_checks: Option<Arc<dyn SharedChecks>>,
    /// What answers in place of the servers, of which none is asked then; `None`: they do.
    pub stand_in: Option<Arc<dyn StandIn>>,
}

impl UpstreamOptions {
    /// The first upstream, without trusted proxies and without an observer.
    pub fn new(config: Upstream, clock: Clock) -> Self {
        Self {
            config,
            index: 0,
            trusted: TrustedProxies::default(),
            clock,
            observer: None,
            look_up: LookUp::System,
            shared_checks: None,
            stand_in: None,
        }
    }
}

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSetupError {
    /// It has no server. A configuration that was checked names one.
    #[error("it names no server")]
    NoServer,
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
