//! Requests as they reach an origin.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use larder_message::client::ClientConnection;
use larder_message::forward::OwnFields;
use larder_tower::{HeldBack, RequestBody};
use tokio::sync::mpsc;

use super::origin::{OK, get, options, origin, send, service};
use super::{failure, over_either_protocol};
use crate::{ClientContext, UpstreamError, UpstreamService};

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

struct WithTrailers(Option<Bytes>);

impl Body for WithTrailers {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = self.0.take().map(Frame::data).unwrap_or_else(|| {
            let mut trailers = HeaderMap::new();
            for name in ["x-sum", "cookie", "authorization", "x-forwarded-for", "connection", "x-named", "host", "x-role", "client-cert"] {
                trailers.insert(name, HeaderValue::from_static("1"));
            }
            Frame::trailers(trailers)
        });
        Poll::Ready(Some(Ok(frame)))
    }
}

#[tokio::test]
async fn rfc9110_6_5_1_trailers_of_a_request_are_filtered_as_its_fields_are_over_either_protocol() {
    let answer = |request: Request<Incoming>, _| async move {
        let trailers = request.into_body().collect().await.expect("body").trailers().cloned().unwrap_or_default();
        let names: Vec<_> = trailers.keys().map(|name| name.as_str().to_owned()).collect();
        Response::new(Full::new(Bytes::from(names.join(" "))))
    };
    for service in over_either_protocol(answer) {
        let body = RequestBody::new(WithTrailers(Some(Bytes::from_static(b"x"))));
        let named = "x-sum, cookie, authorization, x-forwarded-for, connection, x-named, host";
        let request = Request::post("/").header("host", "a").header("trailer", named).header("connection", "x-named");
        let request = request.extension(OwnFields([HeaderName::from_static("x-role")].into()));
        let response = send(&service, request.body(body).expect("request")).await.expect("response");
        assert_eq!(response.into_body().collect().await.expect("body").to_bytes(), "x-sum");
    }
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
    let never = |_, _| std::future::pending::<Response<Full<Bytes>>>();
    for service in over_either_protocol(never) {
        let request = Request::post("/").header("host", "a").body(RequestBody::new(Broken)).expect("request");
        let error = failure(&service, request).await;
        assert!(matches!(error, UpstreamError::RequestBody(_)), "{error:?}");
    }
}

struct Broken;

impl Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}

/// More of the same, without a length.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"hello")))))
    }
}

#[tokio::test]
async fn rfc9110_15_5_14_a_request_body_over_its_limit_is_too_large_over_either_protocol() {
    let never = |_, _| std::future::pending::<Response<Full<Bytes>>>();
    for service in over_either_protocol(never) {
        let body = RequestBody::new(Limited::new(Endless, 12));
        let request = Request::post("/").header("host", "a").body(body).expect("request");
        let error = failure(&service, request).await;
        assert!(matches!(error, UpstreamError::RequestTooLarge), "{error:?}");
    }
}

/// One byte, and then nothing more, without an end.
pub(super) struct Stalled(pub(super) bool);

impl Body for Stalled {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match std::mem::replace(&mut self.0, true) {
            false => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x"))))),
            true => Poll::Pending,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_has_to_send_its_content_at_the_rate_of_its_listener() {
    let hour = Duration::from_secs(3600);
    let address = origin(|_, mut connection| async move { connection.closed().await }).await;
    let mut options = options(&format!("http://{address}"));
    (options.config.first_byte_timeout, options.config.connect_timeout) = (hour, hour);
    let service = UpstreamService::new(options).expect("service");
    for (min_upload_rate, is_patient) in [(1, false), (0, true)] {
        let connection = ClientConnection { peer: [127, 0, 0, 1].into(), secure: false, version: http::Version::HTTP_11 };
        let body = RequestBody::new(Stalled(false));
        let mut request = Request::post("/").header("host", "a").header("transfer-encoding", "chunked").body(body).expect("request");
        request.extensions_mut().insert(ClientContext { connection, interim: None, min_upload_rate, observer: None });
        let outcome = tokio::time::timeout(hour / 2, failure(&service, request)).await;
        let is_stalled = matches!(outcome, Ok(UpstreamError::RequestStalled));
        assert_eq!((is_stalled, outcome.is_err()), (!is_patient, is_patient), "{outcome:?}");
    }
}

/// A service with one place, and a request whose content begins and does not go on.
fn with_stalled_content(address: SocketAddr) -> (UpstreamService, Request<RequestBody>) {
    let mut options = options(&format!("http://{address}"));
    (options.config.first_byte_timeout, options.config.connect_timeout) = (HOUR, HOUR);
    (options.config.limit.max_requests, options.config.limit.wait) = (1, 4 * HOUR);
    let request = Request::post("/").header("host", "a").header("content-length", "1000000").body(RequestBody::new(Stalled(false)));
    (UpstreamService::new(options).expect("service"), request.expect("request"))
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_sending_after_an_early_head_ends_the_exchange() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
        connection.closed().await;
    })
    .await;
    let (service, request) = with_stalled_content(address);
    let response = send(&service, request).await.expect("response");
    let outcome = tokio::time::timeout(2 * HOUR, response.into_body().collect()).await.expect("it ends");
    assert!(matches!(outcome, Err(UpstreamError::BodyBroken(_))), "{outcome:?}");
    tokio::time::timeout(HOUR, service.upstream().concurrency.acquire()).await.expect("the place is free again").expect("place");
}

#[tokio::test(start_paused = true)]
async fn content_that_is_still_sent_after_an_early_answer_keeps_its_place_and_has_to_end() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno").await;
        connection.closed().await;
    })
    .await;
    let (service, request) = with_stalled_content(address);
    let response = send(&service, request).await.expect("response");
    assert_eq!(response.into_body().collect().await.expect("body").to_bytes(), "no");
    let places = &service.upstream().concurrency;
    assert!(places.try_acquire().is_none(), "the content has it");
    tokio::time::timeout(2 * HOUR, places.acquire()).await.expect("the content is given up").expect("place");
}

#[tokio::test(start_paused = true)]
async fn an_answer_tells_for_how_long_its_request_waited_for_a_place() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send(OK).await;
    })
    .await;
    let mut options = options(&format!("http://{address}"));
    (options.config.limit.max_requests, options.config.limit.wait) = (1, HOUR);
    let service = UpstreamService::new(options).expect("service");
    let at_once = send(&service, get("/")).await.expect("response");
    assert!(at_once.extensions().get::<HeldBack>().is_none());
    let waiting = tokio::spawn({
        let service = service.clone();
        async move { send(&service, get("/")).await }
    });
    while service.pressure().waiting() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_secs(7)).await;
    drop(at_once);
    let waited = waiting.await.expect("it ran").expect("response");
    assert_eq!(waited.extensions().get::<HeldBack>().map(|held| held.0.as_secs()), Some(7));
}
