//! The listener and an upstream together, without a cache between: what has to pass from one socket to the other.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use larder_semantics::Reason;
use larder_semantics::fields::is_upgrade;
use larder_tower::{CacheBody, RequestBody, Served};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower_service::Service;

use super::origin::{OK, origin, service};
use crate::{ClientContext, TunnelClient, UpstreamBody, UpstreamService};
use larder_server::{Peer, Server, ServerOptions};

type Passed = Either<CacheBody<UpstreamBody>, Full<Bytes>>;

async fn pass(mut upstream: UpstreamService, request: Request<Incoming>, peer: Peer) -> Response<Passed> {
    let method = request.method().clone();
    let connection = peer.client_connection(request.version());
    let result = if is_upgrade(request.version(), request.headers()) {
        upstream
            .upgrade(
                request,
                TunnelClient { connection, idle: peer.tunnel_idle(), first_byte_timeout: None, guard: Arc::new(peer), observer: None },
            )
            .await
    } else {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(ClientContext {
            connection,
            interim: peer.interim_responses(parts.version),
            min_upload_rate: peer.min_upload_rate(),
            observer: None,
        });
        upstream.call(Request::from_parts(parts, RequestBody::new(body))).await
    };
    match result {
        Ok(response) => Served::passed(response, Reason::RouteNotCached).response.map(Either::Left),
        Err(error) => error.problem().response(&method).map(|body| Either::Right(Full::new(body))),
    }
}

/// A listener in front of the origin at this address.
fn proxy(origin: SocketAddr) -> SocketAddr {
    let server = Server::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bind");
    let address = server.addresses().expect("addresses")[0];
    let upstream = service(origin);
    let handler = move |request, peer| pass(upstream.clone(), request, peer);
    tokio::spawn(server.serve(ServerOptions::default(), handler, std::future::pending()));
    address
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("connect")
}

async fn talk(address: SocketAddr, bytes: &str) -> String {
    let mut stream = connect(address).await;
    stream.write_all(bytes.as_bytes()).await.expect("write");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("read");
    text
}

async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(stream.read_u8().await.expect("more"));
    }
    String::from_utf8(text).expect("UTF-8")
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn the_origin_learns_the_client() {
    let (seen, mut heads) = mpsc::unbounded_channel();
    let address = origin(move |_, mut connection| {
        let seen = seen.clone();
        async move {
            seen.send(connection.head().await).expect("receiver");
            connection.send(OK).await;
        }
    })
    .await;
    talk(proxy(address), "GET / HTTP/1.0\r\nHost: a.example\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n").await;
    let head = heads.recv().await.expect("head");
    assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-forwarded-for: 127.0.0.1\r\n") && head.contains("via: 1.0 larder\r\n"), "{head}");
}

#[tokio::test]
async fn a_body_cut_by_the_origin_is_cut_for_the_client() {
    for begun in
        ["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"]
    {
        let address = origin(move |_, mut connection| async move {
            connection.head().await;
            connection.send(begun).await;
        })
        .await;
        let answer = talk(proxy(address), GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let complete = answer.ends_with("\r\n0\r\n\r\n") || answer.contains("content-length: 5\r\n");
        assert!(!complete, "it looks complete: {answer}");
    }
}

#[tokio::test]
async fn an_origin_that_is_gone_is_a_problem_without_its_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let answer = talk(proxy(address), GET).await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    assert!(answer.contains("proxy-status: larder; error=connection_refused\r\n"), "{answer}");
    assert!(!answer.contains(&address.port().to_string()) && !answer.contains("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn rfc9110_15_2_early_hints_of_the_origin_reach_an_http_1_1_client_before_the_response() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n").await;
        // The response comes only after the client says that it has seen the hints.
        connection.until("\r\n\r\n").await;
        connection.send(OK).await;
    })
    .await;
    let mut stream = connect(proxy(address)).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("write");
    let early = until(&mut stream, "\r\n\r\n").await;
    assert_eq!(early, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
    stream.write_all(b"\r\n\r\n").await.expect("write");
    assert!(until(&mut stream, "\r\n\r\nok").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

/// Back to back they are read at once, and the final response is there before the first of them was written.
#[tokio::test]
async fn rfc9110_15_2_informational_responses_that_come_with_the_final_one_are_not_lost() {
    let address = origin(|_, mut connection| async move {
        while connection.head().await.ends_with("\r\n\r\n") {
            let early = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n";
            connection.send(&format!("HTTP/1.1 100 Continue\r\n\r\n{early}{OK}")).await;
        }
    })
    .await;
    let mut stream = connect(proxy(address)).await;
    for _ in 0..20 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
        let answer = until(&mut stream, "\r\n\r\nok").await;
        let early = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n";
        assert!(answer.starts_with(&format!("{early}HTTP/1.1 200 OK\r\n")), "{answer}");
    }
}

#[tokio::test]
async fn trailers_reach_a_client_that_takes_them() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        let response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
        connection.send(response).await;
    })
    .await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n";
    let answer = talk(proxy(address), request).await;
    assert!(answer.ends_with("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn trailers_of_a_request_reach_the_origin() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let address = origin(move |_, mut connection| {
        let seen = seen.clone();
        async move {
            let head = connection.head().await;
            seen.send((head, connection.until("\r\n\r\n").await)).expect("receiver");
            connection.send(OK).await;
        }
    })
    .await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nConnection: close\r\n\r\n";
    talk(proxy(address), &format!("{head}2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n")).await;
    let (_, body) = requests.recv().await.expect("request");
    assert_eq!(body, "2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n");
}

#[tokio::test]
async fn a_response_to_head_keeps_its_length_and_has_no_body() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
        connection.closed().await;
    })
    .await;
    let answer = talk(proxy(address), "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn an_http_1_0_origin_that_ends_by_closing_is_complete() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.0 200 OK\r\n\r\nold").await;
    })
    .await;
    let answer = talk(proxy(address), GET).await;
    assert!(answer.contains("via: 1.0 larder\r\n") && answer.ends_with("3\r\nold\r\n0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn an_http2_client_is_served_by_an_http_1_1_origin() {
    let (seen, mut heads) = mpsc::unbounded_channel();
    let address = origin(move |_, mut connection| {
        let seen = seen.clone();
        async move {
            seen.send(connection.head().await).expect("receiver");
            connection.send(OK).await;
        }
    })
    .await;
    let stream = TokioIo::new(connect(proxy(address)).await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("handshake");
    tokio::spawn(connection);
    let request = Request::get("http://a.example/two?x").body(Full::<Bytes>::default()).expect("request");
    let response = sender.send_request(request).await.expect("response");
    assert_eq!(response.into_body().collect().await.expect("body").to_bytes(), "ok");
    let head = heads.recv().await.expect("head");
    assert!(head.starts_with("GET /two?x HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: a.example\r\n") && head.contains("via: 2 larder\r\n"), "{head}");
}

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn rfc9110_10_1_1_content_is_asked_of_the_client_only_when_the_origin_wants_it() {
    let address = origin(|_, mut connection| async move {
        let head = connection.head().await;
        assert!(head.contains("expect: 100-continue\r\n"), "{head}");
        connection.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        connection.until("hi").await;
        connection.send(OK).await;
    })
    .await;
    let mut stream = connect(proxy(address)).await;
    stream.write_all(EXPECTING.as_bytes()).await.expect("write");
    assert_eq!(until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hi").await.expect("write");
    assert!(until(&mut stream, "\r\n\r\nok").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn rfc9110_10_1_1_an_origin_that_declines_gets_no_content() {
    let (seen, mut contents) = mpsc::unbounded_channel();
    let address = origin(move |_, mut connection| {
        let seen = seen.clone();
        async move {
            connection.head().await;
            connection.send("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno").await;
            seen.send(connection.until("until it closes").await).expect("receiver");
        }
    })
    .await;
    let answer = talk(proxy(address), EXPECTING).await;
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n") && answer.ends_with("\r\n\r\nno"), "{answer}");
    assert_eq!(contents.recv().await.as_deref(), Some(""));
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";

#[tokio::test]
async fn rfc9110_7_8_an_upgrade_becomes_a_tunnel_that_ends_with_either_side() {
    let (seen, mut events) = mpsc::unbounded_channel();
    let address = origin(move |_, mut connection| {
        let seen = seen.clone();
        async move {
            seen.send(connection.head().await).expect("receiver");
            connection.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello").await;
            seen.send(connection.until("ping").await).expect("receiver");
            connection.send("pong").await;
            connection.closed().await;
            seen.send("closed".to_owned()).expect("receiver");
        }
    })
    .await;
    let mut stream = connect(proxy(address)).await;
    stream.write_all(UPGRADE.as_bytes()).await.expect("write");
    let head = until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains("upgrade: websocket\r\n"), "{head}");
    until(&mut stream, "hello").await;
    let head = events.recv().await.expect("head");
    assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("sec-websocket-key: k\r\n") && head.starts_with("GET /chat HTTP/1.1\r\n"), "{head}");
    stream.write_all(b"ping").await.expect("write");
    until(&mut stream, "pong").await;
    drop(stream);
    assert_eq!(events.recv().await.as_deref(), Some("ping"));
    assert_eq!(events.recv().await.as_deref(), Some("closed"));
}

#[tokio::test]
async fn an_upgrade_that_the_origin_declines_is_an_ordinary_response() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    })
    .await;
    let mut stream = connect(proxy(address)).await;
    stream.write_all(UPGRADE.as_bytes()).await.expect("write");
    assert!(until(&mut stream, "\r\n\r\nno").await.starts_with("HTTP/1.1 403 Forbidden\r\n"));
}
