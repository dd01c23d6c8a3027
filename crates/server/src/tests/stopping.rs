//! Ends of connections: with the server, or with a client that takes nothing.

use super::*;

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
    let server = serve(ServerOptions { idle_close_delay: hour, drain_timeout: 2 * hour, ..ServerOptions::default() }, echo);
    let (mut idle, mut fresh) = (connect(server.address).await, connect(server.address).await);
    let request = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    idle.write_all(request).await.expect("write");
    until(&mut idle, "GET /1 ").await;
    server.stop.send(()).expect("running");
    // Until the connection has seen that the server stops.
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
async fn a_client_that_takes_nothing_is_cut_and_an_idle_stream_is_not() {
    let options = ServerOptions { write_timeout: Duration::from_millis(50), ..ServerOptions::default() };
    let (address, connections, mut bodies) = serve_relayed(options);
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
