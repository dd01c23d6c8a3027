//! Protection of an upstream, and of requests that wait for it: a breaker, a bound on requests with a queue before it, and words in the log.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_testkit::client::H2Client;
use larder_testkit::larder::config;
use larder_testkit::wait::eventually;
use larder_testkit::{Answer, Client, Larder, Origin, Result};
use serde_json::Value;
use tokio::sync::mpsc;

fn upstream(origin: &Origin, settings: &str) -> String {
    format!("[upstreams.api]\nurl = \"{}\"\n{settings}\n", origin.url())
}

#[tokio::test]
async fn a_hanging_upstream_is_left_alone_and_what_is_stale_is_served_at_once() -> Result<()> {
    let origin = Origin::start().await?;
    let stale = Answer::ok().header("Cache-Control", "max-age=10, stale-if-error=60").header("Age", "15");
    origin.once("GET", "/stale", stale.body("old"));
    for target in ["/1", "/2", "/3", "/stale"] {
        origin.always("GET", target, Answer::ok().wait("never"));
    }
    let settings = "first_byte_timeout = \"100ms\"\nbreaker = { failures = 2, open = \"1h\" }";
    let larder = Larder::before(&origin, &upstream(&origin, settings)).await?;
    assert_eq!(larder.get("/stale").await?.x_cache(), "MISS");
    for target in ["/1", "/2"] {
        assert_eq!(larder.get(target).await?.status, 504);
    }
    let asked = origin.request_count();
    let refused = larder.get("/3").await?;
    assert_eq!(refused.status, 503);
    let seconds: u64 = refused.header("retry-after").unwrap_or_default().parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    let proxy_status = refused.header("proxy-status").unwrap_or_default();
    assert!(proxy_status.contains("error=destination_unavailable; next-hop=\"api\""), "{proxy_status}");
    let served = larder.get("/stale").await?;
    assert_eq!((served.status, served.x_cache(), served.text().as_str()), (200, "HIT", "old"));
    assert_eq!(larder.request("POST", "/1", &[], "x").await?.status, 503);
    assert_eq!(origin.request_count(), asked, "nothing of it reached the origin");
    assert_eq!(larder.metric("larder_origin_breaker_open", &["upstream=\"api\""]).await?, 1.0);
    Ok(())
}

#[tokio::test]
async fn after_a_pause_one_request_tries_and_its_answer_ends_it() -> Result<()> {
    let origin = Origin::start().await?;
    origin.times(2, "GET", "/a", Answer::hang_up());
    origin.always("GET", "/a", Answer::ok().body("back"));
    let settings = "breaker = { failures = 1, open = \"10ms\" }";
    let larder = Larder::before(&origin, &upstream(&origin, settings)).await?;
    assert_eq!(larder.get("/a").await?.status, 502);
    let answered = || async { Ok(Some(larder.get("/a").await?).filter(|response| response.status == 200)) };
    assert_eq!(eventually("an answer", answered).await?.text(), "back");
    assert_eq!(larder.metric("larder_origin_breaker_open", &["upstream=\"api\""]).await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn without_a_breaker_every_request_is_sent() -> Result<()> {
    let origin = Origin::start().await?;
    origin.always("GET", "/a", Answer::hang_up());
    let larder = Larder::before(&origin, &upstream(&origin, "breaker = false")).await?;
    for _ in 0..8 {
        assert_eq!(larder.get("/a").await?.status, 502);
    }
    assert_eq!(origin.request_count(), 8);
    Ok(())
}

#[tokio::test]
async fn a_reload_that_changes_other_things_keeps_the_breaker_open() -> Result<()> {
    let mut origin = Origin::start().await?;
    let upstream = upstream(&origin, "breaker = { failures = 1, open = \"1h\" }");
    let larder = Larder::before(&origin, &upstream).await?;
    origin.stop().await;
    assert_eq!(larder.get("/a").await?.status, 502);
    assert_eq!(larder.get("/a").await?.status, 503);
    larder.write_config(&config(&origin.url(), &format!("[cache]\nttl = \"7s\"\n{upstream}")))?;
    larder.hang_up()?;
    larder.process().line("`reloaded`", |line| line.contains("reloaded").then_some(())).await?;
    assert_eq!(larder.get("/a").await?.status, 503);
    Ok(())
}

#[tokio::test]
async fn an_upstream_has_so_many_requests_and_the_next_wait_by_arrival() -> Result<()> {
    let origin = Origin::start().await?;
    for target in ["/1", "/2"] {
        origin.always("GET", target, Answer::ok().wait("go").body("done"));
    }
    origin.always("GET", "/3", Answer::ok().body("third"));
    let settings = "max_requests = 2\nqueue = { max = 1, wait = \"1h\" }";
    let larder = Larder::before(&origin, &upstream(&origin, settings)).await?;
    let mut clients = Vec::new();
    for target in ["/1", "/2"] {
        let mut client = larder.connect().await?;
        client.send("GET", target, &[], "").await?;
        clients.push(client);
    }
    origin.wait_for_requests(2).await?;
    let mut third = larder.connect().await?;
    third.send("GET", "/3", &[], "").await?;
    larder.metric_reaches("larder_origin_waiting", &[], 1.0).await?;
    let refused = larder.get("/4").await?;
    assert_eq!((refused.status, origin.request_count()), (503, 2));
    assert!(refused.header("proxy-status").unwrap_or_default().contains("error=connection_limit_reached"));
    assert!(refused.header("retry-after").is_some());
    origin.gate("go").open();
    for client in &mut clients {
        assert_eq!(client.finish().await?.text(), "done");
    }
    assert_eq!(third.finish().await?.text(), "third");
    assert_eq!(larder.metric("larder_origin_refused_total", &["upstream=\"api\""]).await?, 1.0);
    larder.process().line("`no place`", |line| (line.contains("WARN") && line.contains("no place")).then_some(())).await?;
    Ok(())
}

#[tokio::test]
async fn a_stale_response_stands_in_for_one_that_finds_no_place() -> Result<()> {
    let origin = Origin::start().await?;
    let stale = Answer::ok().header("Cache-Control", "max-age=10, stale-if-error=60").header("Age", "15");
    origin.once("GET", "/stale", stale.body("old"));
    origin.always("GET", "/slow", Answer::ok().wait("never"));
    let settings = "max_requests = 1\nqueue = { max = 0, wait = \"1s\" }";
    let larder = Larder::before(&origin, &upstream(&origin, settings)).await?;
    larder.get("/stale").await?;
    let mut slow = larder.connect().await?;
    slow.send("GET", "/slow", &[], "").await?;
    origin.wait_for_requests(2).await?;
    let served = larder.get("/stale").await?;
    assert_eq!((served.status, served.x_cache(), served.text().as_str()), (200, "HIT", "old"));
    Ok(())
}

/// As many clients as there are places would otherwise keep everyone else from the upstream for hours.
#[tokio::test]
async fn a_stream_of_events_takes_no_place_once_it_has_begun() -> Result<()> {
    let origin = Origin::start().await?;
    let events =
        Answer::ok().header("Content-Type", "text/event-stream").header("Cache-Control", "no-store").chunk("data: 1\n\n").wait("never");
    origin.always("GET", "/events", events);
    origin.always("GET", "/a", Answer::ok().body("a"));
    let larder = Larder::before(&origin, &upstream(&origin, "max_requests = 1\nqueue = { max = 0, wait = \"1s\" }")).await?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = larder.connect().await?;
        client.send("GET", "/events", &[], "").await?;
        client.read_until("data: 1\n\n").await?;
        clients.push(client);
    }
    assert_eq!(larder.get("/a").await?.text(), "a");
    Ok(())
}

/// An origin that answers `/ok` and nothing else, and counts its open connections whenever one is made.
struct Silent {
    address: SocketAddr,
    seen: mpsc::UnboundedReceiver<String>,
    max: Arc<AtomicUsize>,
}

impl Silent {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (send, seen) = mpsc::unbounded_channel();
        let max = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&max);
        std::thread::spawn(move || {
            let mut open: Vec<TcpStream> = Vec::new();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                // On loopback a connection that was closed before this one was made is known to be closed by now.
                open.retain(is_open);
                count.fetch_max(open.len() + 1, Ordering::SeqCst);
                let target = target_of(&mut stream);
                if target == "/ok" {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                } else {
                    open.push(stream);
                }
                if send.send(target).is_err() {
                    return;
                }
            }
        });
        Ok(Self { address, seen, max })
    }

    async fn larder(&self) -> Result<Larder> {
        let settings = "max_requests = 4\nqueue = { max = 4, wait = \"1h\" }\nfirst_byte_timeout = \"1h\"";
        Larder::start(&config("", &format!("[upstreams.api]\nurl = \"http://{}\"\n{settings}\n[cache]\nttl = \"60s\"", self.address))).await
    }
}

fn is_open(stream: &TcpStream) -> bool {
    let mut stream = stream;
    let blocks = stream.set_nonblocking(true).and_then(|()| stream.read(&mut [0; 1]));
    matches!(blocks, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn target_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_client_that_closes_requests_for_ever_new_urls_holds_a_bounded_number_of_origin_connections() -> Result<()> {
    let mut origin = Silent::start()?;
    let larder = origin.larder().await?;
    for number in 0..40 {
        let target = format!("/{number}");
        let mut client = larder.connect().await?;
        client.send("GET", &target, &[], "").await?;
        assert_eq!(origin.seen.recv().await.as_deref(), Some(&*target));
    }
    assert!(origin.max.load(Ordering::SeqCst) <= 4, "{:?}", origin.max);
    assert_eq!(larder.get("/ok").await?.text(), "ok");
    Ok(())
}

#[tokio::test]
async fn a_client_that_resets_requests_for_ever_new_urls_holds_a_bounded_number_of_origin_connections() -> Result<()> {
    let mut origin = Silent::start()?;
    let larder = origin.larder().await?;
    let mut client = H2Client::connect(larder.address()).await?;
    for number in 0..40 {
        let target = format!("/{number}");
        tokio::select! {
            answer = client.send("GET", &target, &[], "") => panic!("nobody answers: {answer:?}"),
            seen = origin.seen.recv() => assert_eq!(seen.as_deref(), Some(&*target)),
        }
    }
    assert!(origin.max.load(Ordering::SeqCst) <= 4, "{:?}", origin.max);
    assert_eq!(larder.get("/ok").await?.text(), "ok");
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_is_down_is_warned_of_once_with_its_name_address_phase_and_error() -> Result<()> {
    let mut origin = Origin::start().await?;
    let larder = Larder::before(&origin, "[log]\naccess = \"json\"").await?;
    let address = origin.url();
    origin.stop().await;
    for number in 0..4 {
        let response = larder.get(&format!("/{number}")).await?;
        assert_eq!(response.status, 502);
        assert!(response.text().contains("The origin server refused the connection."), "{}", response.text());
        assert_eq!(response.header("proxy-status"), Some("larder; error=connection_refused; next-hop=\"api\""));
    }
    larder.process().line("the last access line", |line| line.contains("\"target\":\"/3\"").then_some(())).await?;
    let output = larder.process().output();
    let warned: Vec<_> = output.iter().filter(|line| line.contains("an upstream fails")).collect();
    assert_eq!(warned.len(), 1, "{output:?}");
    for part in ["WARN", "api", &address, "connect", "Connection refused"] {
        assert!(warned[0].contains(part), "no {part} in {}", warned[0]);
    }
    Ok(())
}

async fn line(larder: &Larder, target: &str) -> Result<Value> {
    let wanted = format!("\"target\":\"{target}\"");
    let line = larder.process().line(&wanted, |line| line.contains(&wanted).then(|| line.to_owned())).await?;
    Ok(serde_json::from_str(&line[line.find('{').unwrap_or_default()..])?)
}

#[tokio::test]
async fn the_access_log_says_which_upstream_was_asked_what_it_answered_and_under_which_id() -> Result<()> {
    let mut origin = Origin::start().await?;
    origin.once("GET", "/miss", Answer::ok().header("Cache-Control", "max-age=60").body("x"));
    origin.once("POST", "/write", Answer::new(201));
    let larder = Larder::before(&origin, "[log]\naccess = \"json\"").await?;
    larder.request("GET", "/miss", &[("X-Request-Id", "id-1")], "").await?;
    larder.request("POST", "/write", &[], "x").await?;
    let miss = line(&larder, "/miss").await?;
    let said = |line: &Value| (line["upstream"].clone(), line["upstream_status"].clone(), line["upstream_us"].is_u64());
    assert_eq!(said(&miss), ("api".into(), 200.into(), true));
    assert_eq!((&miss["request_id"], &miss["protocol"]), (&"id-1".into(), &"HTTP/1.1".into()));
    assert_eq!(said(&line(&larder, "/write").await?), ("api".into(), 201.into(), true));
    let mut client = H2Client::connect(larder.address()).await?;
    origin.stop().await;
    client.exchange("GET", "/gone", &[], "").await?;
    let gone = line(&larder, "/gone").await?;
    assert_eq!(said(&gone), ("api".into(), Value::Null, true));
    assert_eq!((&gone["request_id"], &gone["protocol"]), (&Value::Null, &"HTTP/2".into()));
    let mut again = Client::connect(larder.address()).await?;
    again.exchange("GET", "/miss", &[("X-Request-Id", "id-2")], "").await?;
    let hit = larder.process().line("the hit", |line| line.contains("\"id-2\"").then(|| line.to_owned())).await?;
    let hit: Value = serde_json::from_str(&hit[hit.find('{').unwrap_or_default()..])?;
    assert_eq!((said(&hit), &hit["result"]), ((Value::Null, Value::Null, false), &"HIT".into()));
    Ok(())
}
