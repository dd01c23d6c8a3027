//! Names of servers that do not resolve, for `larder check`: a slip in one shows otherwise only once requests fail.

use std::io;
use std::net::ToSocketAddrs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use larder_tower::clock::monotonic;

use crate::config::{Config, Upstream, UpstreamServer, Warnings};

/// How long all look-ups together may take. A name that takes longer is not told of: its name server is at fault, or away.
const MAX_TIME: Duration = Duration::from_secs(3);

/// A warning for each name of a server that the system's resolver does not know.
pub(super) fn unresolved(config: &Config) -> Vec<Warnings> {
    let servers = config.upstreams.iter().flat_map(|upstream| upstream.servers.iter().map(move |server| (upstream, server)));
    // The system's resolver knows nothing of services, and of names that another name server has.
    let is_the_systems = |upstream: &Upstream| upstream.resolve.is_none_or(|resolve| resolve.server.is_none());
    let is_named = |server: &UpstreamServer| server.url.address().is_none() && server.url.service().is_none();
    let named: Vec<_> = servers.filter(|(upstream, server)| is_named(server) && is_the_systems(upstream)).collect();
    let (told, answers) = mpsc::channel();
    for (number, (_, server)) in named.iter().enumerate() {
        let (told, host) = (told.clone(), server.url.authority().host().to_owned());
        // Nobody waits for a look-up that takes longer than all of them may.
        thread::spawn(move || told.send((number, look_up(&host))));
    }
    drop(told);
    let mut failed = Vec::new();
    let until = monotonic() + MAX_TIME;
    while let Ok((number, answer)) = answers.recv_timeout(until.saturating_duration_since(monotonic())) {
        failed.extend(answer.err().map(|error| (number, error.to_string())));
    }
    failed.sort();
    failed
        .iter()
        .filter_map(|(number, reason)| named.get(*number).map(|(upstream, server)| config.unresolved(upstream, server, reason)))
        .collect()
}

fn look_up(host: &str) -> io::Result<()> {
    let mut found = (host, 0).to_socket_addrs()?;
    found.next().map(drop).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn a_name_that_is_not_known_is_told_at_its_place_and_an_address_is_not_looked_up() {
        let text = "[upstreams.api]\nservers = [\"http://127.0.0.1:1\", \"http://localhost:1\", \"http://nowhere.invalid:1\"]";
        let (config, _) = parse("config.toml", text.as_bytes(), &Default::default()).expect("a configuration");
        let upstream = &config.upstreams[0];
        let told = config.unresolved(upstream, &upstream.servers[2], "no such name").lines().next().expect("a line");
        let sentence =
            "config.toml:2:56: warning: `nowhere.invalid`, a server of upstream `api`, does not resolve here: no such name (hint: ";
        assert!(told.starts_with(sentence), "{told}");
        let unresolved = unresolved(&config);
        // A name server that does not answer says nothing.
        assert!(
            unresolved.len() <= 1 && unresolved.iter().all(|warning| warning.to_string().contains("nowhere.invalid")),
            "{unresolved:?}"
        );
    }
}
