//! The listener over real sockets, mostly raw ones: what matters here is what a well-behaved client library would never send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::{Drained, Peer, Server, ServerOptions};

/// A server whose handler tells what it was given.
struct Running {
    address: SocketAddr,
    handled: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

fn serve<H, F>(options: ServerOptions, handler: H) -> Running
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let server = Server::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bind");
    let address = server.addresses().expect("addresses")[0];
    let handled = Arc::new(AtomicUsize::new(0));
    let counting = {
        let handled = Arc::clone(&handled);
        move |request: Request<Incoming>, peer: Peer| {
            handled.fetch_add(1, Ordering::SeqCst);
            handler(request, peer)
        }
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(server.serve(options, counting, async move {
        let _ = stopped.await;
    }));
    Running { address, handled, stop, ended }
}

async fn echo(request: Request<Incoming>, _peer: Peer) -> Response<Full<Bytes>> {
    let line = format!("{} {} ", request.method(), request.uri());
    let body = request.into_body().collect().await.expect("request body").to_bytes();
    Response::new(Full::new([line.as_bytes(), &body].concat().into()))
}

fn serve_echo() -> Running {
    serve(ServerOptions::default(), echo)
}

fn short() -> ServerOptions {
    ServerOptions { header_read_timeout: Duration::from_millis(50), ..ServerOptions::default() }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("connect")
}

/// Sends these bytes and returns what comes back until the server closes.
async fn talk(address: SocketAddr, bytes: &str) -> String {
    let mut stream = connect(address).await;
    stream.write_all(bytes.as_bytes()).await.expect("write");
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.expect("read");
    String::from_utf8(text).expect("UTF-8")
}

async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(stream.read_u8().await.expect("more"));
    }
    String::from_utf8(text).expect("UTF-8")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("")
}

/// A whole answer that says what is wrong: RFC 9457 in its body, RFC 9209 in its fields.
fn assert_problem(answer: &str, expected: &str) {
    assert_eq!(status(answer), expected, "{answer:?}");
    for field in
        ["connection: close\r\n", "content-type: application/problem+json\r\n", "proxy-status: larder; error=http_request_error\r\n"]
    {
        assert!(answer.contains(field), "{answer}");
    }
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
    let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["status"].to_string(), expected);
}

/// The request is refused with `expected`, the connection is closed (or `talk` would not return), and nothing was handled.
async fn refused(bytes: &str, expected: &str) {
    let server = serve_echo();
    let answer = talk(server.address, bytes).await;
    assert_problem(&answer, expected);
    assert_eq!(server.handled.load(Ordering::SeqCst), 0, "{bytes:?} reached the handler");
}

#[tokio::test]
async fn rfc9112_6_1_content_length_with_transfer_encoding_is_refused() {
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:chunked\r\ncontent-length:0\r\n\r\n0\r\n\r\n", "400").await;
}

#[tokio::test]
async fn rfc9112_6_1_content_length_with_transfer_encoding_is_refused_on_a_later_request_too() {
    let server = serve_echo();
    let first = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let second = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = talk(server.address, &format!("{first}{second}")).await;
    assert!(answer.contains("POST /1 hi"), "{answer}");
    assert!(answer.contains("HTTP/1.1 400 Bad Request"), "{answer}");
    assert_eq!(server.handled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn chunked_alone_is_handled() {
    let server = serve_echo();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert!(talk(server.address, request).await.ends_with("POST / hi"));
}

#[tokio::test]
async fn rfc9112_6_1_a_transfer_encoding_that_does_not_end_in_chunked_is_refused() {
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501").await;
}

#[tokio::test]
async fn rfc9112_6_1_transfer_encoding_in_http_1_0_is_refused() {
    refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400").await;
}

#[tokio::test]
async fn rfc9112_6_3_two_different_lengths_are_refused() {
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabc", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", "400").await;
}

#[tokio::test]
async fn rfc9112_2_2_bare_cr_and_rfc9110_5_5_nul_in_a_field_are_refused() {
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "400").await;
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "400").await;
    refused("GET / HTTP/1.1\rHost: a\r\n\r\n", "400").await;
}

#[tokio::test]
async fn rfc9112_5_1_space_before_the_colon_is_refused() {
    refused("GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", "400").await;
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400").await;
}

#[tokio::test]
async fn rfc9112_5_2_line_folding_is_refused() {
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", "400").await;
    refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400").await;
}

#[tokio::test]
async fn rfc9112_3_2_a_request_without_exactly_one_host_is_refused() {
    refused("GET / HTTP/1.1\r\n\r\n", "400").await;
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400").await;
    refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400").await;
    refused("GET http://other.example/ HTTP/1.1\r\nHost: a\r\n\r\n", "400").await;
}

#[tokio::test]
async fn connect_is_refused() {
    refused("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "501").await;
}

#[tokio::test]
async fn rubbish_is_refused() {
    refused("\x16\x03\x01\x02\r\n\r\n", "400").await;
    refused("GET / HTTP/9.9\r\nHost: a\r\n\r\n", "400").await;
    refused("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400").await;
}

#[tokio::test]
async fn a_target_that_is_too_long_is_refused_with_414() {
    refused(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20 * 1024)), "414").await;
    refused(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(70 * 1024)), "414").await;
}

#[tokio::test]
async fn fields_that_are_too_large_or_too_many_are_refused_with_431() {
    refused(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(300 * 1024)), "431").await;
    refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(101)), "431").await;
}

#[tokio::test]
async fn a_malformed_request_behind_others_is_told_what_is_wrong_too() {
    let server = serve_echo();
    // At once, and after a pause in which the connection was idle.
    let good = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = talk(server.address, &format!("{good}{good}rubbish\r\n\r\n")).await;
    assert_problem(answer.rsplit("GET /1 ").next().expect("behind the others"), "400");
    let mut stream = connect(server.address).await;
    stream.write_all(good.as_bytes()).await.expect("write");
    until(&mut stream, "GET /1 ").await;
    stream.write_all(b"rubbish\r\n\r\n").await.expect("write");
    assert_problem(&rest(&mut stream).await, "400");
}

const LIKE_A_REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn content_that_looks_like_a_refusal_is_content() {
    let server = serve(ServerOptions::default(), |_, _| async { Response::new(Full::from(LIKE_A_REFUSAL.repeat(20_000))) });
    let answer = talk(server.address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(answer.split_once("\r\n\r\n").expect("a head").1, LIKE_A_REFUSAL.repeat(20_000));
}

#[tokio::test]
async fn rfc9110_7_8_what_comes_behind_an_upgrade_is_left_alone() {
    let server = serve(ServerOptions::default(), |mut request: Request<Incoming>, _| async move {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut tunnel = TokioIo::new(upgraded.await.expect("a tunnel"));
            for _ in 0..2 {
                tunnel.flush().await.expect("flush");
                tunnel.write_all(LIKE_A_REFUSAL.as_bytes()).await.expect("write");
            }
        });
        let switching = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "x");
        switching.body(Full::default()).expect("response")
    });
    let answer = talk(server.address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await;
    assert_eq!(answer.split_once("\r\n\r\n").expect("a head").1, LIKE_A_REFUSAL.repeat(2));
}

#[tokio::test]
async fn http2_fields_that_are_too_large_are_refused_with_431() {
    let server = serve_echo();
    let stream = TokioIo::new(connect(server.address).await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("handshake");
    tokio::spawn(connection);
    let request = Request::get("http://a.example/two").header("x", "a".repeat(100 * 1024)).body(Empty::<Bytes>::new()).expect("request");
    assert_eq!(sender.send_request(request).await.expect("response").status(), 431);
    assert_eq!(server.handled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn rfc9112_9_6_a_refused_client_that_still_sends_is_not_reset_before_it_has_read_why() {
    let server = serve_echo();
    let mut stream = connect(server.address).await;
    stream.write_all(format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(200 * 1024)).as_bytes()).await.expect("write");
    assert_eq!(status(&rest(&mut stream).await), "431");
    for _ in 0..3 {
        stream.write_all(&[b'a'; 1024]).await.expect("the other side still reads");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_head_that_is_late_is_answered_with_408() {
    let server = serve(short(), echo);
    for begun in ["GET / HTTP/1.1\r\nHost: a\r\nX: ", "G", "PRI * HTT"] {
        let answer = talk(server.address, begun).await;
        assert_eq!(status(&answer), "408", "{begun:?} was answered {answer:?}");
        assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_in_time_without_a_word() {
    let server = serve(short(), echo);
    assert_eq!(talk(server.address, "").await, "");
    let answer = talk(server.address, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.ends_with("GET /1 "), "an idle connection ends after its last answer: {answer}");
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_closed() {
    let options = ServerOptions { max_connections: 1, ..ServerOptions::default() };
    let server = serve(options, echo);
    let mut first = connect(server.address).await;
    first.write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
    until(&mut first, "GET /1 ").await;
    let mut second = connect(server.address).await;
    assert_eq!(status(&rest(&mut second).await), "503");
    first.write_all(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
    until(&mut first, "GET /2 ").await;
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let server = serve_echo();
    let answer = talk(server.address, "GET /old HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("GET /old "), "{answer}");
}

#[tokio::test]
async fn unknown_methods_are_handled() {
    let server = serve_echo();
    let answer = talk(server.address, "BREW /pot HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("BREW /pot "), "{answer}");
}

#[tokio::test]
async fn rfc9110_10_1_1_a_client_that_expects_continue_gets_it_once_its_body_is_wanted() {
    let server = serve_echo();
    let mut stream = connect(server.address).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("write");
    assert_eq!(until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hi").await.expect("write");
    assert!(rest(&mut stream).await.ends_with("POST / hi"));
}

#[tokio::test]
async fn rfc9110_10_1_1_an_unknown_expectation_is_refused_with_417() {
    refused("POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 2\r\n\r\nhi", "417").await;
}

#[tokio::test]
async fn rfc9110_7_6_2_trace_with_no_forwards_left_is_answered_here() {
    let server = serve_echo();
    let request = "TRACE /t HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nCookie: secret\r\nConnection: close\r\n\r\n";
    let answer = talk(server.address, request).await;
    assert!(answer.contains("content-type: message/http\r\n"), "{answer}");
    assert!(answer.contains("TRACE /t HTTP/1.1\r\n") && !answer.contains("secret"), "{answer}");
    assert_eq!(server.handled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_on_the_same_port() {
    let server = serve_echo();
    let stream = TokioIo::new(connect(server.address).await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("handshake");
    tokio::spawn(connection);
    let request = Request::get("http://a.example/two").body(Empty::<Bytes>::new()).expect("request");
    let response = sender.send_request(request).await.expect("response");
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.into_body().collect().await.expect("body").to_bytes(), "GET http://a.example/two ");
}

#[tokio::test]
async fn rfc9112_4_a_status_without_a_phrase_is_given_none() {
    let server = serve(ServerOptions::default(), |_, _| async { Response::builder().status(299).body(Full::default()).expect("response") });
    let answer = talk(server.address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 299 \r\n"), "{answer}");
}

#[tokio::test]
async fn an_http2_preface_that_comes_in_pieces_is_recognised() {
    let server = serve_echo();
    let mut stream = connect(server.address).await;
    stream.set_nodelay(true).expect("nodelay");
    for piece in ["PRI * HT", "TP/2.0\r\n\r\n", "SM\r\n\r\n"] {
        stream.write_all(piece.as_bytes()).await.expect("write");
        stream.flush().await.expect("flush");
        tokio::task::yield_now().await;
    }
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("empty SETTINGS");
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.expect("frame");
    assert_eq!(frame[3], 4, "the first frame is SETTINGS");
}

#[tokio::test]
async fn rfc9110_15_2_early_hints_are_written_before_the_response() {
    let hinted = Arc::new(Notify::new());
    let go = Arc::clone(&hinted);
    let server = serve(ServerOptions::default(), move |request: Request<Incoming>, peer: Peer| {
        let go = Arc::clone(&go);
        async move {
            let early = peer.early_responses(request.version());
            let mut links = http::HeaderMap::new();
            links.insert("link", http::HeaderValue::from_static("</a.css>; rel=preload"));
            tokio::spawn(async move {
                if let Some(early) = early {
                    early.push(StatusCode::EARLY_HINTS, &links);
                }
            });
            go.notified().await;
            Response::new(Full::from("late"))
        }
    });
    let mut stream = connect(server.address).await;
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
        let early = until(&mut stream, "\r\n\r\n").await;
        assert_eq!(early, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
        hinted.notify_one();
        assert!(until(&mut stream, "late").await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[tokio::test]
async fn hints_that_come_after_the_response_are_dropped() {
    let (give, mut taken) = tokio::sync::mpsc::unbounded_channel();
    let server = serve(ServerOptions::default(), move |request: Request<Incoming>, peer: Peer| {
        if request.uri() == "/1" {
            give.send(peer.early_responses(request.version()).expect("HTTP/1.1")).expect("receiver");
        }
        echo(request, peer)
    });
    let mut stream = connect(server.address).await;
    stream.write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
    until(&mut stream, "GET /1 ").await;
    taken.recv().await.expect("sink").push(StatusCode::EARLY_HINTS, &http::HeaderMap::new());
    for target in ["/2", "/3"] {
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.expect("write");
        let answer = until(&mut stream, &format!("GET {target} ")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

/// A handler that says when it has begun and ends when it is told to.
fn serve_gated(options: ServerOptions) -> (Running, Arc<Notify>, Arc<Notify>) {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (signal, wait) = (Arc::clone(&begun), Arc::clone(&go));
    let server = serve(options, move |_, _| {
        let (signal, wait) = (Arc::clone(&signal), Arc::clone(&wait));
        async move {
            signal.notify_one();
            wait.notified().await;
            Response::new(Full::from("done"))
        }
    });
    (server, begun, go)
}

#[tokio::test]
async fn a_drain_lets_a_request_under_way_finish_and_accepts_no_other() {
    let (server, begun, go) = serve_gated(ServerOptions::default());
    let mut idle = connect(server.address).await;
    let mut busy = connect(server.address).await;
    busy.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
    begun.notified().await;
    server.stop.send(()).expect("running");
    assert_eq!(rest(&mut idle).await, "", "an idle connection closes at once");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    go.notify_one();
    let answer = rest(&mut busy).await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("done"), "{answer}");
    assert_eq!(server.ended.await.expect("ended"), Drained { aborted: 0 });
}

#[tokio::test]
async fn rfc9112_9_6_a_request_that_crosses_the_goodbye_is_answered_as_the_last() {
    let hour = Duration::from_secs(3600);
    let server = serve(ServerOptions { parting_time: hour, drain_timeout: 2 * hour, ..ServerOptions::default() }, echo);
    let (mut idle, mut fresh) = (connect(server.address).await, connect(server.address).await);
    let request = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    idle.write_all(request).await.expect("write");
    until(&mut idle, "GET /1 ").await;
    server.stop.send(()).expect("running");
    // Until the connection has heard of it.
    loop {
        idle.write_all(request).await.expect("write");
        if until(&mut idle, "GET /1 ").await.contains("connection: close\r\n") {
            break;
        }
    }
    assert_eq!(rest(&mut idle).await, "");
    fresh.write_all(request).await.expect("write");
    let answer = rest(&mut fresh).await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("GET /1 "), "{answer}");
    assert_eq!(server.ended.await.expect("ended"), Drained { aborted: 0 });
}

#[tokio::test]
async fn rfc9113_6_8_an_idle_http2_connection_is_told_to_go_at_once() {
    let hour = Duration::from_secs(3600);
    let server = serve(ServerOptions { parting_time: hour, drain_timeout: 2 * hour, ..ServerOptions::default() }, echo);
    let stream = TokioIo::new(connect(server.address).await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("handshake");
    let connection = tokio::spawn(connection);
    let request = Request::get("http://a.example/two").body(Empty::<Bytes>::new()).expect("request");
    sender.send_request(request).await.expect("response");
    server.stop.send(()).expect("running");
    connection.await.expect("task").expect("a clean end");
    assert_eq!(server.ended.await.expect("ended"), Drained { aborted: 0 });
}

#[tokio::test]
async fn a_drain_ends_in_time_whatever_a_request_does() {
    let options = ServerOptions { drain_timeout: Duration::from_millis(20), ..ServerOptions::default() };
    let (server, begun, _go) = serve_gated(options);
    let mut busy = connect(server.address).await;
    busy.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
    begun.notified().await;
    server.stop.send(()).expect("running");
    assert_eq!(server.ended.await.expect("ended"), Drained { aborted: 1 });
    assert_eq!(rest(&mut busy).await, "");
}

#[tokio::test]
async fn open_connections_are_counted() {
    let server = Server::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bind");
    let (address, connections) = (server.addresses().expect("addresses")[0], server.open_connections());
    tokio::spawn(server.serve(ServerOptions::default(), echo, std::future::pending()));
    let mut stream = connect(address).await;
    stream.write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
    until(&mut stream, "GET /1 ").await;
    assert_eq!(connections.count(), 1);
}

/// Bytes as they are sent by somebody else.
struct Relayed(tokio::sync::mpsc::UnboundedReceiver<Bytes>);

impl hyper::body::Body for Relayed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(hyper::body::Frame::data(bytes))))
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_and_an_idle_stream_is_not() {
    let (give, mut bodies) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bind");
    let (address, connections) = (server.addresses().expect("addresses")[0], server.open_connections());
    let options = ServerOptions { write_timeout: Duration::from_millis(50), ..ServerOptions::default() };
    let handler = move |_: Request<Incoming>, _: Peer| {
        let (sender, body) = tokio::sync::mpsc::unbounded_channel();
        give.send(sender).expect("receiver");
        async move { Response::new(Relayed(body)) }
    };
    tokio::spawn(server.serve(options, handler, std::future::pending()));
    let mut begin = async || {
        let mut stream = connect(address).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
        let body = bodies.recv().await.expect("a body");
        body.send("first".into()).expect("receiver");
        until(&mut stream, "first\r\n").await;
        (stream, body)
    };
    let (mut idle, events) = begin().await;
    let (_stuck, flood) = begin().await;
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    while flood.send(piece.clone()).is_ok() {
        tokio::task::yield_now().await;
    }
    while connections.count() > 1 {
        tokio::task::yield_now().await;
    }
    events.send("second".into()).expect("receiver");
    until(&mut idle, "second\r\n").await;
}

#[tokio::test]
async fn an_ipv6_address_is_listened_on_without_ipv4() {
    let Ok(server) = Server::bind(&["[::1]:0".parse().expect("address")]) else { return };
    let address = server.addresses().expect("addresses")[0];
    tokio::spawn(server.serve(ServerOptions::default(), echo, std::future::pending()));
    let answer = talk(address, "GET /6 HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("GET /6 "), "{answer}");
}

#[tokio::test]
async fn a_field_that_connection_names_is_gone_before_anyone_reads_it() {
    let server = serve(ServerOptions::default(), |request: Request<Incoming>, _| async move {
        let seen = request.headers().contains_key("accept-language");
        Response::new(Full::from(if seen { "seen" } else { "gone" }))
    });
    let request = "GET / HTTP/1.1\r\nHost: a\r\nAccept-Language: de\r\nConnection: accept-language, close\r\n\r\n";
    assert!(talk(server.address, request).await.ends_with("gone"));
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = serve_echo();
    let error = Server::bind(&[server.address]).expect_err("in use");
    assert_eq!(error.address, server.address);
    assert!(error.to_string().starts_with(&format!("cannot listen on {}: ", server.address)), "{error}");
}
