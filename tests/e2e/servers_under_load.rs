//! Several servers under load: no client of a safe request sees an error while servers die, hang, and move.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use larder_testkit::larder::config;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Error, Larder, Origin, Result};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::servers::{answering, over};

const CLIENTS: usize = 32;

/// What one client was answered besides 200: status and `Proxy-Status`.
type Refused = Vec<(u16, String)>;

/// Clients that ask for `/a` one request after the other, until they are told to stop.
struct Load {
    done: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<Result<Refused>>,
}

impl Load {
    async fn on(larder: &Larder) -> Result<Self> {
        let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (mut client, done, stop) = (larder.connect().await?, Arc::clone(&done), Arc::clone(&stop));
            clients.spawn(async move {
                let mut refused = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.exchange("GET", "/a", &[], "").await?;
                    if answer.status != 200 {
                        refused.push((answer.status, answer.header("proxy-status").unwrap_or_default().to_owned()));
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, Error>(refused)
            });
        }
        Ok(Self { done, stop, clients })
    }

    /// Waits until each client has had ten more answers, on average.
    async fn goes_on(&self) -> Result<()> {
        let (done, until) = (&self.done, self.done.load(Ordering::Relaxed) + 10 * CLIENTS);
        eventually("more requests", || async { Ok((done.load(Ordering::Relaxed) >= until).then_some(())) }).await
    }

    /// Stops, and asserts that every answer was 200.
    async fn assert_unharmed(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(refused) = self.clients.join_next().await {
            assert_eq!(refused??, [], "what one of the clients was answered");
        }
        Ok(())
    }
}

async fn is_asked(origin: &Origin) -> Result<()> {
    let before = origin.request_count();
    eventually("a request to a server", || async { Ok((origin.request_count() > before).then_some(())) }).await
}

/// Each server dies in turn, with requests under way, and comes back at its address.
#[tokio::test]
async fn no_client_sees_an_error_while_servers_die_and_come_back() -> Result<()> {
    let mut servers = Vec::new();
    for name in ["one", "two", "three"] {
        servers.push(answering(name).await?);
    }
    let settings = "retry = { max = 2, budget = 1.0 }\neject = { failures = 2, for = \"100ms\" }";
    let larder = Larder::start(&over(&servers.iter().collect::<Vec<_>>(), settings)).await?;
    let load = Load::on(&larder).await?;
    load.goes_on().await?;
    for server in &mut servers {
        let address = server.address();
        server.stop().await;
        load.goes_on().await?;
        *server = Origin::start_at(&address.to_string()).await?;
        server.always("GET", "/a", Answer::ok().header("Cache-Control", "no-store").body("back"));
        is_asked(server).await?;
    }
    load.assert_unharmed().await?;
    let metric = |name: &'static str| larder.metric(name, &[]);
    assert!(metric("larder_origin_server_ejections_total").await? >= 3.0, "each of them was left out");
    assert_eq!(metric("larder_origin_retries_refused_total").await?, 0.0, "all of this is within the budget");
    Ok(())
}

/// A server that accepts and reads, and answers nothing from some moment on.
#[tokio::test]
async fn no_client_sees_an_error_while_a_server_hangs() -> Result<()> {
    let (sick, well) = (Origin::start().await?, answering("well").await?);
    let hangs = Arc::new(AtomicBool::new(false));
    let answer = Answer::ok().header("Cache-Control", "no-store").body("sick");
    sick.respond_with("GET", "/a", {
        let hangs = Arc::clone(&hangs);
        move |_| if hangs.load(Ordering::Relaxed) { Answer::ok().wait("well again") } else { answer.clone() }
    });
    let settings = "first_byte_timeout = \"300ms\"\nretry = { max = 2, budget = 1.0 }\neject = { failures = 3, for = \"200ms\" }";
    let larder = Larder::start(&over(&[&sick, &well], settings)).await?;
    let load = Load::on(&larder).await?;
    load.goes_on().await?;
    hangs.store(true, Ordering::Relaxed);
    larder.metric_reaches("larder_origin_server_ejections_total", &[], 1.0).await?;
    load.goes_on().await?;
    hangs.store(false, Ordering::Relaxed);
    sick.gate("well again").open();
    is_asked(&sick).await?;
    load.goes_on().await?;
    load.assert_unharmed().await
}

/// The address of a name changes, and the old server goes once the new one is asked.
#[tokio::test]
async fn no_client_sees_an_error_while_a_name_changes_its_address() -> Result<()> {
    let mut old = Origin::start_at("127.77.9.1:0").await?;
    let port = old.address().port();
    let new = Origin::start_at(&format!("127.77.9.2:{port}")).await?;
    for origin in [&old, &new] {
        origin.always("GET", "/a", Answer::ok().header("Cache-Control", "no-store").body("here"));
    }
    let address = Arc::new(Mutex::new(Ipv4Addr::new(127, 77, 9, 1)));
    let names = name_server(Arc::clone(&address)).await?;
    let upstream = format!("[upstreams.api]\nurl = \"http://api.internal:{port}\"\nresolve = {{ every = \"1s\", server = \"{names}\" }}\n");
    let larder = Larder::start(&config("", &upstream)).await?;
    let load = Load::on(&larder).await?;
    is_asked(&old).await?;
    *address.lock().expect("no panic") = Ipv4Addr::new(127, 77, 9, 2);
    is_asked(&new).await?;
    load.goes_on().await?;
    let asked = old.request_count();
    old.stop().await;
    load.goes_on().await?;
    assert_eq!(old.request_count(), asked, "an address that is gone gets no more requests");
    load.assert_unharmed().await
}

/// A name server that has one address for every name, and nothing else (RFC 1035 §4).
async fn name_server(address: Arc<Mutex<Ipv4Addr>>) -> Result<SocketAddr> {
    const A: &[u8] = &[0, 1, 0, 1];
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let at = socket.local_addr()?;
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let (id, question) = (&buffer[..2], &buffer[12..length]);
            // The name ends with an empty label; kind and class follow.
            let end = question.iter().position(|&byte| byte == 0).map_or(question.len(), |end| (end + 5).min(question.len()));
            let question = &question[..end];
            let is_address = question.ends_with(A);
            let mut answer = [id, &[0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0], question].concat();
            if is_address {
                // The name of the question, for a second.
                answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                answer.extend_from_slice(&address.lock().expect("no panic").octets());
            }
            let _gone = socket.send_to(&answer, peer).await;
        }
    });
    Ok(at)
}
