//! Bodies of responses.

use std::sync::Arc;

use http::HeaderValue;
use http_body_util::BodyExt;
use tokio::sync::{Notify, mpsc};

use super::origin::{get, origin, send, service};
use crate::UpstreamError;

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
    request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
    let response = send(&service(address), request).await.expect("response");
    assert_eq!(response.headers()["trailer"], "x-sum");
    let whole = response.into_body().collect().await.expect("body");
    assert_eq!(whole.trailers().expect("trailers")["x-sum"], "7");
    let head = heads.recv().await.expect("head");
    assert!(head.contains("te: trailers\r\n") && head.contains("connection: te\r\n"), "{head}");
}
