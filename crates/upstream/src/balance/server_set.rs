//! The servers that an upstream consists of: those of its section, or the addresses that their names have, each with what was known of it before.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use larder_config::{UpstreamServer, UpstreamUrl};
use larder_tower::clock::monotonic;

use super::server::Server;
use super::servers::Servers;
use super::standing::Standing;
use crate::endpoint::Endpoint;
use crate::names::look_up::Found;
use crate::observe::UpstreamStats;
use crate::options::UpstreamOptions;

/// What servers are made of.
pub(crate) struct ServerSet<'a> {
    pub(crate) options: &'a UpstreamOptions,
    pub(crate) stats: &'a Arc<UpstreamStats>,
    pub(crate) tls: &'a rustls::ClientConfig,
    /// Those that there were before; `None` when the process starts.
    pub(crate) known: Option<&'a Servers>,
    /// Whether connections that those have may go on.
    pub(crate) connects_alike: bool,
}

impl ServerSet<'_> {
    /// As the section names them. Names that had been looked up keep their addresses, as long as they are to be looked up.
    pub(crate) fn at_first(&self) -> Option<Servers> {
        let servers = self.options.config.servers.iter().flat_map(|server| self.unchanged(server));
        Servers::new(servers.collect())
    }

    /// With what the names of the section's servers stand for, in their order. `None` where nothing has changed.
    pub(crate) fn at(&self, found: &[Option<BTreeSet<Found>>]) -> Option<Servers> {
        let sections = self.options.config.servers.iter().zip(found);
        let servers = sections.flat_map(|(server, found)| match found {
            Some(found) if !found.is_empty() => found.iter().map(|found| self.member(server, Some(*found))).collect(),
            _ => self.unchanged(server),
        });
        let servers: Vec<_> = servers.collect();
        let before = self.known.map(Servers::all).unwrap_or_default();
        let is_changed = before.len() != servers.len() || before.iter().zip(&servers).any(|(before, after)| !before.is_as(after));
        if is_changed { Servers::new(servers) } else { None }
    }

    fn unchanged(&self, server: &UpstreamServer) -> Vec<Arc<Server>> {
        let known = self.known.map(Servers::all).unwrap_or_default();
        let looked_up = known.iter().filter(|known| self.options.config.resolve.is_some() && known.endpoint.url == server.url);
        let found: Vec<_> = looked_up.filter_map(|known| known.found).collect();
        match found.is_empty() {
            true => vec![self.member(server, None)],
            false => found.into_iter().map(|found| self.member(server, Some(found))).collect(),
        }
    }

    /// One of them, with what was known of it before.
    fn member(&self, server: &UpstreamServer, found: Option<Found>) -> Arc<Server> {
        let (config, address) = (&self.options.config, found.map(|found| found.address));
        let all = self.known.map(Servers::all).unwrap_or_default();
        let known = all.iter().find(|known| known.endpoint.url == server.url && known.endpoint.address == address);
        let standing = known.map(|known| Arc::clone(&known.standing)).unwrap_or_else(|| {
            let standing = Standing::new(&config.name, &label(&server.url, address), self.stats);
            // When the process starts, or a name is looked up for the first time, no server is newer than the others.
            let first = all.iter().any(|known| known.endpoint.url == server.url && known.endpoint.address.is_none());
            if self.known.is_some() && !first {
                standing.comes_back(monotonic());
            }
            Arc::new(standing)
        });
        let endpoint = match known.filter(|_| self.connects_alike) {
            Some(known) => Arc::clone(&known.endpoint),
            None => Arc::new(Endpoint::new((&server.url, address), self.tls, self.options, &standing.stats)),
        };
        Arc::new(Server::new(endpoint, standing, (server, found), self.options))
    }
}

/// What people and metrics call a server.
fn label(url: &UpstreamUrl, address: Option<SocketAddr>) -> String {
    match address {
        Some(address) if address.port() == 0 => format!("{url} ({})", address.ip()),
        Some(address) => format!("{url} ({address})"),
        None => url.to_string(),
    }
}
