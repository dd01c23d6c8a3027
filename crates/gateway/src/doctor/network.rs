//! Addresses: those that are listened on, and those of Redis.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use larder_tower::clock::monotonic;
use tokio::net::TcpStream;

use super::Finding;
use crate::config::{Config, Listen, ListenKind};

/// A server on the same network answers in far less.
const CONNECTING: Duration = Duration::from_secs(3);

pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let listeners = config.server.addresses().chain([&config.admin.listen]);
    let mut findings: Vec<Finding> = listeners.filter_map(listener).collect();
    if let Some(redis) = &config.redis {
        // Its addresses without user and password.
        let servers = redis.servers.to_string();
        // Sentinels follow the name of their master.
        for address in servers.rsplit(" of ").next().unwrap_or_default().split(", ") {
            findings.push(redis_server(address).await);
        }
    }
    findings
}

/// Whether an address can be listened on; `None` where that is not ours to find out.
fn listener(listen: &Listen) -> Option<Finding> {
    let ListenKind::Tcp(_) = listen.kind() else { return None };
    let what = format!("listener {}", listen.address());
    Some(match TcpListener::bind(listen.address()) {
        Ok(_) => Finding::good(what, "the address is free"),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::good(what, "something listens there: Larder itself, if it runs"),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let remedy = "give the process CAP_NET_BIND_SERVICE, or take a port from 1024 on";
            Finding::error(what, "this user may not listen there", remedy)
        }
        Err(error) => Finding::error(what, error.to_string(), "is it an address of this machine?"),
    })
}

async fn redis_server(address: &str) -> Finding {
    let what = format!("Redis at {address}");
    let Some(plain) = address.rsplit("://").next().map(|rest| rest.split('/').next().unwrap_or(rest)).filter(|plain| plain.contains(':'))
    else {
        return Finding::good(what, "a socket of this machine");
    };
    let started = monotonic();
    match tokio::time::timeout(CONNECTING, TcpStream::connect(plain)).await {
        Ok(Ok(_)) => {
            let time = monotonic().saturating_duration_since(started);
            let why = format!("it takes connections, in {:.1} ms", time.as_secs_f64() * 1000.0);
            if time < Duration::from_millis(20) {
                return Finding::good(what, why);
            }
            Finding::warning(what, why, "a look-up may take `timeout` (50 ms) in all: put Redis nearer, or raise it")
        }
        Ok(Err(error)) => {
            Finding::warning(what, error.to_string(), "Larder goes on without it, and replicas do not share anything meanwhile")
        }
        Err(_) => Finding::warning(what, "no answer within 3 s", "Larder goes on without it, and replicas do not share anything meanwhile"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[tokio::test]
    async fn a_server_that_is_away_is_a_warning_since_the_cache_goes_on() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let there = redis_server(&address).await;
        assert!(there.why.starts_with("it takes connections"), "{there:?}");
        drop(listener);
        assert_eq!(redis_server(&address).await.verdict, Verdict::Warning);
    }
}
