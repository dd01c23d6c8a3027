//! Names with several addresses, each of which is a server.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_config::UpstreamServer;
use tokio::net::TcpListener;

use super::super::origin::origin_on;
use super::super::until;
use super::{answers, over, service};
use crate::{LookUp, UpstreamOptions, UpstreamService};

/// A server with this name on one of the addresses of this machine.
async fn listening(name: &'static str, address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(address).await.expect("bind");
    let address = listener.local_addr().expect("address");
    origin_on(listener, move |_, mut connection| async move {
        while !connection.head().await.is_empty() {
            connection.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{name}")).await;
        }
    });
    address
}

/// The addresses of a name, to be changed while it is looked up.
type Addresses = Arc<Mutex<Vec<IpAddr>>>;

/// Three servers on one port, and an upstream that is named by a name with these addresses.
async fn named_by(addresses: &Addresses) -> UpstreamOptions {
    let at = |last: u8, port| SocketAddr::new([127, 77, 3, last].into(), port);
    let port = listening("a", at(1, 0)).await.port();
    listening("b", at(2, port)).await;
    listening("c", at(3, port)).await;
    let url = format!("http://api.test:{port}").parse().expect("upstream URL");
    let mut options = over(vec![UpstreamServer::new(url)]);
    options.config.resolve = Some(Duration::from_millis(20));
    let addresses = Arc::clone(addresses);
    options.look_up = LookUp::As(Arc::new(move |host: &str| {
        assert_eq!(host, "api.test");
        addresses.lock().expect("lock").clone()
    }));
    options
}

fn ip(last: u8) -> IpAddr {
    [127, 77, 3, last].into()
}

fn known(service: &UpstreamService) -> Vec<String> {
    service.servers().iter().map(|server| server.server.rsplit_once(' ').map_or("", |(_, address)| address).to_owned()).collect()
}

#[tokio::test]
async fn a_name_with_several_addresses_is_several_servers() {
    let addresses = Addresses::new(Mutex::new(vec![ip(2), ip(1), ip(2)]));
    let service = service(named_by(&addresses).await);
    until(|| known(&service) == ["(127.77.3.1)", "(127.77.3.2)"]).await;
    assert_eq!(answers(&service, 4).await, ["a", "b", "a", "b"]);
    assert!(service.servers()[0].server.starts_with("http://api.test:"), "{:?}", service.servers());
}

#[tokio::test]
async fn an_address_that_is_gone_gets_no_more_requests_and_one_that_stays_keeps_what_is_known_of_it() {
    let addresses = Addresses::new(Mutex::new(vec![ip(1), ip(2)]));
    let service = service(named_by(&addresses).await);
    until(|| known(&service).len() == 2 && known(&service)[0] == "(127.77.3.1)").await;
    answers(&service, 4).await;
    *addresses.lock().expect("lock") = vec![ip(2), ip(3)];
    until(|| known(&service) == ["(127.77.3.2)", "(127.77.3.3)"]).await;
    assert_eq!(service.servers()[0].answers, 2);
    let connections = service.stats().connections_total();
    assert_eq!(answers(&service, 4).await, ["b", "c", "b", "c"]);
    assert_eq!(service.stats().connections_total(), connections + 1);
}

#[tokio::test]
async fn while_a_name_does_not_resolve_its_last_addresses_are_used() {
    let addresses = Addresses::new(Mutex::new(vec![ip(1)]));
    let mut options = named_by(&addresses).await;
    let looked_up = Arc::new(AtomicUsize::new(0));
    let (counted, names) = (Arc::clone(&looked_up), Arc::clone(&addresses));
    options.look_up = LookUp::As(Arc::new(move |_: &str| {
        counted.fetch_add(1, Ordering::Relaxed);
        names.lock().expect("lock").clone()
    }));
    let service = service(options);
    until(|| known(&service) == ["(127.77.3.1)"]).await;
    addresses.lock().expect("lock").clear();
    let before = looked_up.load(Ordering::Relaxed);
    until(|| looked_up.load(Ordering::Relaxed) > before + 2).await;
    assert_eq!(answers(&service, 2).await, ["a", "a"]);
}

#[tokio::test]
async fn a_reload_keeps_the_addresses_and_what_is_known_of_them() {
    let addresses = Addresses::new(Mutex::new(vec![ip(1), ip(2)]));
    let mut options = named_by(&addresses).await;
    let before = service(options.clone());
    until(|| known(&before) == ["(127.77.3.1)", "(127.77.3.2)"]).await;
    answers(&before, 4).await;
    options.config.first_byte_timeout = Duration::from_secs(7);
    let after = before.reconfigured(options).expect("service");
    assert_eq!(after.servers(), before.servers());
    assert_eq!(after.servers()[0].answers, 2);
}
