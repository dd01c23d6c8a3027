//! Failures, told apart by kind.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use http_body_util::BodyExt;
use larder_message::OriginOutcome;
use larder_tower::clock::monotonic;
use tower_service::Service;

use super::origin::{OK, get, options, origin, send, service};
use super::{failure, settle, until};
use crate::{OriginObserver, UpstreamError, UpstreamService};

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

#[tokio::test(start_paused = true)]
async fn each_exchange_on_a_connection_has_a_deadline_of_its_own() {
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    for (first, then, is_in_time) in [(second, hour, true), (hour, second, false)] {
        let address = origin(|_, mut connection| async move {
            connection.head().await;
            connection.send(OK).await;
            connection.head().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            connection.try_send(OK.as_bytes()).await;
        })
        .await;
        let service = service(address);
        let body = service.ask(get("/"), None, Some(first), |body| body).await.expect("an answer").into_body();
        body.collect().await.expect("a body");
        let answer = service.ask(get("/"), None, Some(then), |body| body).await;
        assert_eq!(matches!(answer, Err(UpstreamError::FirstByteTimeout)), !is_in_time, "{first:?}, then {then:?}");
        assert_eq!((answer.is_ok(), service.stats().connections_total()), (is_in_time, 1));
    }
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
    let recorded = recorder.0.lock().expect("lock").clone();
    let expected = [(3, OriginOutcome::Answered(StatusCode::NOT_FOUND)), (3, OriginOutcome::Failed("connection_terminated"))];
    assert_eq!(recorded, expected);
}

/// When each exchange began, by what an observer is told.
#[derive(Default)]
struct Beginnings(Mutex<Vec<Instant>>);

impl OriginObserver for Beginnings {
    fn answered(&self, _: usize, _: OriginOutcome, elapsed: Duration) {
        self.0.lock().expect("lock").push(monotonic().checked_sub(elapsed).expect("after the start"));
    }
}

#[tokio::test]
async fn the_wait_for_a_place_is_not_the_origins_time() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send(OK).await;
    })
    .await;
    let beginnings = Arc::new(Beginnings::default());
    let mut options = options(&format!("http://{address}"));
    options.observer = Some(Arc::clone(&beginnings) as Arc<dyn OriginObserver>);
    options.config.limit.max_requests = 1;
    let service = UpstreamService::new(options).expect("service");
    let place = service.upstream().concurrency.try_acquire().expect("the only place");
    let waiting = tokio::spawn(service.clone().call(get("/")));
    until(|| service.upstream().concurrency.pressure().waiting() == 1).await;
    let given = monotonic();
    drop(place);
    waiting.await.expect("it ran").expect("response");
    let began = beginnings.0.lock().expect("lock").clone();
    assert!(began.len() == 1 && began[0] >= given, "{began:?} {given:?}");
}
