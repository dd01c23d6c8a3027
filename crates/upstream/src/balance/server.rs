//! A server of an upstream as it is configured, over the address that stands for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use larder_config::UpstreamServer;
use larder_message::client::ClientConnection;
use larder_message::forward::ForwardRules;
use xxhash_rust::xxh3::xxh3_64;

use super::standing::Standing;
use crate::endpoint::Endpoint;
use crate::exchange::transport::Outgoing;
use crate::names::look_up::Found;
use crate::options::UpstreamOptions;
use crate::request::content::WatchedBody;
use crate::url;

/// One server.
pub(crate) struct Server {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) rules: ForwardRules,
    pub(crate) weight: u32,
    pub(crate) is_backup: bool,
    /// What was looked up, where its name was.
    pub(super) found: Option<Found>,
    /// What it is known by in rendezvous hashing: the same in every process that has this server.
    pub(super) hash: u64,
}

impl Server {
    /// The server of a section, or one that its name stands for.
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        standing: Arc<Standing>,
        (server, found): (&UpstreamServer, Option<Found>),
        options: &UpstreamOptions,
    ) -> Self {
        let rules = ForwardRules { trusted: options.trusted.clone(), host: options.config.host, upstream_host: url::host(&server.url) };
        let hash = xxh3_64(standing.label.as_bytes());
        let weight = u32::from(server.weight) * u32::from(found.map_or(1, |found| found.weight));
        let is_backup = server.backup || found.is_some_and(|found| found.is_backup);
        Self { endpoint, standing, rules, weight, is_backup, found, hash }
    }

    /// A received request as it goes to this server. With `expect`, its content waits for a `100 (Continue)`.
    pub(crate) fn outgoing(&self, parts: Parts, body: WatchedBody, client: Option<&ClientConnection>, expect: bool) -> Outgoing {
        self.endpoint.outgoing(parts, body, client, expect, &self.rules)
    }

    /// Its weight, or less while it warms up.
    pub(super) fn share(&self, warm_up: Duration, now: Instant) -> f64 {
        f64::from(self.weight) * if warm_up.is_zero() { 1.0 } else { self.standing.warmth(warm_up, now) }
    }

    /// Requests that it has under way.
    pub(super) fn in_flight(&self) -> f64 {
        self.standing.stats.requests_in_flight() as f64
    }

    /// Whether nothing has changed about it from one look-up to another.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.is(other) && (self.weight, self.is_backup) == (other.weight, other.is_backup)
    }

    /// Whether both are the same server, though perhaps of two configurations or look-ups.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.standing, &other.standing)
    }
}
