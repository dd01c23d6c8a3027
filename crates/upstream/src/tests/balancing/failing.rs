//! Servers that fail are left out for a while, but never too many of them.

use std::time::Duration;

use larder_config::{Eject, PerMille};

use super::{addressed, answering, answers, dead, named, resetting, service, state};

/// Without retries, so that failures show.
fn ejecting(addresses: impl IntoIterator<Item = std::net::SocketAddr>, max_share: u16) -> crate::UpstreamOptions {
    let mut options = addressed(addresses);
    options.config.retry = None;
    options.config.breaker = None;
    options.config.eject = Some(Eject { failures: 2, max_share: PerMille(max_share), ..Eject::default() });
    options
}

#[tokio::test]
async fn a_server_that_fails_is_left_out_and_the_other_gets_all_requests() {
    let ((address, _bound), works) = (dead(), named("b").await);
    let service = service(ejecting([address, works], 500));
    let refused = "connection_refused";
    assert_eq!(answers(&service, 7).await, [refused, "b", refused, "b", "b", "b", "b"]);
    let state = state(&service, address);
    assert_eq!((state.ejected, state.ejections, state.failures, state.answers), (true, 1, 2, 0));
}

#[tokio::test]
async fn gateway_errors_are_failures_and_other_statuses_are_answers() {
    for (status, ejected) in [("500 Internal Server Error", false), ("502 Bad Gateway", true), ("503 Service Unavailable", true)] {
        let failing = answering(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno")).await;
        let service = service(ejecting([failing, named("b").await], 500));
        answers(&service, 6).await;
        assert_eq!(state(&service, failing).ejected, ejected, "{status}");
    }
}

#[tokio::test]
async fn no_more_servers_are_left_out_than_the_share() {
    let dead: Vec<_> = (0..3).map(|_| dead()).collect();
    let service = service(ejecting(dead.iter().map(|(address, _)| *address).chain([named("d").await]), 500));
    answers(&service, 40).await;
    assert_eq!(service.servers().iter().filter(|state| state.ejected).count(), 2);
}

#[tokio::test]
async fn one_server_may_always_be_left_out() {
    let ((address, _bound), works) = (dead(), named("b").await);
    let service = service(ejecting([address, works], 0));
    answers(&service, 6).await;
    assert!(state(&service, address).ejected);
}

#[tokio::test]
async fn when_all_are_left_out_all_are_asked() {
    let (one, other) = (resetting().await, resetting().await);
    let service = service(ejecting([one, other], 1000));
    assert_eq!(answers(&service, 10).await, ["connection_terminated"; 10]);
    assert!(service.servers().iter().all(|state| state.ejected));
    assert_eq!([one, other].map(|address| state(&service, address).failures), [5, 5]);
}

#[tokio::test]
async fn a_few_requests_for_a_slow_resource_do_not_leave_a_server_out_that_answers_others() {
    let slow = super::origin(|_, mut connection| async move {
        loop {
            match connection.head().await {
                head if head.is_empty() => return,
                head if head.starts_with("GET /slow") => connection.closed().await,
                _ => connection.send(super::super::origin::OK).await,
            }
        }
    })
    .await;
    let mut options = ejecting([slow, named("b").await], 500);
    options.config.first_byte_timeout = Duration::from_millis(200);
    options.config.servers[1].backup = true;
    let service = service(options);
    let quick = async {
        for _ in 0..3 {
            super::asked(&service, "/").await;
        }
    };
    let waits = || super::asked(&service, "/slow");
    tokio::join!(waits(), waits(), waits(), waits(), quick);
    assert_eq!((state(&service, slow).failures, state(&service, slow).ejected), (4, false));
}
