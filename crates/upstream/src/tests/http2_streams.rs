//! The streams of one connection of HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use http_body_util::BodyExt;
use larder_tower::RequestBody;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::origin::{get, h2c_options, send};
use super::requests::Stalled;
use crate::{UpstreamError, UpstreamService};

/// An origin that answers each request as told, in a task of its own.
async fn streams<F>(answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static) -> UpstreamService
where
    F: Future<Output = ()> + Send + 'static,
{
    at_most(100, answer).await
}

/// The same with so many streams on a connection.
async fn at_most<F>(max: u32, answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static) -> UpstreamService
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut builder = h2::server::Builder::new();
                let mut connection = builder.max_concurrent_streams(max).handshake(stream).await.expect("handshake");
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(answer(request, respond));
                }
            });
        }
    });
    UpstreamService::new(h2c_options(&format!("http://{address}"))).expect("service")
}

/// hyper takes it for a clean end, since an origin that has answered may stop an upload with that code.
#[tokio::test]
async fn rfc9113_8_1_a_body_that_breaks_off_with_no_error_is_an_error_and_never_a_clean_end() {
    let go = Arc::new(Notify::new());
    let origin_go = Arc::clone(&go);
    let answer = move |_, mut respond: SendResponse<Bytes>| {
        let go = Arc::clone(&origin_go);
        async move {
            let mut body = respond.send_response(Response::new(()), false).expect("head");
            body.send_data(Bytes::from_static(b"half"), false).expect("data");
            go.notified().await;
            body.send_reset(Reason::NO_ERROR);
        }
    };
    let mut body = send(&streams(answer).await, get("/")).await.expect("response").into_body();
    assert_eq!(body.frame().await.expect("frame").expect("data").into_data().expect("data"), "half");
    go.notify_one();
    let end = body.frame().await.expect("not a clean end");
    assert!(matches!(end, Err(UpstreamError::BodyBroken(_))), "{end:?}");
}

/// "A server can send a complete response prior to the client sending an entire request", and then stops the upload with NO_ERROR.
#[tokio::test]
async fn rfc9113_8_1_a_whole_answer_that_stops_an_upload_is_whole() {
    let answer = |request: Request<RecvStream>, mut respond: SendResponse<Bytes>| async move {
        let mut body = respond.send_response(Response::new(()), false).expect("head");
        body.send_data(Bytes::from_static(b"whole"), true).expect("data");
        // h2 resets a stream whose request nobody reads any more.
        drop(request);
    };
    let request = Request::post("/").body(RequestBody::new(Stalled(false))).expect("request");
    let body = send(&streams(answer).await, request).await.expect("response").into_body();
    assert_eq!(body.collect().await.expect("whole").to_bytes(), "whole");
}

/// Four MiB for `/long`, and little else. The stream of `/open` never ends.
async fn by_path(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut body = respond.send_response(Response::new(()), false).expect("head");
    match request.uri().path() {
        "/long" => body.send_data(vec![b'x'; 4 << 20].into(), true).expect("data"),
        "/open" => {
            body.send_data(Bytes::from_static(b"x"), false).expect("data");
            std::future::pending().await
        }
        _ => body.send_data(vec![b'x'; 100 << 10].into(), true).expect("data"),
    }
}

/// The window of a connection is one for all of its streams.
#[tokio::test]
async fn rfc9113_5_2_clients_that_read_slowly_do_not_stop_the_bodies_of_others() {
    let service = streams(by_path).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut body = send(&service, get("/long")).await.expect("response").into_body();
        body.frame().await.expect("frame").expect("data");
        slow.push(body);
    }
    let body = send(&service, get("/")).await.expect("response").into_body();
    let whole = tokio::time::timeout(Duration::from_secs(10), body.collect()).await.expect("it does not stand still");
    assert_eq!(whole.expect("body").to_bytes().len(), 100 << 10);
    assert_eq!(service.stats().connections_total(), 1);
}

#[tokio::test]
async fn rfc9113_5_1_2_a_request_beyond_the_streams_of_a_connection_goes_out_on_another_one() {
    let service = at_most(1, by_path).await;
    let mut open = send(&service, get("/open")).await.expect("response").into_body();
    open.frame().await.expect("frame").expect("data");
    for _ in 0..2 {
        let other = tokio::time::timeout(Duration::from_secs(10), send(&service, get("/"))).await.expect("it does not wait");
        other.expect("response").into_body().collect().await.expect("body");
        assert_eq!(service.stats().connections_total(), 2);
    }
}
