//! Limits that an origin tells of (`learn_limits`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request};
use http_body_util::BodyExt;
use larder_message::client::ClientConnection;
use larder_tower::RequestBody;

use super::origin::{OK, get, options, origin, send};
use crate::{TunnelClient, UpstreamError, UpstreamService};

/// An origin that refuses all but one client, and how often it was asked.
async fn refusing(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let address = origin(move |_, mut connection| {
        let count = Arc::clone(&count);
        async move {
            loop {
                let head = connection.head().await;
                if head.is_empty() {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                connection.send(if head.contains("bob") { OK } else { answer }).await;
            }
        }
    })
    .await;
    (address, asked)
}

fn learning(address: SocketAddr, learns: bool) -> UpstreamService {
    let mut options = options(&format!("http://{address}"));
    options.config.learn_limits = learns;
    UpstreamService::new(options).expect("service")
}

fn by(token: &'static str) -> Request<RequestBody> {
    let mut request = get("/");
    request.headers_mut().insert("authorization", HeaderValue::from_static(token));
    request
}

/// The status of what a client gets.
async fn status(service: &UpstreamService, request: Request<RequestBody>) -> (u16, Option<u32>) {
    match send(service, request).await {
        Ok(response) => {
            let status = response.status().as_u16();
            response.into_body().collect().await.expect("body");
            (status, None)
        }
        Err(error @ UpstreamError::Limited(_)) => {
            assert!(error.is_refusal() && error.never_connected());
            let problem = error.problem().response(&http::Method::GET);
            let retry_after = problem.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            (problem.status().as_u16(), retry_after)
        }
        Err(error) => panic!("{error}"),
    }
}

const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n";
const AWAY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n";
const LAST: &str = "HTTP/1.1 200 OK\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-reset: 3600\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_client_that_has_used_up_its_requests_is_not_sent_on_and_others_are() {
    for (answer, first) in [(TOO_MANY, 429), (LAST, 200)] {
        let (address, asked) = refusing(answer).await;
        let service = learning(address, true);
        assert_eq!(status(&service, by("ann")).await, (first, None));
        for _ in 0..3 {
            let (status, retry_after) = status(&service, by("ann")).await;
            assert!(status == 429 && retry_after.is_some_and(|seconds| seconds > 3500 && seconds <= 3600), "{status} {retry_after:?}");
        }
        assert_eq!((status(&service, by("bob")).await, status(&service, get("/")).await.0), ((200, None), first));
        assert_eq!((asked.load(Ordering::SeqCst), service.held_total()), (3, 3));
    }
}

#[tokio::test]
async fn an_origin_that_is_away_is_asked_for_nobody_and_one_without_the_setting_is_asked_each_time() {
    let (address, asked) = refusing(AWAY).await;
    let service = learning(address, true);
    assert_eq!(status(&service, by("ann")).await, (503, None));
    assert_eq!((status(&service, by("bob")).await.0, asked.load(Ordering::SeqCst)), (429, 1));
    let other = learning(address, false);
    for _ in 0..3 {
        assert_eq!(status(&other, by("ann")).await, (503, None));
    }
    assert_eq!((asked.load(Ordering::SeqCst), other.held_total()), (4, 0));
}

#[tokio::test]
async fn an_upgrade_teaches_and_is_refused_as_any_request() {
    let (address, asked) = refusing(TOO_MANY).await;
    let service = learning(address, true);
    let upgrade = || {
        let request = Request::builder().uri("/").header("host", "a").header("authorization", "ann");
        let request = request.header("connection", "upgrade").header("upgrade", "websocket").body(RequestBody::empty()).expect("request");
        let connection = ClientConnection { peer: [127, 0, 0, 1].into(), secure: false, version: http::Version::HTTP_11 };
        let guard = Arc::new(());
        service
            .upgrade(request, TunnelClient { connection, idle: Duration::from_secs(60), first_byte_timeout: None, guard, observer: None })
    };
    assert_eq!(upgrade().await.expect("response").status(), 429);
    assert!(matches!(upgrade().await.map(|response| response.status()), Err(UpstreamError::Limited(_))));
    assert_eq!((status(&service, by("ann")).await.0, asked.load(Ordering::SeqCst)), (429, 1));
}

#[tokio::test]
async fn a_reload_forgets_nothing_of_it() {
    let (address, asked) = refusing(TOO_MANY).await;
    let service = learning(address, true);
    status(&service, by("ann")).await;
    let mut options = options(&format!("http://{address}"));
    (options.config.learn_limits, options.config.max_idle) = (true, 1);
    let reloaded = service.reconfigured(options).expect("service");
    reloaded.take_place();
    assert_eq!((status(&reloaded, by("ann")).await.0, asked.load(Ordering::SeqCst)), (429, 1));
}
