//! Requests that are sent once more, to another server.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use larder_config::{PerMille, RetryMethods};
use larder_tower::clock::monotonic;
use larder_tower::{RequestBody, SentBefore};

use super::super::origin::{get, send};
use super::{addressed, answering, answers, content, dead, named, origin, post, resetting, service, state};
use crate::UpstreamOptions;

/// Servers that are asked in turn and never left out.
fn retrying(addresses: impl IntoIterator<Item = std::net::SocketAddr>) -> UpstreamOptions {
    let mut options = addressed(addresses);
    options.config.eject = None;
    options
}

#[tokio::test]
async fn no_client_sees_that_servers_are_down_while_one_is_up() {
    let dead: Vec<_> = (0..3).map(|_| dead()).collect();
    let service = service(retrying(dead.iter().map(|(address, _)| *address).chain([named("d").await])));
    assert_eq!(answers(&service, 8).await, ["d"; 8]);
}

#[tokio::test]
async fn a_write_that_was_never_sent_goes_to_another_server_with_all_its_content() {
    let (refusing, _bound) = dead();
    let echo = origin(|_, mut connection| async move {
        while !connection.head().await.is_empty() {
            let text = connection.until("hello").await;
            connection.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{text}")).await;
        }
    })
    .await;
    let service = service(retrying([refusing, echo]));
    for _ in 0..4 {
        assert_eq!(content(&service, post("hello")).await, "hello");
    }
}

#[tokio::test]
async fn rfc9110_9_2_2_a_write_that_may_have_been_received_is_not_sent_again() {
    let service = service(retrying([resetting().await, named("b").await]));
    assert_eq!(content(&service, post("hello")).await, "connection_terminated");
    assert_eq!(service.stats().retries_total(), 0);
}

/// Its answer would say that no server has it, and nothing that it makes old would be invalidated.
#[tokio::test]
async fn rfc9111_4_4_a_write_that_one_server_may_have_carried_out_has_not_failed_to_connect() {
    let ((refusing, _bound), (other, _other_bound)) = (dead(), dead());
    let mut options = retrying([resetting().await, refusing, other]);
    options.config.retry.as_mut().expect("a default").only = RetryMethods::Idempotent;
    let request = Request::delete("/").header("host", "a.example").body(RequestBody::empty()).expect("request");
    let service = service(options);
    assert_eq!(content(&service, request).await, "connection_terminated");
    assert_eq!(service.stats().retries_total(), 2);
}

/// The first server's words are passed on, and so are the second's; neither says what the other has done.
#[tokio::test]
async fn rfc9111_4_4_the_answer_to_a_write_says_that_another_server_may_have_carried_it_out() {
    let answer = |status: &str| answering(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
    let (gone, busy) = (answer("404 Not Found").await, answer("503 Service Unavailable").await);
    let refusing = dead();
    for (servers, status, is_perhaps_done) in [
        ([resetting().await, gone], 404, true),
        ([busy, resetting().await], 503, true),
        ([refusing.0, gone], 404, false),
        ([busy, gone], 404, false),
    ] {
        let mut options = retrying(servers);
        options.config.retry.as_mut().expect("a default").only = RetryMethods::Idempotent;
        let request = Request::delete("/").header("host", "a.example").body(RequestBody::empty()).expect("request");
        let response = send(&service(options), request).await.expect("response");
        assert_eq!((response.status().as_u16(), response.extensions().get::<SentBefore>().is_some()), (status, is_perhaps_done));
    }
}

#[tokio::test]
async fn a_safe_request_is_sent_again_after_a_reset_a_time_out_or_a_gateway_error() {
    let silent = origin(|_, mut connection| async move { connection.closed().await }).await;
    let unavailable = answering("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno".to_owned()).await;
    for failing in [resetting().await, silent, unavailable] {
        let mut options = retrying([failing, named("b").await]);
        options.config.first_byte_timeout = Duration::from_millis(50);
        assert_eq!(answers(&service(options), 4).await, ["b"; 4]);
    }
}

#[tokio::test]
async fn where_the_other_server_does_no_better_the_first_ones_own_words_are_passed_on() {
    let (refusing, _bound) = dead();
    let unavailable = answering("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy".to_owned()).await;
    assert_eq!(answers(&service(retrying([unavailable, refusing])), 4).await, ["busy"; 4]);
}

#[tokio::test]
async fn an_answer_that_is_kept_counts_as_an_exchange_with_the_server_that_gave_it() {
    let (refusing, _bound) = dead();
    let unavailable = answering("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy".to_owned()).await;
    let service = service(retrying([unavailable, refusing]));
    for _ in 0..2 {
        let response = send(&service, get("/")).await.expect("the first server's answer");
        let under_way = |address| state(&service, address).requests_in_flight;
        assert_eq!((response.status().as_u16(), under_way(unavailable), under_way(refusing)), (503, 1, 0));
        drop(response);
    }
    assert_eq!(service.stats().requests_in_flight(), 0);
}

#[tokio::test]
async fn requests_that_may_have_been_received_are_not_sent_again_once_the_budget_is_used_up() {
    let (refusing, _bound) = dead();
    let mut options = retrying([resetting().await, resetting().await]);
    options.config.retry.as_mut().expect("a default").budget = PerMille(0);
    let service_of_both = service(options.clone());
    let spend = |service: &crate::UpstreamService| {
        // An instant to come, so that no second of the machine's clock begins meanwhile.
        let (budget, later) = (service.upstream().budget.as_ref().expect("a budget"), monotonic() + Duration::from_secs(3600));
        while budget.withdraw(later) {}
    };
    answers(&service_of_both, 1).await;
    spend(&service_of_both);
    answers(&service_of_both, 2).await;
    let stats = service_of_both.stats();
    assert_eq!((stats.retries_total(), stats.retries_refused_total()), (1, 2));
    options.config.servers = vec![super::server(refusing), super::server(named("b").await)];
    let service = service(options);
    spend(&service);
    assert_eq!(answers(&service, 4).await, ["b"; 4], "what was never sent needs none");
}

#[tokio::test]
async fn a_request_is_sent_again_as_often_as_it_may_be() {
    let mut options = retrying([resetting().await, resetting().await, resetting().await, named("d").await]);
    options.config.retry.as_mut().expect("a default").max = 3;
    let service = service(options);
    assert_eq!(super::asked(&service, "/").await, "d");
    assert_eq!(service.stats().retries_total(), 3);
}

#[tokio::test]
async fn without_retry_the_first_failure_is_the_answer() {
    let ((refusing, _bound), works) = (dead(), named("b").await);
    let mut options = retrying([refusing, works]);
    options.config.retry = None;
    assert_eq!(answers(&service(options), 3).await, ["connection_refused", "b", "connection_refused"]);
}

#[tokio::test]
async fn a_single_server_is_asked_again_on_a_fresh_connection_where_that_is_configured() {
    let address = origin(|number, mut connection| async move {
        connection.head().await;
        if number > 0 {
            connection.send(super::super::origin::OK).await;
        }
    })
    .await;
    let mut options = addressed([address]);
    options.config.retry = Some(larder_config::Retry::default());
    let service = service(options);
    assert_eq!(super::asked(&service, "/").await, "ok");
    assert_eq!((service.stats().connections_total(), service.stats().retries_total()), (2, 1));
}

#[tokio::test]
async fn rfc9110_7_8_an_upgrade_goes_to_a_server_that_can_be_reached() {
    let (refusing, _bound) = dead();
    let service = service(retrying([refusing, named("b").await]));
    for _ in 0..2 {
        let request = Request::builder().method(Method::GET).uri("/").header("host", "a").header("upgrade", "x");
        let request = request.header("connection", "upgrade").body(RequestBody::empty()).expect("request");
        let connection =
            larder_message::client::ClientConnection { peer: [127, 0, 0, 1].into(), secure: false, version: http::Version::HTTP_11 };
        let client = crate::TunnelClient {
            connection,
            idle: Duration::from_secs(60),
            first_byte_timeout: None,
            guard: Arc::new(()),
            observer: None,
        };
        let response = service.upgrade(request, client).await.expect("response");
        assert_eq!(response.status(), 200);
    }
}
