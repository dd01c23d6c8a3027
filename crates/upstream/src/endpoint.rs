//! One address of an upstream.

use std::sync::Arc;

use http::request::Parts;
use larder_config::UpstreamUrl;
use larder_message::client::ClientConnection;
use larder_message::forward::ForwardRules;

use crate::connect::Connector;
use crate::exchange::transport::{Outgoing, Transport};
use crate::observe::UpstreamStats;
use crate::options::{UpstreamOptions, UpstreamSetupError};
use crate::protect::health::Health;
use crate::request::content::WatchedBody;
use crate::url;

/// One address of an upstream: how to connect to it, the connections that are kept, and whether it is worth asking.
///
/// Limits, observers and counters of the upstream as a whole are [`crate::service::Upstream`]'s.
pub(crate) struct Endpoint {
    pub(crate) url: UpstreamUrl,
    pub(crate) rules: ForwardRules,
    pub(crate) connector: Connector,
    pub(crate) health: Health,
    transport: Transport,
}

impl Endpoint {
    /// The endpoint at `url`, used as the options say. Connects to nothing yet.
    pub(crate) fn new(url: &UpstreamUrl, options: &UpstreamOptions, stats: &Arc<UpstreamStats>) -> Result<Self, UpstreamSetupError> {
        let config = &options.config;
        let connector = Connector::new(url, config, Arc::clone(stats))?;
        let transport = Transport::new(url, config, connector.clone());
        let rules = ForwardRules { trusted: options.trusted.clone(), host: config.host, upstream_host: url::host(url) };
        let health = Health::new(&config.name, url, config.breaker);
        Ok(Self { url: url.clone(), rules, connector, health, transport })
    }

    /// A received request as it goes to this endpoint. With `expect`, its content waits for a `100 (Continue)`.
    pub(crate) fn outgoing(&self, parts: Parts, body: WatchedBody, client: Option<&ClientConnection>, expect: bool) -> Outgoing {
        self.transport.outgoing(parts, body, client, expect, (&self.url, &self.rules))
    }
}
