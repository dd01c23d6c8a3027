//! Names with several addresses: each address is a server. They are looked up again and again in the background, so that a request never waits
//! for it, and an address that is gone gets no new request.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_config::{Resolve, UpstreamUrl};
use larder_tower::clock::monotonic;

use crate::names::look_up::Found;
use crate::options::UpstreamOptions;
use crate::protect::failure_log::RateLimited;
use crate::upstream::Upstream;

/// How long a look-up may take. Its thread goes on until the system's resolver has given up.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Looks up all names now and after each interval, for as long as the upstream is configured.
pub(crate) async fn keep_resolving(upstream: Weak<Upstream>, resolve: Resolve) {
    let mut log = RateLimited::default();
    loop {
        let Some(configured) = upstream.upgrade().filter(|upstream| !upstream.is_retired()) else { return };
        let mut found = Vec::new();
        for server in &configured.options.config.servers {
            found.push(match servers(&configured.options, resolve, &server.url).await {
                Ok(servers) => Some(servers),
                Err(error) => {
                    warn(&configured, &server.url, &error, &mut log);
                    None
                }
            });
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

/// The servers that a URL's name stands for; none where it has an address for a name.
async fn servers(options: &UpstreamOptions, resolve: Resolve, url: &UpstreamUrl) -> io::Result<BTreeSet<Found>> {
    if url.address().is_some() {
        return Ok(BTreeSet::new());
    }
    tokio::time::timeout(MAX_TIME, options.look_up.servers(url, resolve.server)).await?
}
