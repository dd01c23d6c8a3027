//! One exchange with an origin, and how long it may take.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Extensions, Request, Response};
use hyper::body::Body;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use larder_tower::{BoxError, RequestBody};

use super::body::Source;
use super::connect::{ConnectionMark, Connector};
use super::error::UpstreamError;
use super::expect::patiently;
use super::interim::Interim;
use super::observe::UpstreamStats;
use super::options::UpstreamOptions;
use super::pool::Pool;
use super::progress::{BodyFailure, Progress, WatchedBody};
use crate::forward::HostPolicy;

/// How requests reach an origin.
pub(super) enum Transport {
    /// Over HTTP/1.1.
    Http1(Pool),
    /// Over HTTP/2, or what the TLS handshake comes to.
    Negotiated(Box<legacy::Client<Connector, WatchedBody>>),
}

impl Transport {
    pub(super) fn new(options: &UpstreamOptions, connector: Connector) -> Self {
        let negotiated = options.h2c || (options.url.is_https() && options.host == HostPolicy::Upstream);
        if !negotiated {
            return Self::Http1(Pool::new(connector, options.url.base(), options.max_idle, options.idle_timeout));
        }
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .pool_max_idle_per_host(options.max_idle)
            .http2_only(options.h2c)
            .set_host(false)
            .build(connector);
        Self::Negotiated(Box::new(client))
    }

    async fn request(
        &self,
        parts: Parts,
        body: WatchedBody,
        interim: &Interim,
        stats: &UpstreamStats,
    ) -> Result<Response<Source>, BoxError> {
        match self {
            Self::Http1(pool) => Ok(pool.request(&parts, body, interim, stats).await?.map(Source::Pooled)),
            Self::Negotiated(client) => Box::pin(negotiated(client, parts, body, interim.clone(), stats)).await,
        }
    }
}

/// The general client's exchange, with the same retry as [`Pool::request`].
async fn negotiated(
    client: &legacy::Client<Connector, WatchedBody>,
    parts: Parts,
    body: WatchedBody,
    interim: Interim,
    stats: &UpstreamStats,
) -> Result<Response<Source>, BoxError> {
    let spare = (parts.method.is_safe() && body.is_end_stream()).then(|| parts.clone());
    let mut request = Request::from_parts(parts, body);
    if interim.is_anyone() {
        hyper::ext::on_informational(&mut request, move |response| interim.told(response.status(), response.headers()));
    }
    let mut answer = client.request(request).await;
    if let (Err(error), Some(spare)) = (&answer, spare)
        && died_idle(error)
    {
        stats.retried();
        answer = client.request(Request::from_parts(spare, WatchedBody::new(RequestBody::empty(), None))).await;
    }
    let mut response = answer?;
    if let Some(mark) = response.extensions_mut().remove::<ConnectionMark>() {
        mark.answered();
    }
    Ok(response.map(Source::Driven))
}

/// Sends a request and waits for the response head.
pub(super) async fn send(
    transport: &Transport,
    stats: &UpstreamStats,
    parts: Parts,
    body: RequestBody,
    interim: &Interim,
    deadline: Duration,
) -> Result<Response<Source>, UpstreamError> {
    let body = WatchedBody::new(body, interim.gate.clone());
    let progress = body.progress();
    // Pinned here and polled through references: handed on, it would be copied, and take its room again, at every step.
    let exchange = pin!(transport.request(parts, body, interim, stats));
    let answer = match &interim.gate {
        None => within(deadline, progress.clone(), exchange).await?,
        Some(gate) => within(deadline, progress.clone(), pin!(patiently(gate, exchange))).await?,
    };
    answer.map_err(|error| match progress.and_then(|progress| progress.failure()) {
        Some(BodyFailure::TooLarge) => UpstreamError::RequestTooLarge,
        Some(BodyFailure::Broken) => UpstreamError::RequestBody(error),
        None => UpstreamError::from_exchange(error),
    })
}

fn died_idle(error: &legacy::Error) -> bool {
    let mut extensions = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    extensions.get::<ConnectionMark>().is_some_and(ConnectionMark::died_idle)
}

/// Counts the deadline from the last movement of the request body, so that a long upload is not a slow response.
async fn within<T>(
    deadline: Duration,
    progress: Option<Arc<Progress>>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, UpstreamError> {
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
        assert!(within(DEADLINE, progress, pin!(work)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stops_is_the_clients_stall() {
        let (mut body, progress) = upload(Slow::new(2));
        let work = async { while body.frame().await.is_some() {} };
        let error = within(DEADLINE, progress, pin!(work)).await.expect_err("stalled");
        assert!(matches!(error, UpstreamError::RequestStalled), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_that_is_silent_after_the_upload_has_timed_out() {
        let (mut body, progress) = upload(Slow::new(1));
        let work = async {
            body.frame().await.expect("frame").expect("data");
            pending::<()>().await;
        };
        let error = within(DEADLINE, progress, pin!(work)).await.expect_err("silent");
        assert!(matches!(error, UpstreamError::FirstByteTimeout), "{error:?}");
    }
}
