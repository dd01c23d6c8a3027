//! How names are looked up.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use larder_config::UpstreamUrl;
use tokio::task::JoinSet;

use crate::names::dns::{NameServer, ServiceRecord};

/// More servers than these are left out: each has connections of its own.
const MAX_FOUND: usize = 256;
/// Where the system's name servers stand.
const RESOLV_CONF: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;

/// How names are looked up.
#[derive(Clone, Default)]
pub enum LookUp {
    /// By the system's resolver, or the name server that an upstream names.
    #[default]
    System,
    /// As this says, for tests.
    As(Names),
}

/// The addresses of each host.
type Names = Arc<dyn Fn(&str) -> Vec<IpAddr> + Send + Sync>;

/// A server that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// With the port 0 for the one in the URL.
    pub(crate) address: SocketAddr,
    /// Its share, compared with the others' of the same name.
    pub(crate) weight: u16,
    /// Whether it is for when the others are away.
    pub(crate) is_backup: bool,
}

/// What a look-up found: at least one server.
pub(crate) struct LookedUp {
    pub(crate) servers: BTreeSet<Found>,
    /// Why a part of them could not be looked up. There may be more of them then.
    pub(crate) failure: Option<io::Error>,
}

impl LookedUp {
    /// Those found, and of `known` those at other addresses where not all could be looked up: what could not be asked for says nothing of them.
    pub(crate) fn beside(&self, known: &BTreeSet<Found>) -> BTreeSet<Found> {
        let mut servers = self.servers.clone();
        if self.failure.is_some() {
            let is_new = |one: &&Found| self.servers.iter().all(|found| found.address != one.address);
            servers.extend(known.iter().filter(is_new));
        }
        servers.into_iter().take(MAX_FOUND).collect()
    }
}

impl LookUp {
    /// The servers that a URL's host stands for. `at`: the name server to ask.
    pub(crate) async fn servers(&self, url: &UpstreamUrl, at: Option<SocketAddr>) -> io::Result<LookedUp> {
        let (found, failure) = match url.service() {
            Some(service) => self.of_service(service, at).await?,
            None => {
                let plain = |address: IpAddr| Found { address: SocketAddr::new(address.to_canonical(), 0), weight: 1, is_backup: false };
                (self.addresses(url.authority().host(), at).await?.into_iter().map(plain).collect(), None)
            }
        };
        if found.is_empty() {
            return Err(failure.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has no address")));
        }
        Ok(LookedUp { servers: found.into_iter().take(MAX_FOUND).collect(), failure })
    }

    async fn addresses(&self, host: &str, at: Option<SocketAddr>) -> io::Result<Vec<IpAddr>> {
        match (self, at) {
            (Self::As(names), _) => Ok(names(host)),
            (Self::System, Some(server)) => NameServer(server).addresses(host).await,
            (Self::System, None) => Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()),
        }
    }

    /// RFC 2782: those of the lowest priority have the requests, by weight, and the others wait for these to be away.
    /// With why one of its targets could not be looked up. A target without an address is an answer.
    async fn of_service(&self, service: &str, at: Option<SocketAddr>) -> io::Result<(BTreeSet<Found>, Option<io::Error>)> {
        let name_server = match at {
            Some(server) => server,
            None => systems_name_server()?,
        };
        let records = NameServer(name_server).services(service).await?;
        let first = records.iter().map(|record| record.priority).min();
        let mut look_ups = JoinSet::new();
        for record in records.into_iter().take(MAX_FOUND) {
            let look_up = self.clone();
            look_ups.spawn(async move { (look_up.addresses(&record.target, at).await, record) });
        }
        let (mut all, mut failure) = (BTreeSet::new(), None);
        while let Some(looked_up) = look_ups.join_next().await {
            let (addresses, ServiceRecord { priority, weight, port, .. }) = looked_up.map_err(io::Error::other)?;
            let is_backup = Some(priority) != first;
            match addresses {
                Ok(addresses) => all.extend(addresses.into_iter().map(|address| Found {
                    address: SocketAddr::new(address.to_canonical(), port),
                    weight: weight.max(1),
                    is_backup,
                })),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failure = Some(error),
            }
        }
        Ok((all, failure))
    }
}

/// The first name server of the system.
fn systems_name_server() -> io::Result<SocketAddr> {
    let none = || io::Error::new(io::ErrorKind::NotFound, format!("{RESOLV_CONF} names no name server"));
    name_server_in(&std::fs::read_to_string(RESOLV_CONF)?).ok_or_else(none)
}

fn name_server_in(text: &str) -> Option<SocketAddr> {
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    let address = lines.find_map(|mut words| words.next().filter(|word| *word == "nameserver").and_then(|_| words.next()?.parse().ok()))?;
    Some(SocketAddr::new(address, DNS_PORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_looked_up_takes_no_known_server_away() {
        let at = |last: u8, weight| Found { address: SocketAddr::new([127, 0, 0, last].into(), 80), weight, is_backup: false };
        let known = BTreeSet::from([at(1, 1), at(2, 1)]);
        let beside = |failure: Option<io::Error>| LookedUp { servers: BTreeSet::from([at(2, 5), at(3, 1)]), failure }.beside(&known);
        assert_eq!(beside(None), BTreeSet::from([at(2, 5), at(3, 1)]), "the whole answer replaces what was known");
        assert_eq!(beside(Some(io::Error::other("no answer"))), BTreeSet::from([at(1, 1), at(2, 5), at(3, 1)]));
    }

    #[test]
    fn the_systems_first_name_server_is_asked_for_services() {
        let text = "# nameserver 192.0.2.9\nsearch example\nnameserver fe80::1%eth0\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n";
        assert_eq!(name_server_in(text), Some("192.0.2.1:53".parse().expect("an address")));
        assert_eq!(name_server_in("search example\nnameserver\n"), None);
    }
}
