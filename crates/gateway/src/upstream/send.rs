//! One exchange with an origin, and how long it may take.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Extensions, HeaderValue, Method, Request, Response, header};
use hyper::body::Body;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use larder_tower::{BoxError, RequestBody};

use super::body::Source;
use super::connect::{ConnectionMark, Connector};
use super::error::UpstreamError;
use super::expect::patiently;
use super::http1::{HeadWriter, Upload};
use super::interim::Interim;
use super::observe::UpstreamStats;
use super::options::UpstreamOptions;
use super::pool::Pool;
use super::progress::{BodyFailure, Progress, WatchedBody};
use crate::forward::{self, ForwardRules, Hop, HostPolicy};

/// How requests reach an origin.
pub(super) enum Transport {
    /// Over HTTP/1.1.
    Http1(Pool),
    /// Over HTTP/2, or what the TLS handshake comes to.
    Negotiated(Arc<GeneralClient>),
}

type GeneralClient = legacy::Client<Connector, WatchedBody>;

/// A request as it goes out.
pub(super) enum Outgoing {
    Http1 { pool: Pool, method: Method, upload: Upload },
    Negotiated { client: Arc<GeneralClient>, request: Box<Request<WatchedBody>> },
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
        Self::Negotiated(Arc::new(client))
    }

    /// A received request as it goes to the origin. With `expect`, its content waits for the origin's word.
    pub(super) fn outgoing(
        &self,
        mut parts: Parts,
        body: WatchedBody,
        hop: Option<&Hop>,
        expect: bool,
        (options, rules): (&UpstreamOptions, &ForwardRules),
    ) -> Outgoing {
        let expectation = expect.then_some(HeaderValue::from_static("100-continue"));
        match self {
            Self::Http1(pool) => {
                let target = options.url.origin_form(&parts.uri);
                let mut head = HeadWriter::new(&parts.method, target.path_and_query().map_or("/", |target| target.as_str()));
                forward::upstream_fields(&parts, hop, rules, |name, value| head.field(name, value));
                if let Some(expectation) = expectation {
                    head.field(&header::EXPECT, expectation.as_bytes());
                }
                let upload = Upload::new(head, &parts.headers, body);
                Outgoing::Http1 { pool: pool.clone(), method: parts.method, upload }
            }
            Self::Negotiated(client) => {
                // hyper would act on extensions of the client's connection.
                parts.extensions = Extensions::new();
                forward::to_upstream(&mut parts, hop, rules);
                parts.uri = options.url.resolve(&parts.uri);
                parts.headers.extend(expectation.map(|expectation| (header::EXPECT, expectation)));
                if options.h2c {
                    // `:authority` is the connection's, and a differing `Host` beside it would be malformed (RFC 9113 §8.3.1).
                    parts.headers.remove(header::HOST);
                }
                Outgoing::Negotiated { client: Arc::clone(client), request: Box::new(Request::from_parts(parts, body)) }
            }
        }
    }
}

impl Outgoing {
    async fn answer(self, interim: &Interim, stats: &UpstreamStats) -> Result<Response<Source>, BoxError> {
        match self {
            Self::Http1 { pool, method, upload } => Ok(pool.request(&method, upload, interim, stats).await?.map(Source::Pooled)),
            Self::Negotiated { client, request } => Box::pin(negotiated(&client, *request, interim.clone(), stats)).await,
        }
    }

    /// Sends the request and waits for the response head. `progress` is that of its content, if it has any.
    pub(super) async fn send(
        self,
        interim: &Interim,
        progress: Option<Arc<Progress>>,
        stats: &UpstreamStats,
        deadline: Duration,
    ) -> Result<Response<Source>, UpstreamError> {
        // Pinned here and polled through references: handed on, it would be copied, and take its room again, at every step.
        let exchange = pin!(self.answer(interim, stats));
        let answer = match &interim.gate {
            None => within(deadline, progress.as_deref(), exchange).await?,
            Some(gate) => within(deadline, progress.as_deref(), Box::pin(patiently(gate, exchange)).as_mut()).await?,
        };
        answer.map_err(|error| match progress.and_then(|progress| progress.failure()) {
            Some(BodyFailure::TooLarge) => UpstreamError::RequestTooLarge,
            Some(BodyFailure::Broken) => UpstreamError::RequestBody(error),
            None => UpstreamError::from_exchange(error),
        })
    }
}

/// The general client's exchange, with the same retry as [`Pool::request`].
async fn negotiated(
    client: &GeneralClient,
    mut request: Request<WatchedBody>,
    interim: Interim,
    stats: &UpstreamStats,
) -> Result<Response<Source>, BoxError> {
    let repeats = request.method().is_safe() && request.body().is_end_stream();
    if interim.is_anyone() {
        hyper::ext::on_informational(&mut request, move |response| interim.told(response.status(), response.headers()));
    }
    let spare = repeats.then(|| {
        let mut spare = Request::new(WatchedBody::new(RequestBody::empty(), None));
        (*spare.method_mut(), *spare.uri_mut()) = (request.method().clone(), request.uri().clone());
        *spare.headers_mut() = request.headers().clone();
        *spare.extensions_mut() = request.extensions().clone();
        spare
    });
    let mut answer = client.request(request).await;
    if let (Err(error), Some(spare)) = (&answer, spare)
        && died_idle(error)
    {
        stats.retried();
        answer = client.request(spare).await;
    }
    let mut response = answer?;
    if let Some(mark) = response.extensions_mut().remove::<ConnectionMark>() {
        mark.answered();
    }
    Ok(response.map(Source::Driven))
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
    progress: Option<&Progress>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, UpstreamError> {
    loop {
        match tokio::time::timeout(deadline, work.as_mut()).await {
            Ok(done) => return Ok(done),
            Err(_elapsed) => match progress {
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
        assert!(within(DEADLINE, progress.as_deref(), pin!(work)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stops_is_the_clients_stall() {
        let (mut body, progress) = upload(Slow::new(2));
        let work = async { while body.frame().await.is_some() {} };
        let error = within(DEADLINE, progress.as_deref(), pin!(work)).await.expect_err("stalled");
        assert!(matches!(error, UpstreamError::RequestStalled), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_that_is_silent_after_the_upload_has_timed_out() {
        let (mut body, progress) = upload(Slow::new(1));
        let work = async {
            body.frame().await.expect("frame").expect("data");
            pending::<()>().await;
        };
        let error = within(DEADLINE, progress.as_deref(), pin!(work)).await.expect_err("silent");
        assert!(matches!(error, UpstreamError::FirstByteTimeout), "{error:?}");
    }
}
