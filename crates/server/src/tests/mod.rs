//! The listener over real sockets, mostly raw ones: what matters here is what a well-behaved client library would never send.

mod http2;
mod http2_errors;
mod http2_hits;
mod refusing;
mod stopping;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Drained, Http2Limits, OpenConnections, Peer, Server, ServerOptions};

/// A server whose handler tells what it was given.
struct Running {
    address: SocketAddr,
    handled: Arc<AtomicUsize>,
    http2_limits: Http2Limits,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

fn serve<H, F>(options: ServerOptions, handler: H) -> Running
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let server = Server::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bind");
    let (address, http2_limits) = (server.addresses().expect("addresses")[0], server.http2_limits());
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
    Running { address, handled, http2_limits, stop, ended }
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
    ServerOptions { header_read_timeout: Duration::from_millis(50), idle_timeout: Duration::from_millis(50), ..ServerOptions::default() }
}

/// Bytes that a test sends piece by piece.
struct Relayed(mpsc::UnboundedReceiver<Bytes>);

impl hyper::body::Body for Relayed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(hyper::body::Frame::data(bytes))))
    }
}

/// A server whose handler answers with bodies that the receiver gives.
fn serve_relayed(options: ServerOptions) -> (SocketAddr, OpenConnections, mpsc::UnboundedReceiver<mpsc::UnboundedSender<Bytes>>) {
    let (give, bodies) = mpsc::unbounded_channel();
    let server = Server::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bind");
    let (address, connections) = (server.addresses().expect("addresses")[0], server.open_connections());
    let handler = move |_: Request<Incoming>, _: Peer| {
        let (sender, body) = mpsc::unbounded_channel();
        give.send(sender).expect("receiver");
        async move { Response::new(Relayed(body)) }
    };
    tokio::spawn(server.serve(options, handler, std::future::pending()));
    (address, connections, bodies)
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

#[tokio::test]
async fn chunked_alone_is_handled() {
    let server = serve_echo();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert!(talk(server.address, request).await.ends_with("POST / hi"));
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
async fn rfc9110_7_6_2_trace_with_no_forwards_left_is_answered_here() {
    let server = serve_echo();
    let request = "TRACE /t HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nCookie: secret\r\nConnection: close\r\n\r\n";
    let answer = talk(server.address, request).await;
    assert!(answer.contains("content-type: message/http\r\n"), "{answer}");
    assert!(answer.contains("TRACE /t HTTP/1.1\r\n") && !answer.contains("secret"), "{answer}");
    assert_eq!(server.handled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn rfc9112_4_a_status_without_a_phrase_is_given_none() {
    let server = serve(ServerOptions::default(), |_, _| async { Response::builder().status(299).body(Full::default()).expect("response") });
    let answer = talk(server.address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 299 \r\n"), "{answer}");
}

#[tokio::test]
async fn rfc9110_15_2_early_hints_are_written_before_the_response() {
    let hinted = Arc::new(Notify::new());
    let go = Arc::clone(&hinted);
    let server = serve(ServerOptions::default(), move |request: Request<Incoming>, peer: Peer| {
        let go = Arc::clone(&go);
        async move {
            let early = peer.interim_responses(request.version());
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
            give.send(peer.interim_responses(request.version()).expect("HTTP/1.1")).expect("receiver");
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

#[tokio::test]
async fn an_ipv6_address_is_listened_on_without_ipv4() {
    let server = Server::bind(&["[::1]:0".parse().expect("address")]).expect("this test needs a machine with an IPv6 loopback address");
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
