//! Upgrades that an origin answers in another way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use larder_message::client::ClientConnection;
use larder_tower::ClientBody;

use super::origin::{OK, options, origin};
use crate::{TunnelClient, UpstreamBody, UpstreamError, UpstreamOptions, UpstreamService};

async fn upgrade(service: &UpstreamService, method: &str, body: impl ClientBody) -> Result<http::Response<UpstreamBody>, UpstreamError> {
    let request = Request::builder().method(method).uri("/").header("host", "a").header("connection", "upgrade").header("upgrade", "x");
    let connection = ClientConnection { peer: [127, 0, 0, 1].into(), secure: false, version: http::Version::HTTP_11 };
    let (idle, guard) = (Duration::from_secs(60), Arc::new(()));
    let client = TunnelClient { connection, idle, first_byte_timeout: None, guard, observer: None };
    service.upgrade(request.body(body).expect("request"), client).await
}

fn service(options: UpstreamOptions) -> UpstreamService {
    UpstreamService::new(options).expect("service")
}

/// As many clients as there are places would keep all others from the origin.
#[tokio::test]
async fn a_stream_of_events_that_answers_an_upgrade_takes_no_place() {
    let address = origin(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n2\r\n\n\n\r\n").await;
        connection.closed().await;
    })
    .await;
    let mut options = options(&format!("http://{address}"));
    options.config.limit.max_requests = 1;
    let service = service(options);
    let mut body = upgrade(&service, "GET", http_body_util::Empty::<Bytes>::new()).await.expect("response").into_body();
    body.frame().await.expect("frame").expect("data");
    assert!(service.upstream().concurrency.try_acquire().is_some());
}

/// A byte every twenty seconds, so many times.
struct Slow(usize, Pin<Box<tokio::time::Sleep>>);

impl Slow {
    fn new(bytes: usize) -> Self {
        Self(bytes, Box::pin(tokio::time::sleep(Duration::from_secs(20))))
    }
}

impl Body for Slow {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        ready!(self.1.as_mut().poll(cx));
        *self = Self::new(self.0 - 1);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_for_an_answer_to_an_upgrade_begins_with_the_end_of_its_content() {
    let address = origin(|_, mut connection| async move {
        connection.until("\r\n0\r\n\r\n").await;
        connection.send(OK).await;
    })
    .await;
    let mut options = options(&format!("http://{address}"));
    options.config.first_byte_timeout = Duration::from_secs(30);
    let answer = upgrade(&service(options), "POST", Slow::new(5)).await;
    assert_eq!(answer.map(|response| response.status().as_u16()).map_err(|error| error.token()), Ok(200));
}
