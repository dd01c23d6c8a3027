//! One exchange on a pooled connection, and the one retry that is safe.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Extensions, Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy;
use larder_tower::RequestBody;

use super::connect::{ConnectionMark, Connector};
use super::error::UpstreamError;
use super::expect::{Gate, patiently};
use super::observe::UpstreamStats;
use super::progress::{BodyFailure, Progress, WatchedBody};

pub(super) type Pool = legacy::Client<Connector, WatchedBody>;

/// Sends a request and waits for the response head.
///
/// A pooled connection may be closed by the origin at the very moment a request is written to it. Such a request is sent once more if
/// it is safe (RFC 9110 §9.2.1, §9.2.2), has no content, was written to a reused connection, and not one byte came back.
pub(super) async fn send(
    pool: &Pool,
    stats: &UpstreamStats,
    parts: Parts,
    body: RequestBody,
    gate: Option<&Gate>,
    deadline: Duration,
) -> Result<Response<Incoming>, UpstreamError> {
    let spare = (parts.method.is_safe() && body.is_end_stream()).then(|| parts.clone());
    let body = WatchedBody::new(body, gate.cloned());
    let progress = body.progress();
    let exchange = async {
        match (pool.request(Request::from_parts(parts, body)).await, spare) {
            (Err(error), Some(spare)) if died_idle(&error) => {
                stats.retried();
                pool.request(Request::from_parts(spare, WatchedBody::new(RequestBody::empty(), None))).await
            }
            (result, _) => result,
        }
    };
    let result = within(deadline, progress.clone(), patiently(gate, exchange)).await?;
    let mut response = result.map_err(|error| match progress.and_then(|progress| progress.failure()) {
        Some(BodyFailure::TooLarge) => UpstreamError::RequestTooLarge,
        Some(BodyFailure::Broken) => UpstreamError::RequestBody(error.into()),
        None => UpstreamError::from_exchange(error),
    })?;
    if let Some(mark) = response.extensions_mut().remove::<ConnectionMark>() {
        mark.answered();
    }
    Ok(response)
}

fn died_idle(error: &legacy::Error) -> bool {
    let mut extensions = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    extensions.get::<ConnectionMark>().is_some_and(ConnectionMark::died_idle)
}

/// Counts the deadline from the last movement of the request body, so that a long upload is not a slow response.
async fn within<T>(deadline: Duration, progress: Option<Arc<Progress>>, work: impl Future<Output = T>) -> Result<T, UpstreamError> {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(deadline, work.as_mut()).await {
            Ok(done) => return Ok(done),
            Err(_elapsed) => match &progress {
                Some(progress) if progress.take_moved() => {}
                Some(progress) if progress.is_starved() => return Err(UpstreamError::RequestStalled),
                _ => return Err(UpstreamError::FirstByteTimeout),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::BodyExt;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    fn upload(body: impl Body<Data = Bytes, Error = std::io::Error> + Send + 'static) -> (WatchedBody, Option<Arc<Progress>>) {
        let body = WatchedBody::new(RequestBody::new(body), None);
        let progress = body.progress();
        (body, progress)
    }

    /// A frame every twenty seconds, as often as told; then nothing more, without an end.
    struct Slow(usize, std::pin::Pin<Box<tokio::time::Sleep>>);

    impl Slow {
        fn new(frames: usize) -> Self {
            Self(frames, Box::pin(tokio::time::sleep(Duration::from_secs(20))))
        }
    }

    impl Body for Slow {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            if self.0 == 0 {
                return std::task::Poll::Pending;
            }
            std::task::ready!(self.1.as_mut().poll(cx));
            let frames = self.0 - 1;
            *self = Self::new(frames);
            std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_upload_is_not_a_slow_response() {
        let (mut body, progress) = upload(Slow::new(10));
        let work = async {
            for _ in 0..10 {
                body.frame().await.expect("frame").expect("data");
            }
        };
        assert!(within(DEADLINE, progress, work).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stops_is_the_clients_stall() {
        let (mut body, progress) = upload(Slow::new(2));
        let work = async { while body.frame().await.is_some() {} };
        let error = within(DEADLINE, progress, work).await.expect_err("stalled");
        assert!(matches!(error, UpstreamError::RequestStalled), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_that_is_silent_after_the_upload_has_timed_out() {
        let (mut body, progress) = upload(Slow::new(1));
        let work = async {
            body.frame().await.expect("frame").expect("data");
            pending::<()>().await;
        };
        let error = within(DEADLINE, progress, work).await.expect_err("silent");
        assert!(matches!(error, UpstreamError::FirstByteTimeout), "{error:?}");
    }
}
