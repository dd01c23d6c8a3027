//! Names with several addresses, each of which is a server.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_config::{Resolve, UpstreamServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::super::origin::origin_on;
use super::super::until;
use super::{answers, over, reloaded, service};
use crate::names::dns::message::tests::{asked, response, service as service_record};
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
    options.config.resolve = Some(Resolve { every: Duration::from_millis(20), server: None });
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
    let after = reloaded(&before, options);
    assert_eq!(after.servers(), before.servers());
    assert_eq!(after.servers()[0].answers, 2);
}

/// What a name server has: the records of a name and kind.
type Zone = fn(&str, u16) -> Vec<(u16, Vec<u8>)>;

/// A name server on a port of this machine. Over UDP it says only that an answer is too long, where that is asked for.
async fn name_server(zone: Zone, is_long: bool) -> SocketAddr {
    const ANSWER: u8 = 0x81;
    const TRUNCATED: u8 = 0x83;
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = tcp.local_addr().expect("address");
    let udp = UdpSocket::bind(address).await.expect("bind");
    let answer = move |question: &[u8], flags: u8| {
        let (name, kind) = asked(question);
        let records = zone(&name, kind);
        if records.iter().any(|(kind, _)| *kind == FAILS) {
            return response(question, flags, 0x82, &[]);
        }
        let records: Vec<_> = records.iter().map(|(kind, data)| (name.as_str(), *kind, data.clone())).collect();
        response(question, flags, if records.is_empty() { 0x83 } else { 0x80 }, if flags == TRUNCATED { &[] } else { &records })
    };
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = udp.recv_from(&mut buffer).await {
            // Somebody who guesses the port, but not the id, is not believed.
            let mut forged = answer(&buffer[..length], ANSWER);
            forged[0] ^= 1;
            let _ = udp.send_to(&forged, peer).await;
            let _ = udp.send_to(&answer(&buffer[..length], if is_long { TRUNCATED } else { ANSWER }), peer).await;
        }
    });
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = tcp.accept().await {
            let mut question = vec![0; usize::from(connection.read_u16().await.expect("a length"))];
            connection.read_exact(&mut question).await.expect("a question");
            let answer = answer(&question, ANSWER);
            let length = u16::try_from(answer.len()).expect("a short answer");
            let _ = connection.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await;
        }
    });
    address
}

const A: u16 = 1;
const SRV: u16 = 33;
/// No kind of record: the name server says that it failed.
const FAILS: u16 = 0;

#[tokio::test]
async fn names_are_looked_up_at_a_name_server_of_ones_own_over_tcp_where_the_answer_is_long() {
    let zone: Zone = |name, kind| {
        if (name, kind) == ("api.internal", A) { vec![(A, vec![127, 77, 4, 1]), (A, vec![127, 77, 4, 2])] } else { Vec::new() }
    };
    let port = listening("a", SocketAddr::new([127, 77, 4, 1].into(), 0)).await.port();
    listening("b", SocketAddr::new([127, 77, 4, 2].into(), port)).await;
    for is_long in [false, true] {
        let mut options = over(vec![UpstreamServer::new(format!("http://api.internal:{port}").parse().expect("upstream URL"))]);
        options.config.resolve = Some(Resolve { every: Duration::from_secs(60), server: Some(name_server(zone, is_long).await) });
        let service = service(options);
        // A request that comes before the first look-up is done looks the name up itself.
        assert_eq!(answers(&service, 1).await.len(), 1);
        until(|| known(&service) == ["(127.77.4.1)", "(127.77.4.2)"]).await;
        assert_eq!(answers(&service, 2).await.len(), 2);
    }
}

#[tokio::test]
async fn rfc2782_a_service_is_its_servers_at_their_ports_and_those_of_a_higher_priority_are_backups() {
    static PORTS: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let zone: Zone = |name, kind| {
        let ports = PORTS.lock().expect("lock");
        match (name, kind) {
            ("_http._tcp.api.internal", SRV) => vec![
                (SRV, service_record(1, 3, ports[0], "one.internal")),
                (SRV, service_record(1, 0, ports[1], "two.internal")),
                (SRV, service_record(2, 1, ports[2], "three.internal")),
                (SRV, service_record(1, 1, 1, "gone.internal")),
            ],
            ("one.internal", A) => vec![(A, vec![127, 77, 5, 1])],
            ("two.internal" | "three.internal", A) => vec![(A, vec![127, 77, 5, 2])],
            _ => Vec::new(),
        }
    };
    let at = |last: u8| SocketAddr::new([127, 77, 5, last].into(), 0);
    let ports = [listening("1", at(1)).await.port(), listening("2", at(2)).await.port(), listening("3", at(2)).await.port()];
    *PORTS.lock().expect("lock") = ports.to_vec();
    let url = "http://_http._tcp.api.internal".parse().expect("upstream URL");
    let mut options = over(vec![UpstreamServer { weight: 40_000, ..UpstreamServer::new(url) }]);
    options.config.resolve = Some(Resolve { every: Duration::from_secs(60), server: Some(name_server(zone, false).await) });
    let service = service(options);
    assert_ne!(answers(&service, 1).await, ["3"], "the first request finds the servers by itself");
    until(|| service.servers().len() == 3).await;
    // They stand in the order of their addresses, and the kernel chose the ports.
    let mut servers: Vec<_> = service.servers().into_iter().map(|server| (server.backup, server.weight)).collect();
    servers.sort_unstable();
    assert_eq!(servers, [(false, 40_000), (false, 120_000), (true, 40_000)], "the section's weight times the record's");
    let mut all = answers(&service, 4).await;
    all.sort();
    assert_eq!(all, ["1", "1", "1", "2"]);
    assert!(known(&service).contains(&format!("(127.77.5.1:{})", ports[0])), "{:?}", known(&service));
}

#[tokio::test]
async fn a_name_server_that_fails_for_one_target_of_a_service_takes_no_server_away() {
    static PORTS: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    static FAILURES: AtomicUsize = AtomicUsize::new(0);
    static FAILING: AtomicBool = AtomicBool::new(false);
    let zone: Zone = |name, kind| {
        let ports = PORTS.lock().expect("lock");
        match (name, kind) {
            ("_http._tcp.api.internal", SRV) => {
                vec![(SRV, service_record(1, 1, ports[0], "one.internal")), (SRV, service_record(2, 1, ports[1], "two.internal"))]
            }
            ("one.internal", _) if FAILING.load(Ordering::Relaxed) => {
                FAILURES.fetch_add(1, Ordering::Relaxed);
                vec![(FAILS, Vec::new())]
            }
            ("one.internal", A) => vec![(A, vec![127, 77, 6, 1])],
            ("two.internal", A) => vec![(A, vec![127, 77, 6, 2])],
            _ => Vec::new(),
        }
    };
    let at = |last: u8| SocketAddr::new([127, 77, 6, last].into(), 0);
    let ports = [listening("1", at(1)).await.port(), listening("2", at(2)).await.port()];
    *PORTS.lock().expect("lock") = ports.to_vec();
    let url = "http://_http._tcp.api.internal".parse().expect("upstream URL");
    let mut options = over(vec![UpstreamServer::new(url)]);
    options.config.resolve = Some(Resolve { every: Duration::from_millis(20), server: Some(name_server(zone, false).await) });
    let service = service(options.clone());
    until(|| service.servers().len() == 2).await;
    FAILING.store(true, Ordering::Relaxed);
    options.config.first_byte_timeout = Duration::from_secs(7);
    for reload in [false, true] {
        let service = if reload { reloaded(&service, options.clone()) } else { service.clone() };
        let before = FAILURES.load(Ordering::Relaxed);
        // The third answer is of a look-up that began after the first was over.
        until(|| FAILURES.load(Ordering::Relaxed) > before + 8).await;
        assert_eq!(service.servers().len(), 2, "{reload}");
        assert_eq!(answers(&service, 2).await, ["1", "1"], "no request goes to the backup");
    }
}
