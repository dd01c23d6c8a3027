//! The streams of one connection of HTTP/2.

use std::sync::Arc;

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

/// An origin of one connection that answers each request as told, in a task of its own.
async fn streams<F>(answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + 'static) -> UpstreamService
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("accept");
        let mut connection = h2::server::handshake(stream).await.expect("handshake");
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(answer(request, respond));
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
