//! Names with several addresses: each address is a server. They are looked up again and again in the background, so that a request never waits
//! for it, and an address that is gone gets no new request.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_config::UpstreamUrl;
use larder_tower::clock::monotonic;

use crate::look_up::LookUp;
use crate::protect::failure_log::RateLimited;
use crate::upstream::Upstream;

/// How long a look-up may take. Its thread goes on until the system's resolver has given up.
const MAX_TIME: Duration = Duration::from_secs(10);

/// More addresses than these are left out: each is a server with connections of its own.
const MAX_ADDRESSES: usize = 256;

/// Looks up all names now and after each `every`, for as long as the upstream is configured.
pub(crate) async fn keep_resolving(upstream: Weak<Upstream>, every: Duration) {
    let mut log = RateLimited::default();
    loop {
        let Some(configured) = upstream.upgrade() else { return };
        let mut found = Vec::new();
        for server in &configured.options.config.servers {
            found.push(match addresses(&configured.options.look_up, &server.url).await {
                Ok(addresses) => Some(addresses),
                Err(error) => {
                    warn(&configured, &server.url, &error, &mut log);
                    None
                }
            });
        }
        configured.resolved(&found);
        drop(configured);
        tokio::time::sleep(every).await;
    }
}

/// What was known goes on: a name server that is away says nothing of the servers.
fn warn(upstream: &Arc<Upstream>, url: &UpstreamUrl, error: &io::Error, log: &mut RateLimited) {
    if let Some(times) = log.count_event(monotonic()) {
        let (upstream, server) = (&*upstream.options.config.name, url.authority().as_str());
        tracing::warn!(upstream, server, %error, times, "the name of a server does not resolve; its last addresses are used");
    }
}

/// The addresses of a URL's name; none where it has an address for a name.
async fn addresses(look_up: &LookUp, url: &UpstreamUrl) -> io::Result<BTreeSet<IpAddr>> {
    if url.address().is_some() {
        return Ok(BTreeSet::new());
    }
    let found = tokio::time::timeout(MAX_TIME, look_up.addresses(url.authority().host())).await??;
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    }
    Ok(found.into_iter().map(|address| address.to_canonical()).take(MAX_ADDRESSES).collect())
}
