//! What a hit costs from socket to socket: the server, the gateway and the layer, as they are served.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use arc_swap::ArcSwap;
use larder_testkit::alloc::Allocations;
use larder_testkit::client::H2Client;
use larder_testkit::{Answer, Origin};
use larder_tower::Cache;
use larder_tower::clock::{Clock, monotonic};

use super::{Gateway, PublicHandler};
use crate::active::{ActiveConfig, Process};
use crate::alerts::Alerts;
use crate::config;
use crate::listeners::Certificates;
use crate::reloads::Reloads;
use crate::server::{Server, ServerOptions};
use crate::stats::History;

/// Hits that are counted, and what else may allocate meanwhile: the task that waits for their client, and the sweep of connections.
const HITS: usize = 2000;
const BESIDES: u64 = 100;

/// A gateway before this origin, served by the runtime of this thread.
fn serve(origin: &Origin, rest: &str) -> SocketAddr {
    let text = format!("[upstreams.api]\nurl = \"{}\"\n[log]\naccess = \"off\"\n{rest}", origin.url());
    let (config, _) = config::parse("test", text.as_bytes(), &config::Overrides::default()).unwrap_or_else(|report| panic!("{report}"));
    let server = Server::bind(&["127.0.0.1:0".parse().expect("an address")]).expect("a port");
    let address = server.addresses().expect("bound")[0];
    let clock = Clock::system();
    let certificates = Arc::new(Certificates::new(&config).expect("none"));
    let cache = Cache::builder(1 << 24).max_object(1 << 20).clock(clock.clone()).build();
    let (access_logs, exporters) = Default::default();
    let process = Process { cache: &cache, clock: &clock, redis: None, access_logs: &access_logs, exporters: &exporters, stand_in: None };
    let active = ActiveConfig::new(config, &process, None).expect("it can serve");
    let gateway = Gateway {
        active: ArcSwap::from_pointee(active),
        cache,
        disk: None,
        redis: None,
        access_logs,
        observers: Arc::default(),
        request_ids: Default::default(),
        name: "test".to_owned(),
        history: History::new(monotonic()),
        alerts: Alerts::new("test").0,
        connections: server.open_connections(),
        certificates,
        acme: Arc::default(),
        jobs: Default::default(),
        handshakes: server.handshakes(),
        http2_limits: server.http2_limits(),
        channel_counts: Default::default(),
        reloads: Reloads::new(clock.now()),
        exporters,
        started: clock.now(),
        clock,
    };
    tokio::spawn(server.serve(ServerOptions::default(), PublicHandler(Arc::new(gateway)), std::future::pending()));
    address
}

/// Sends so many requests over one connection from a thread of its own, and returns the last answer.
async fn ask(address: SocketAddr, requests: usize) -> String {
    let client = move || {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let (mut answer, mut bytes) = (String::new(), [0; 4096]);
        for _ in 0..requests {
            stream.write_all(b"GET /a?b=1&c=2 HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n").expect("it reads");
            answer.clear();
            while !answer.ends_with("\r\n\r\n0123456789") {
                let count = stream.read(&mut bytes).expect("it answers");
                assert!(count > 0, "it has closed the connection after {answer}");
                answer.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        }
        answer
    };
    tokio::task::spawn_blocking(client).await.expect("a thread")
}

/// The same over one connection of HTTP/2.
async fn ask_over_http2(address: SocketAddr, requests: usize) -> String {
    let client = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut client = H2Client::connect(address).await.expect("it listens").for_authority("a.example");
            let mut fields = String::new();
            for _ in 0..requests {
                let answer = client.exchange("GET", "/a?b=1&c=2", &[("accept", "*/*")], "").await.expect("it answers");
                fields =
                    answer.head.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap_or_default())).collect();
            }
            fields
        })
    };
    tokio::task::spawn_blocking(client).await.expect("a thread")
}

/// Allocations of the thread that serves, for so many hits over either protocol.
async fn costs(rest: &str) -> [u64; 2] {
    let origin = Origin::start().await.expect("an origin");
    let answer = Answer::ok().header("Cache-Control", "max-age=600").header("Content-Type", "application/json").header("ETag", "\"1\"");
    origin.always("GET", "/a?b=1&c=2", answer.body("0123456789"));
    let address = serve(&origin, rest);
    // The first fills, the others grow what the thread, the connection and the map keep.
    ask(address, 200).await;
    let before = Allocations::so_far().count;
    let last = ask(address, HITS).await.to_ascii_lowercase();
    let over_http1 = Allocations::so_far().count - before;
    assert!(last.contains("x-cache: hit"), "{last}");
    ask_over_http2(address, 200).await;
    let before = Allocations::so_far().count;
    let last = ask_over_http2(address, HITS).await;
    let over_http2 = Allocations::so_far().count - before;
    assert!(last.contains("x-cache: HIT"), "{last}");
    assert_eq!((last.contains("ratelimit: "), origin.request_count()), (rest.contains("[[limits]]"), 1), "{last}");
    [over_http1, over_http2]
}
#[tokio::test]
async fn a_hit_allocates_nothing_between_its_sockets() {
    let costs = costs("").await;
    assert!(costs.iter().all(|cost| *cost < BESIDES), "{costs:?} allocations for {HITS} hits");
}

/// Fields that are removed or set on the way in, where nobody wants to see the request as it was sent.
#[tokio::test]
async fn a_hit_of_a_route_with_edits_is_not_copied() {
    let costs = costs("[[routes]]\npath = \"/{*rest}\"\nrequest = { remove = [\"accept\"], set = { x-key = \"hush\" } }\n").await;
    assert!(costs.iter().all(|cost| *cost < BESIDES), "{costs:?} allocations for {HITS} hits");
}

/// On requests and on bytes, which are asked before the look-up; what limits on misses cost a hit is nothing at all.
#[tokio::test]
async fn a_hit_under_limits_allocates_nothing_more() {
    let limits = "[[limits]]\nname = \"requests\"\nmax = 1000000\nper = \"1s\"\ncount = \"requests\"\n\
         [[limits]]\nname = \"bytes\"\nmax = \"1TiB\"\nper = \"1s\"\ncount = \"bytes\"\n\
         [[limits]]\nname = \"traffic\"\nmax = \"1TiB\"\nper = \"1h\"\ncount = \"bytes\"\n\
         [[limits]]\nname = \"misses\"\nmax = 100\nper = \"1h\"\n";
    let costs = costs(limits).await;
    assert!(costs.iter().all(|cost| *cost < BESIDES), "{costs:?} allocations for {HITS} hits");
}
