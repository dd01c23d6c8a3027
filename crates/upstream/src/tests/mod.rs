//! Exchanges with an origin over a raw socket.

mod http2;
pub(crate) mod origin;
mod through;
mod tls;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use larder_tower::RequestBody;
use tokio::sync::{Notify, mpsc};

use larder_server::{Server, ServerOptions};
use origin::{OK, get, options, origin, send, service};

use larder_message::OriginOutcome;

use crate::{OriginObserver, UpstreamError, UpstreamOptions, UpstreamService};

pub(crate) async fn failure(service: &UpstreamService, request: Request<RequestBody>) -> UpstreamError {
    send(service, request).await.map(|response| response.status()).expect_err("should fail")
}

/// Lets the pool take back the connection of an exchange that is over.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn path_and_query_reach_the_origin_byte_for_byte() {
    let (seen, mut heads) = mpsc::unbounded_channel();
    let address = origin(move |_, mut connection| {
        let seen = seen.clone();
        async move {
            seen.send(connection.head().await).expect("receiver");
            connection.send(OK).await;
        }
    })
    .await;
    send(&service(address), get("/a//b/../%7e%2F?x=%20&&y=[]|'&x")).await.expect("response");
    let head = heads.recv().await.expect("head");
    assert!(head.starts_with("GET /a//b/../%7e%2F?x=%20&&y=[]|'&x HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("host: a.example\r\n"), "{head}");
    assert!(head.contains("via: 1.1 larder\r\n"), "{head}");
}

#[tokio::test]
async fn a_response_gets_date_and_via() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send(OK).await;
    })
    .await;
    let response = send(&service(address), get("/")).await.expect("response");
    assert_eq!(response.headers()["date"], "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(response.headers()["via"], "1.1 larder");
    assert_eq!(response.into_body().collect().await.expect("body").to_bytes(), "ok");
}

#[tokio::test]
async fn an_origin_that_is_not_there_has_refused() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let error = failure(&service(address), get("/")).await;
    assert!(matches!(error, UpstreamError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_error() {
    let service = UpstreamService::new(options("http://nowhere.invalid:1")).expect("service");
    let error = failure(&service, get("/")).await;
    assert!(matches!(error, UpstreamError::Dns(_) | UpstreamError::ConnectTimeout(_)), "{error:?}");
}

#[tokio::test]
async fn an_origin_that_is_silent_has_timed_out() {
    let address = origin(|_, mut connection| async move { connection.closed().await }).await;
    let mut options = options(&format!("http://{address}"));
    options.config.first_byte_timeout = Duration::from_millis(20);
    let error = failure(&UpstreamService::new(options).expect("service"), get("/")).await;
    assert!(matches!(error, UpstreamError::FirstByteTimeout), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_ends_without_a_response_is_a_reset_and_a_fresh_one_is_not_retried() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
    })
    .await;
    let service = service(address);
    let error = failure(&service, get("/")).await;
    assert!(matches!(error, UpstreamError::Reset(_)), "{error:?}");
    assert_eq!(service.stats().connections_total(), 1);
}

#[tokio::test]
async fn rubbish_is_a_protocol_error() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
        connection.closed().await;
    })
    .await;
    let error = failure(&service(address), get("/")).await;
    assert!(matches!(error, UpstreamError::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn rfc9110_7_8_switching_protocols_without_being_asked_is_a_protocol_error() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await;
        connection.closed().await;
    })
    .await;
    let error = failure(&service(address), get("/")).await;
    assert!(matches!(error, UpstreamError::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn rfc9112_3_2_4_options_for_the_server_as_a_whole_keeps_its_asterisk() {
    let (seen, mut heads) = mpsc::unbounded_channel();
    let address = origin(move |_, mut connection| {
        let seen = seen.clone();
        async move {
            seen.send(connection.head().await).expect("receiver");
            connection.send(OK).await;
        }
    })
    .await;
    let mut request = get("*");
    *request.method_mut() = Method::OPTIONS;
    send(&service(address), request).await.expect("response");
    let head = heads.recv().await.expect("head");
    assert!(head.starts_with("OPTIONS * HTTP/1.1\r\n"), "{head}");
}

/// Services for one origin, first over HTTP/1.1, then over HTTP/2.
pub(crate) fn over_either_protocol<H, F>(answer: H) -> [UpstreamService; 2]
where
    H: Fn(Request<hyper::body::Incoming>, larder_server::Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = http::Response<Full<Bytes>>> + Send + 'static,
{
    let server = Server::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bind");
    let address = server.addresses().expect("addresses")[0];
    tokio::spawn(server.serve(ServerOptions::default(), answer, std::future::pending()));
    [false, true].map(|h2c| {
        let mut options = options(&format!("http://{address}"));
        options.config.h2c = h2c;
        UpstreamService::new(options).expect("service")
    })
}

struct WithTrailers(Option<Bytes>);

impl http_body::Body for WithTrailers {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        let frame = self.0.take().map(http_body::Frame::data).unwrap_or_else(|| {
            let mut trailers = http::HeaderMap::new();
            for name in ["x-sum", "cookie", "authorization", "x-forwarded-for", "connection", "x-named", "host"] {
                trailers.insert(name, http::HeaderValue::from_static("1"));
            }
            http_body::Frame::trailers(trailers)
        });
        std::task::Poll::Ready(Some(Ok(frame)))
    }
}

#[tokio::test]
async fn rfc9110_6_5_1_trailers_of_a_request_are_filtered_as_its_fields_are_over_either_protocol() {
    let answer = |request: Request<hyper::body::Incoming>, _| async move {
        let trailers = request.into_body().collect().await.expect("body").trailers().cloned().unwrap_or_default();
        let names: Vec<_> = trailers.keys().map(|name| name.as_str().to_owned()).collect();
        http::Response::new(Full::new(Bytes::from(names.join(" "))))
    };
    for service in over_either_protocol(answer) {
        let body = RequestBody::new(WithTrailers(Some(Bytes::from_static(b"x"))));
        let named = "x-sum, cookie, authorization, x-forwarded-for, connection, x-named, host";
        let request = Request::post("/").header("host", "a").header("trailer", named).header("connection", "x-named");
        let response = send(&service, request.body(body).expect("request")).await.expect("response");
        assert_eq!(response.into_body().collect().await.expect("body").to_bytes(), "x-sum");
    }
}

/// Answers the first request of the first connection, and drops that connection once the second has arrived on it.
async fn closes_when_reused() -> UpstreamService {
    let address = origin(|number, mut connection| async move {
        connection.head().await;
        connection.send(OK).await;
        connection.head().await;
        if number > 0 {
            connection.send(OK).await;
        }
    })
    .await;
    let service = service(address);
    let first = send(&service, get("/")).await.expect("response");
    first.into_body().collect().await.expect("body");
    settle().await;
    service
}

#[tokio::test]
async fn rfc9110_9_2_2_a_safe_request_on_a_reused_connection_that_died_is_sent_once_more() {
    let service = closes_when_reused().await;
    let response = send(&service, get("/")).await.expect("response");
    assert_eq!(response.status(), 200);
    assert_eq!((service.stats().connections_total(), service.stats().retries_total()), (2, 1));
}

/// Two connections answer one request each, and die when a second one comes. Later ones answer.
#[tokio::test]
async fn rfc9110_9_2_2_what_is_sent_once_more_goes_out_on_a_new_connection() {
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let address = origin(move |number, mut connection| {
        let both = Arc::clone(&both);
        async move {
            connection.head().await;
            if number < 2 {
                both.wait().await;
            }
            connection.send(OK).await;
            connection.head().await;
        }
    })
    .await;
    let service = service(address);
    let whole = async || send(&service, get("/")).await.expect("response").into_body().collect().await.expect("body");
    tokio::join!(whole(), whole());
    settle().await;
    whole().await;
    assert_eq!((service.stats().connections_total(), service.stats().retries_total()), (3, 1));
}

#[tokio::test]
async fn rfc9110_9_2_2_an_unsafe_request_is_never_sent_twice() {
    let service = closes_when_reused().await;
    let mut request = get("/");
    *request.method_mut() = Method::POST;
    let error = failure(&service, request).await;
    assert!(matches!(error, UpstreamError::Reset(_)), "{error:?}");
    assert_eq!((service.stats().connections_total(), service.stats().retries_total()), (1, 0));
}

#[tokio::test]
async fn a_request_that_got_the_beginning_of_a_response_is_not_sent_twice() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send(OK).await;
        connection.head().await;
        connection.send("HTTP/1.1 200 O").await;
    })
    .await;
    let service = service(address);
    send(&service, get("/")).await.expect("response").into_body().collect().await.expect("body");
    settle().await;
    let error = failure(&service, get("/")).await;
    assert!(matches!(error, UpstreamError::Reset(_)), "{error:?}");
    assert_eq!(service.stats().retries_total(), 0);
}

#[tokio::test]
async fn rfc9112_8_a_body_that_breaks_off_is_an_error_and_never_a_clean_end() {
    for begun in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ] {
        let address = origin(move |_, mut connection| async move {
            connection.head().await;
            connection.send(begun).await;
        })
        .await;
        let mut body = send(&service(address), get("/")).await.expect("response").into_body();
        assert_eq!(body.frame().await.expect("frame").expect("data").into_data().expect("data"), "hello");
        let end = body.frame().await.expect("not a clean end");
        assert!(matches!(end, Err(UpstreamError::BodyBroken(_))), "{begun}: {end:?}");
    }
}

#[tokio::test]
async fn the_first_byte_comes_before_the_last() {
    let go = Arc::new(Notify::new());
    let origin_go = Arc::clone(&go);
    let address = origin(move |_, mut connection| {
        let go = Arc::clone(&origin_go);
        async move {
            connection.head().await;
            connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
            go.notified().await;
            connection.send("4\r\nlast\r\n0\r\n\r\n").await;
        }
    })
    .await;
    let service = service(address);
    let mut body = send(&service, get("/")).await.expect("response").into_body();
    assert_eq!(body.frame().await.expect("frame").expect("data").into_data().expect("data"), "first");
    assert_eq!(service.stats().requests_in_flight(), 1);
    go.notify_one();
    assert_eq!(body.collect().await.expect("rest").to_bytes(), "last");
    assert_eq!(service.stats().requests_in_flight(), 0);
}

#[tokio::test]
async fn rfc9110_6_5_trailers_pass() {
    let (seen, mut heads) = mpsc::unbounded_channel();
    let address = origin(move |_, mut connection| {
        let seen = seen.clone();
        async move {
            seen.send(connection.head().await).expect("receiver");
            let response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
            connection.send(response).await;
        }
    })
    .await;
    let mut request = get("/");
    request.headers_mut().insert("te", http::HeaderValue::from_static("trailers"));
    let response = send(&service(address), request).await.expect("response");
    assert_eq!(response.headers()["trailer"], "x-sum");
    let whole = response.into_body().collect().await.expect("body");
    assert_eq!(whole.trailers().expect("trailers")["x-sum"], "7");
    let head = heads.recv().await.expect("head");
    assert!(head.contains("te: trailers\r\n") && head.contains("connection: te\r\n"), "{head}");
}

#[tokio::test]
async fn a_request_body_streams_to_the_origin() {
    let (seen, mut bodies) = mpsc::unbounded_channel();
    let address = origin(move |_, mut connection| {
        let seen = seen.clone();
        async move {
            let head = connection.head().await;
            seen.send((head, connection.until("hello").await)).expect("receiver");
            connection.send(OK).await;
        }
    })
    .await;
    let body = RequestBody::new(Full::new(Bytes::from_static(b"hello")));
    let request = Request::post("/").header("host", "a").body(body).expect("request");
    send(&service(address), request).await.expect("response");
    let (head, body) = bodies.recv().await.expect("request");
    assert!(head.contains("content-length: 5\r\n"), "{head}");
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn a_request_body_that_fails_is_the_clients_fault() {
    let never = |_, _| std::future::pending::<http::Response<Full<Bytes>>>();
    for service in over_either_protocol(never) {
        let request = Request::post("/").header("host", "a").body(RequestBody::new(Broken)).expect("request");
        let error = failure(&service, request).await;
        assert!(matches!(error, UpstreamError::RequestBody(_)), "{error:?}");
    }
}

struct Broken;

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}

/// More of the same, without a length.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"hello")))))
    }
}

#[tokio::test]
async fn rfc9110_15_5_14_a_request_body_over_its_limit_is_too_large_over_either_protocol() {
    let never = |_, _| std::future::pending::<http::Response<Full<Bytes>>>();
    for service in over_either_protocol(never) {
        let body = RequestBody::new(Limited::new(Endless, 12));
        let request = Request::post("/").header("host", "a").body(body).expect("request");
        let error = failure(&service, request).await;
        assert!(matches!(error, UpstreamError::RequestTooLarge), "{error:?}");
    }
}

#[derive(Default)]
struct Recorder(Mutex<Vec<(usize, OriginOutcome)>>);

impl OriginObserver for Recorder {
    fn answered(&self, upstream: usize, outcome: OriginOutcome, _elapsed: Duration) {
        self.0.lock().expect("lock").push((upstream, outcome));
    }
}

#[tokio::test]
async fn an_observer_is_told_of_answers_and_failures() {
    let address = origin(|number, mut connection| async move {
        connection.head().await;
        if number == 0 {
            connection.send("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
        }
    })
    .await;
    let recorder = Arc::new(Recorder::default());
    let mut options = options(&format!("http://{address}"));
    options.index = 3;
    options.observer = Some(Arc::clone(&recorder) as Arc<dyn OriginObserver>);
    let service = UpstreamService::new(options).expect("service");
    send(&service, get("/")).await.expect("response");
    settle().await;
    failure(&service, get("/")).await;
    let told = recorder.0.lock().expect("lock").clone();
    let expected = [(3, OriginOutcome::Answered(http::StatusCode::NOT_FOUND)), (3, OriginOutcome::Failed("connection_terminated"))];
    assert_eq!(told, expected);
}

/// Yields until `condition` holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let soon = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), soon).await.expect("it never came to that");
}

async fn keeps_alive() -> UpstreamOptions {
    let address = origin(|_, mut connection| async move {
        while !connection.head().await.is_empty() {
            connection.send(OK).await;
        }
    })
    .await;
    options(&format!("http://{address}"))
}

#[tokio::test]
async fn a_connection_is_used_again_when_its_body_was_read() {
    let service = UpstreamService::new(keeps_alive().await).expect("service");
    for _ in 0..3 {
        send(&service, get("/")).await.expect("response").into_body().collect().await.expect("body");
    }
    assert_eq!(service.stats().connections_total(), 1);
}

#[tokio::test]
async fn a_connection_whose_body_was_not_read_is_not_used_again() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok").await;
        connection.closed().await;
    })
    .await;
    let service = service(address);
    drop(send(&service, get("/")).await.expect("response"));
    until(|| service.stats().connections_open() == 0).await;
    send(&service, get("/")).await.expect("response");
    assert_eq!(service.stats().connections_total(), 2);
}

#[tokio::test]
async fn a_connection_whose_body_came_with_its_head_is_used_again_whoever_reads_it() {
    let service = UpstreamService::new(keeps_alive().await).expect("service");
    drop(send(&service, get("/")).await.expect("response"));
    send(&service, get("/")).await.expect("response");
    assert_eq!(service.stats().connections_total(), 1);
}

#[tokio::test]
async fn an_exchange_with_content_gives_its_connection_back_too() {
    let address = origin(|_, mut connection| async move {
        while !connection.until("hello").await.is_empty() {
            connection.send(OK).await;
        }
    })
    .await;
    let service = service(address);
    for _ in 0..3 {
        let body = RequestBody::new(Full::new(Bytes::from_static(b"hello")));
        let request = Request::post("/").header("host", "a").body(body).expect("request");
        send(&service, request).await.expect("response").into_body().collect().await.expect("body");
        settle().await;
    }
    assert_eq!(service.stats().connections_total(), 1);
}

#[tokio::test]
async fn an_unused_connection_ends_after_a_while() {
    let mut options = keeps_alive().await;
    options.config.idle_timeout = Duration::from_millis(20);
    let service = UpstreamService::new(options).expect("service");
    for round in 1..=2 {
        send(&service, get("/")).await.expect("response").into_body().collect().await.expect("body");
        until(|| service.stats().connections_open() == 0).await;
        assert_eq!(service.stats().connections_total(), round);
    }
}

#[tokio::test]
async fn no_more_unused_connections_are_kept_than_allowed() {
    let mut options = keeps_alive().await;
    options.config.max_idle = 1;
    let service = UpstreamService::new(options).expect("service");
    let (one, two) = tokio::join!(send(&service, get("/")), send(&service, get("/")));
    assert_eq!((one.is_ok(), two.is_ok()), (true, true));
    assert_eq!(service.stats().connections_total(), 2);
    until(|| service.stats().connections_open() == 1).await;
}
