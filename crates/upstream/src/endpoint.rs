//! One address of an upstream.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use larder_config::{Upstream, UpstreamUrl};
use larder_message::client::ClientConnection;
use larder_message::forward::{ForwardRules, HostPolicy};

use crate::connect::{Connector, Offer};
use crate::exchange::transport::{Outgoing, Transport};
use crate::observe::UpstreamStats;
use crate::options::UpstreamOptions;
use crate::request::content::WatchedBody;

/// One address of an upstream: how to connect to it, and the connections that are kept.
///
/// What is known of the server there is its [`crate::balance::standing::Standing`]; limits, observers and counters of the upstream as a whole are
/// [`crate::upstream::Upstream`]'s.
pub(crate) struct Endpoint {
    pub(crate) url: UpstreamUrl,
    /// Where the URL's name was looked up, with the port 0 for the URL's; `None` where each connection does that.
    pub(crate) address: Option<SocketAddr>,
    /// Upgrades are of HTTP/1.1, and have connections of their own.
    pub(crate) for_upgrades: Connector,
    transport: Transport,
}

impl Endpoint {
    /// The endpoint at `url`, used as the section says. Connects to nothing yet.
    pub(crate) fn new(
        (url, address): (&UpstreamUrl, Option<SocketAddr>),
        tls: &rustls::ClientConfig,
        options: &UpstreamOptions,
        stats: &Arc<UpstreamStats>,
    ) -> Self {
        let connector = |offer| Connector::new((url, address), tls, options, Arc::clone(stats), offer);
        let offer = match options.config.host {
            HostPolicy::Upstream => Offer::Either,
            HostPolicy::Preserve => Offer::Http1,
        };
        let transport = Transport::new(url, &options.config, connector(offer));
        Self { url: url.clone(), address, for_upgrades: connector(Offer::Http1), transport }
    }

    /// Whether connections that were made by one section are good for another.
    pub(crate) fn connects_alike(one: &Upstream, other: &Upstream) -> bool {
        let settings = |config: &Upstream| (config.connect_timeout, config.idle_timeout, config.max_idle, config.host, config.h2c);
        let names = |config: &Upstream| config.resolve.and_then(|resolve| resolve.server);
        let tls = |config: &Upstream| (config.ca_file.clone(), config.server_name.clone(), config.files.clone());
        settings(one) == settings(other) && names(one) == names(other) && tls(one) == tls(other)
    }

    /// A received request as it goes to this endpoint. With `expect`, its content waits for a `100 (Continue)`.
    pub(crate) fn outgoing(
        &self,
        parts: Parts,
        body: WatchedBody,
        client: Option<&ClientConnection>,
        expect: bool,
        rules: &ForwardRules,
    ) -> Outgoing {
        self.transport.outgoing(parts, body, client, expect, (&self.url, rules))
    }
}
