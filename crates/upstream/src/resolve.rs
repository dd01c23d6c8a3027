//! Names with several addresses: each address is a server. They are looked up again and again in the background, so that a request never waits
//! for it, and an address that is gone gets no new request.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_config::{Resolve, UpstreamUrl};
use larder_tower::clock::monotonic;

use crate::names::look_up::{Found, LookedUp};
use crate::options::UpstreamOptions;
use crate::protect::failure_log::RateLimited;
use crate::upstream::Upstream;

/// How long a look-up may take. Its thread goes on until the system's resolver has given up.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Looks up all names now and after each interval, for as long as the upstream is configured.
pub(crate) async fn keep_resolving(upstream: Weak<Upstream>, resolve: Resolve) {
    let mut log = RateLimited::default();
    let mut known: Option<Vec<BTreeSet<Found>>> = None;
    loop {
        let Some(configured) = upstream.upgrade().filter(|upstream| !upstream.is_retired()) else { return };
        let configured_servers = &configured.options.config.servers;
        // After a reload the servers are those that were found before.
        let at_first = || configured_servers.iter().map(|server| configured.servers.load().found(&server.url)).collect();
        let mut found = Vec::new();
        for (server, known) in configured_servers.iter().zip(known.get_or_insert_with(at_first)) {
            let looked_up = servers(&configured.options, resolve, &server.url).await;
            let failure = match &looked_up {
                Ok(looked_up) => looked_up.as_ref().and_then(|looked_up| looked_up.failure.as_ref()),
                Err(error) => Some(error),
            };
            if let Some(error) = failure {
                warn(&configured, &server.url, error, &mut log);
            }
            found.push(looked_up.ok().map(|looked_up| {
                *known = looked_up.map(|looked_up| looked_up.beside(known)).unwrap_or_default();
                known.clone()
            }));
        }
        configured.resolved(&found);
        drop(configured);
        tokio::time::sleep(resolve.every).await;
    }
}

/// What was known goes on: a name server that is away says nothing of the servers.
fn warn(upstream: &Arc<Upstream>, url: &UpstreamUrl, error: &io::Error, log: &mut RateLimited) {
    if let Some(times) = log.count_event(monotonic()) {
        let (upstream, server) = (&*upstream.options.config.name, url.authority().as_str());
        tracing::warn!(upstream, server, %error, times, "the name of a server does not resolve; its last addresses are used");
    }
}

/// The servers that a URL's name stands for; `None` where it has an address for a name.
async fn servers(options: &UpstreamOptions, resolve: Resolve, url: &UpstreamUrl) -> io::Result<Option<LookedUp>> {
    if url.address().is_some() {
        return Ok(None);
    }
    tokio::time::timeout(MAX_TIME, options.look_up.servers(url, resolve.server)).await?.map(Some)
}
