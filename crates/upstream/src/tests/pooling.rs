//! Connections that are kept for the next request.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use larder_tower::RequestBody;

use super::origin::{OK, get, options, origin, send, service};
use super::{settle, until};
use crate::{UpstreamOptions, UpstreamService};

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
async fn a_connection_whose_body_came_with_its_head_is_used_again_even_if_it_is_not_read() {
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
