//! HTTP/2 on the same port.

use hyper::client::conn::http2::SendRequest;

use super::*;
use crate::http2::unsent::{MAX_UNSENT, PIECE};

/// A client and the task of its connection.
async fn handshake(address: SocketAddr) -> (SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(connect(address).await);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("handshake");
    (sender, tokio::spawn(connection))
}

#[tokio::test]
async fn http2_fields_that_are_too_large_are_refused_with_431() {
    let server = serve(ServerOptions { max_header_bytes: 96 * 1024, ..ServerOptions::default() }, echo);
    let (mut sender, _) = handshake(server.address).await;
    let request = Request::get("http://a.example/two").header("x", "a".repeat(100 * 1024)).body(Empty::<Bytes>::new()).expect("request");
    let response = sender.send_request(request).await.expect("response");
    assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(response.headers()["content-type"], "application/problem+json", "the library would say nothing");
    assert_eq!(server.handled.load(Ordering::SeqCst), 0);
}

/// One frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, u8::try_from(payload.len()).expect("short"), kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Reads frames until one of this kind with this flag; the kinds of all that came.
async fn frames_until(stream: &mut TcpStream, kind: u8, flag: u8) -> Vec<u8> {
    let mut kinds = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.expect("its payload");
        kinds.push(head[3]);
        if head[3] == kind && head[4] & flag != 0 {
            return kinds;
        }
    }
}

/// The other way of telling it, RST_STREAM with NO_ERROR (RFC 9113 §8.1), is a failed request to more than one client.
#[tokio::test]
async fn a_refused_http2_request_may_send_the_rest_of_its_content() {
    let (data, headers, rst_stream, settings, ping) = (0, 1, 3, 4, 6);
    let server = serve_echo();
    let mut stream = connect(server.address).await;
    // POST http://a.example/ with an expectation that cannot be met, as HPACK's static table has it (RFC 7541 appendix A).
    let fields = b"\x83\x86\x84\x41\x09a.example\x63\x01x";
    let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(settings, 0, 0, b""), frame(headers, 0x4, 1, fields)];
    stream.write_all(&opening.concat()).await.expect("write");
    let mut kinds = frames_until(&mut stream, data, 0x1).await;
    stream.write_all(&[frame(data, 0x1, 1, b"hello"), frame(ping, 0, 0, &[0; 8])].concat()).await.expect("write");
    kinds.extend(frames_until(&mut stream, ping, 0x1).await);
    assert!(!kinds.contains(&rst_stream), "{kinds:?}");
    assert_eq!(server.handled.load(Ordering::SeqCst), 0);
}

/// The library takes it for a clean end, and half an upload would reach the origin as a whole one.
#[tokio::test]
async fn rfc9113_8_1_content_whose_stream_is_reset_with_no_error_breaks_off() {
    let (data, headers, rst_stream, settings) = (0, 1, 3, 4);
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = serve(ServerOptions::default(), move |request: Request<Incoming>, _| {
        let tell = tell.clone();
        async move {
            let mut body = crate::lingering(request).into_body();
            while let Some(frame) = body.frame().await {
                tell.send(frame.map(|_| "data").map_err(|_| "broken")).expect("receiver");
            }
            tell.send(Ok("end")).expect("receiver");
            Response::new(Full::default())
        }
    });
    let mut stream = connect(server.address).await;
    let opening = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(settings, 0, 0, b""),
        frame(headers, 0x4, 1, b"\x83\x86\x84\x41\x09a.example"),
    ];
    stream.write_all(&opening.concat()).await.expect("write");
    stream.write_all(&frame(data, 0, 1, b"half")).await.expect("write");
    assert_eq!(told.recv().await, Some(Ok("data")));
    stream.write_all(&frame(rst_stream, 0, 1, &[0; 4])).await.expect("write");
    assert_eq!(told.recv().await, Some(Err("broken")));
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_on_the_same_port() {
    let server = serve_echo();
    let (mut sender, _) = handshake(server.address).await;
    let request = Request::get("http://a.example/two").body(Empty::<Bytes>::new()).expect("request");
    let response = sender.send_request(request).await.expect("response");
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.into_body().collect().await.expect("body").to_bytes(), "GET http://a.example/two ");
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
async fn rfc9113_6_8_an_idle_http2_connection_is_told_to_go_at_once() {
    let hour = Duration::from_secs(3600);
    let server = serve(ServerOptions { idle_close_delay: hour, drain_timeout: 2 * hour, ..ServerOptions::default() }, echo);
    let (mut sender, connection) = handshake(server.address).await;
    let request = Request::get("http://a.example/two").body(Empty::<Bytes>::new()).expect("request");
    sender.send_request(request).await.expect("response");
    server.stop.send(()).expect("running");
    connection.await.expect("task").expect("a clean end");
    assert_eq!(server.ended.await.expect("ended"), Drained { aborted: 0 });
}

fn get(target: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://a.example{target}")).body(Empty::new()).expect("request")
}

#[tokio::test]
async fn an_idle_http2_connection_is_told_to_go() {
    let server = serve(short(), echo);
    let (mut sender, connection) = handshake(server.address).await;
    sender.send_request(get("/two")).await.expect("response").into_body().collect().await.expect("body");
    connection.await.expect("task").expect("a clean end");
    // One whose client does not go is closed all the same, and so is one on which nothing was ever asked.
    let mut stream = connect(server.address).await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("write");
    let mut frames = Vec::new();
    stream.read_to_end(&mut frames).await.expect("the end");
    assert!(frames.windows(4).any(|head| head == [0, 0, 8, 7]), "no GOAWAY: {frames:?}");
}

#[tokio::test]
async fn an_http2_connection_with_a_request_under_way_is_not_idle() {
    let options = ServerOptions { idle_timeout: Duration::from_millis(50), ..ServerOptions::default() };
    let (address, connections, mut bodies) = serve_relayed(options);
    let (mut waiting, _) = handshake(address).await;
    let mut events = waiting.send_request(get("/events")).await.expect("response").into_body();
    let body = bodies.recv().await.expect("a body");
    // Another connection that is idle for as long ends.
    let (_idle, connection) = handshake(address).await;
    connection.await.expect("task").expect("a clean end");
    while connections.count() > 1 {
        tokio::task::yield_now().await;
    }
    body.send("still there".into()).expect("receiver");
    let frame = events.frame().await.expect("a frame").expect("no error");
    assert_eq!(frame.into_data().expect("data"), "still there");
}

/// Each of its streams would hold what stands behind it for as long as the client answers pings.
#[tokio::test]
async fn an_http2_stream_whose_client_takes_nothing_is_reset_and_an_idle_one_is_not() {
    let options = ServerOptions { write_timeout: Duration::from_millis(50), ..ServerOptions::default() };
    let (address, connections, mut bodies) = serve_relayed(options);
    let (mut sender, _connection) = handshake(address).await;
    let mut idle = sender.send_request(get("/idle")).await.expect("response").into_body();
    let events = bodies.recv().await.expect("a body");
    let stuck = sender.send_request(get("/stuck")).await.expect("response").into_body();
    let flood = bodies.recv().await.expect("a body");
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    while flood.send(piece.clone()).is_ok() {
        tokio::task::yield_now().await;
    }
    let error = stuck.collect().await.expect_err("it is reset");
    assert!(format!("{error:?}").contains("CANCEL"), "{error:?}");
    while connections.unsent() > 0 {
        tokio::task::yield_now().await;
    }
    events.send("event".into()).expect("receiver");
    assert_eq!(idle.frame().await.expect("a frame").expect("no error").into_data().expect("data"), "event");
}

/// Windows as large as the protocol has them, and a socket that is not read.
#[tokio::test]
async fn unsent_bytes_of_an_http2_connection_are_bounded_and_counted() {
    const STREAMS: usize = 8;
    let (settings, window_update, headers) = (4, 8, 1);
    let options = ServerOptions { write_timeout: Duration::from_millis(200), ..ServerOptions::default() };
    let (address, connections, mut bodies) = serve_relayed(options);
    let mut stream = connect(address).await;
    let largest = 0x7fff_ffff_u32.to_be_bytes();
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    opening.extend(frame(settings, 0, 0, &[&[0, 4][..], &largest].concat()));
    opening.extend(frame(window_update, 0, 0, &(0x7fff_ffff_u32 - 65_535).to_be_bytes()));
    for number in 0..STREAMS {
        // GET http://a.example/
        opening.extend(frame(headers, 0x5, u8::try_from(2 * number + 1).expect("few"), b"\x82\x86\x84\x41\x09a.example"));
    }
    stream.write_all(&opening).await.expect("write");
    let mut floods = Vec::new();
    for _ in 0..STREAMS {
        floods.push(bodies.recv().await.expect("a body"));
    }
    let (piece, mut max) = (Bytes::from(vec![b'x'; 256 * 1024]), 0);
    while !floods.is_empty() {
        floods.retain(|flood| flood.send(piece.clone()).is_ok());
        max = max.max(connections.unsent());
        tokio::task::yield_now().await;
    }
    assert!(max > (STREAMS * MAX_UNSENT / 2) as u64, "it holds a few frames ahead: {max}");
    assert!(max <= (STREAMS * (MAX_UNSENT + 2 * PIECE)) as u64, "{max} bytes are held");
    while connections.count() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(connections.unsent(), 0);
}

/// The preface, with an empty SETTINGS.
const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What is allowed between two ticks is allowed once.
fn unticking() -> ServerOptions {
    let hour = Duration::from_secs(3600);
    ServerOptions { header_read_timeout: hour, idle_timeout: hour, ..ServerOptions::default() }
}

/// Everything that the server sends until it closes, after `flood` was sent again and again.
async fn flood(server: &Running, flood: &[u8]) -> Vec<u8> {
    let (mut reading, mut writing) = connect(server.address).await.into_split();
    writing.write_all(OPENING).await.expect("write");
    let flood = flood.repeat(64);
    // It ends where the server closes.
    let flooding = tokio::spawn(async move { while writing.write_all(&flood).await.is_ok() {} });
    let mut received = Vec::new();
    // A client that still writes hears of the end by a reset, too.
    let _ended = reading.read_to_end(&mut received).await;
    flooding.abort();
    received
}

#[tokio::test]
async fn rfc9113_10_5_a_flood_of_control_frames_ends_its_connection_and_is_counted() {
    let server = serve(unticking(), echo);
    for (name, frame) in [("ping", frame(6, 0, 0, &[0; 8])), ("settings", frame(4, 0, 0, b"")), ("priority", frame(2, 0, 3, &[0; 5]))] {
        flood(&server, &frame).await;
        let count = server.http2_limits.by_limit().find(|(limit, _)| *limit == name);
        assert_eq!(count, Some((name, 1)));
    }
}

/// CVE-2023-44487.
#[tokio::test]
async fn requests_that_are_reset_at_once_again_and_again_end_their_connection() {
    let server = serve(unticking(), echo);
    let (mut reading, mut writing) = connect(server.address).await.into_split();
    writing.write_all(OPENING).await.expect("write");
    let flooding = tokio::spawn(async move {
        for stream in (1_u32..100_000).step_by(2) {
            let number = stream.to_be_bytes();
            let fields = b"\x82\x86\x84\x41\x09a.example";
            let length = u8::try_from(fields.len()).expect("short");
            let request = [&[0, 0, length, 1, 0x5], &number[..], fields].concat();
            let reset = [&[0, 0, 4, 3, 0], &number[..], &[0, 0, 0, 8]].concat();
            if writing.write_all(&[request, reset].concat()).await.is_err() {
                return;
            }
        }
        panic!("the server takes resets without end");
    });
    let mut received = Vec::new();
    let _ended = reading.read_to_end(&mut received).await;
    flooding.await.expect("the connection ends");
    let counted: u64 =
        server.http2_limits.by_limit().filter(|(limit, _)| matches!(*limit, "rst_stream" | "library")).map(|(_, count)| count).sum();
    assert!(counted > 0, "the library's limit or ours: {:?}", server.http2_limits.by_limit().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_beyond_max_streams_is_refused_and_counted() {
    let options = ServerOptions { max_streams: 2, ..ServerOptions::default() };
    let server = serve(options, |_, _| std::future::pending::<Response<Full<Bytes>>>());
    let mut stream = connect(server.address).await;
    let get = |stream: u8| frame(1, 0x5, stream, b"\x82\x86\x84\x41\x09a.example");
    stream.write_all(&[OPENING.to_vec(), get(1), get(3), get(5), frame(6, 0, 0, &[0; 8])].concat()).await.expect("write");
    let kinds = frames_until(&mut stream, 6, 0x1).await;
    assert!(kinds.contains(&3), "no RST_STREAM: {kinds:?}");
    assert_eq!(server.http2_limits.by_limit().find(|(limit, _)| *limit == "streams"), Some(("streams", 1)));
}
