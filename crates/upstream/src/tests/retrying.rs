//! The one retry: of a safe request, on a reused connection that ended without a byte in answer to it.

use std::sync::Arc;

use http::Method;
use http_body_util::BodyExt;

use super::origin::{OK, get, origin, send, service};
use super::{failure, settle};
use crate::{UpstreamError, UpstreamService};

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
