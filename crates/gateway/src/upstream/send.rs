//! One exchange with an origin, and how long it may take.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::uri::Authority;
use http::{Extensions, HeaderValue, Method, Request, Response, Uri, header};
use hyper::body::Body;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use larder_tower::BoxError;

use super::body::Source;
use super::connect::{ConnectionMark, Connector};
use super::error::UpstreamError;
use super::expect::patiently;
use super::http1::{HeadWriter, Upload};
use super::http2::{Http2, PING};
use super::interim::Interim;
use super::observe::UpstreamStats;
use super::options::UpstreamOptions;
use super::pool::Pool;
use super::progress::{BodyFailure, Progress, WatchedBody};
use super::service::Inner;
use crate::forward::{self, ForwardRules, Hop, HostPolicy};

/// How requests reach an origin.
pub(super) enum Transport {
    /// Over HTTP/1.1.
    Http1(Pool),
    /// Over HTTP/2, unasked.
    Http2(Http2),
    /// Over what the TLS handshake comes to.
    Negotiated(Arc<GeneralClients>),
}

/// The general client keeps its connections to itself: the one way to make it use a new one is to have another without any.
pub(super) struct GeneralClients {
    pooled: GeneralClient,
    fresh: GeneralClient,
}

type GeneralClient = legacy::Client<Connector, WatchedBody>;

/// A request as it goes out.
pub(super) enum Outgoing {
    Http1 { pool: Pool, method: Method, upload: Upload },
    Http2 { client: Http2, request: Box<Request<WatchedBody>> },
    Negotiated { clients: Arc<GeneralClients>, request: Box<Request<WatchedBody>> },
}

impl Transport {
    pub(super) fn new(options: &UpstreamOptions, connector: Connector) -> Self {
        if options.h2c {
            return Self::Http2(Http2::new(connector, options.url.base(), options.idle_timeout));
        }
        if !options.url.is_https() || options.host == HostPolicy::Preserve {
            return Self::Http1(Pool::new(connector, options.url.base(), options.max_idle, options.idle_timeout));
        }
        let client = |max_idle: usize| {
            legacy::Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(options.idle_timeout)
                .pool_max_idle_per_host(max_idle)
                .http2_keep_alive_interval(PING)
                .http2_keep_alive_timeout(PING)
                .set_host(false)
                .build(connector.clone())
        };
        Self::Negotiated(Arc::new(GeneralClients { pooled: client(options.max_idle), fresh: client(0) }))
    }

    /// A received request as it goes to the origin. With `expect`, its content waits for the origin's word.
    pub(super) fn outgoing(
        &self,
        parts: Parts,
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
            Self::Http2(client) => {
                let request = general_request(parts, body, hop, expectation, (options, rules));
                Outgoing::Http2 { client: client.clone(), request: Box::new(under_its_name(request)) }
            }
            Self::Negotiated(clients) => {
                let request = general_request(parts, body, hop, expectation, (options, rules));
                Outgoing::Negotiated { clients: Arc::clone(clients), request: Box::new(request) }
            }
        }
    }
}

/// A received request as hyper takes it.
fn general_request(
    mut parts: Parts,
    body: WatchedBody,
    hop: Option<&Hop>,
    expectation: Option<HeaderValue>,
    (options, rules): (&UpstreamOptions, &ForwardRules),
) -> Request<WatchedBody> {
    // hyper would act on extensions of the client's connection.
    parts.extensions = Extensions::new();
    forward::to_upstream(&mut parts, hop, rules);
    parts.uri = options.url.resolve(&parts.uri);
    parts.headers.extend(expectation.map(|expectation| (header::EXPECT, expectation)));
    Request::from_parts(parts, body)
}

/// The name that the origin is to see becomes `:authority`, and a differing `Host` beside it would be malformed (RFC 9113 §8.3.1).
fn under_its_name(mut request: Request<WatchedBody>) -> Request<WatchedBody> {
    let shown = request.headers_mut().remove(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut uri = request.uri().clone().into_parts();
    if let Some(shown) = shown.filter(|shown| !shown.as_str().contains('@')) {
        uri.authority = Some(shown);
        if let Ok(named) = Uri::from_parts(uri) {
            *request.uri_mut() = named;
        }
    }
    request
}

impl Outgoing {
    async fn answer(self, interim: &Interim, stats: &UpstreamStats) -> Result<Response<Source>, BoxError> {
        match self {
            Self::Http1 { pool, method, upload } => Ok(pool.request(&method, upload, interim, stats).await?.map(Source::Pooled)),
            Self::Http2 { client, request } => {
                let (request, spare) = with_spare(*request, interim.clone());
                Box::pin(client.request(request, spare, stats)).await
            }
            Self::Negotiated { clients, request } => Box::pin(negotiated(&clients, *request, interim.clone(), stats)).await,
        }
    }

    /// Sends the request and waits for the response head. `progress` is that of its content, if it has any.
    pub(super) async fn send(
        self,
        interim: &Interim,
        progress: Option<Arc<Progress>>,
        upstream: &Inner,
    ) -> Result<Response<Source>, UpstreamError> {
        let (stats, options) = (&upstream.stats, &upstream.options);
        let patience = Patience { deadline: options.first_byte_timeout, min_rate: options.min_upload_rate };
        // Pinned here and polled through references: handed on, it would be copied, and take its room again, at every step.
        let exchange = pin!(self.answer(interim, stats));
        let answer = match &interim.gate {
            None => within(patience, progress.as_deref(), exchange).await?,
            Some(gate) => within(patience, progress.as_deref(), Box::pin(patiently(gate, exchange)).as_mut()).await?,
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
    clients: &GeneralClients,
    request: Request<WatchedBody>,
    interim: Interim,
    stats: &UpstreamStats,
) -> Result<Response<Source>, BoxError> {
    let (request, spare) = with_spare(request, interim);
    let mut answer = clients.pooled.request(request).await;
    if let (Err(error), Some(spare)) = (&answer, spare)
        && died_idle(error)
    {
        stats.retried();
        answer = clients.fresh.request(spare).await;
    }
    let mut response = answer?;
    if let Some(mark) = response.extensions_mut().remove::<ConnectionMark>() {
        mark.answered();
    }
    Ok(response.map(Source::Driven))
}

/// A request whose informational responses are told, and the same once more where it may be sent twice.
fn with_spare(mut request: Request<WatchedBody>, interim: Interim) -> (Request<WatchedBody>, Option<Request<WatchedBody>>) {
    let repeats = request.method().is_safe() && request.body().is_end_stream();
    if interim.is_anyone() {
        hyper::ext::on_informational(&mut request, move |response| interim.told(response.status(), response.headers()));
    }
    let spare = repeats.then(|| {
        let mut spare = Request::new(WatchedBody::empty());
        (*spare.method_mut(), *spare.uri_mut()) = (request.method().clone(), request.uri().clone());
        *spare.headers_mut() = request.headers().clone();
        *spare.extensions_mut() = request.extensions().clone();
        spare
    });
    (request, spare)
}

fn died_idle(error: &legacy::Error) -> bool {
    let mut extensions = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    extensions.get::<ConnectionMark>().is_some_and(ConnectionMark::died_idle)
}

/// How long an exchange is waited for.
#[derive(Clone, Copy)]
struct Patience {
    /// For the response's head, from the last movement of the request's content.
    deadline: Duration,
    /// Bytes a second that the client has to send on average, where it is waited for; 0: any number.
    min_rate: u64,
}

/// How often the content's progress is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Time that a client has before its content has to come at the least rate (nginx has none, Apache's `RequestReadTimeout` ten seconds), and
/// the most that it earns by being faster: one that drips after a fast beginning is noticed all the same.
const GRACE: Duration = Duration::from_secs(10);
const MOST_EARNED: Duration = Duration::from_secs(60);

/// Waits for the head. A long upload is not a slow response, so the deadline counts from the last of the content; and a client that sends a
/// byte now and then does not hold a connection to the origin for ever.
async fn within<T>(
    Patience { deadline, min_rate }: Patience,
    progress: Option<&Progress>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, UpstreamError> {
    let Some(progress) = progress else {
        return tokio::time::timeout(deadline, work).await.map_err(|_elapsed| UpstreamError::FirstByteTimeout);
    };
    let (mut quiet, mut left) = (Duration::ZERO, GRACE);
    loop {
        let look = LOOK.min(deadline.saturating_sub(quiet));
        if let Ok(done) = tokio::time::timeout(look, work.as_mut()).await {
            return Ok(done);
        }
        let (moved, bytes, is_starved) = (progress.take_moved(), progress.take_bytes(), progress.is_starved());
        quiet = if moved { Duration::ZERO } else { quiet + look };
        if let Some(earned) = bytes.saturating_mul(1000).checked_div(min_rate) {
            left = (left + Duration::from_millis(earned)).min(MOST_EARNED);
            left = if is_starved { left.saturating_sub(look) } else { left };
        }
        let is_over = quiet >= deadline;
        if is_starved && (is_over || left.is_zero()) {
            return Err(UpstreamError::RequestStalled);
        }
        if is_over {
            return Err(UpstreamError::FirstByteTimeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::BodyExt;
    use larder_tower::RequestBody;

    use super::*;

    const PATIENCE: Patience = Patience { deadline: Duration::from_secs(30), min_rate: 0 };

    fn upload(body: impl Body<Data = Bytes, Error = std::io::Error> + Send + 'static) -> (WatchedBody, Option<Arc<Progress>>) {
        let body = WatchedBody::new(RequestBody::new(body), &http::HeaderMap::new(), None);
        let progress = body.progress();
        (body, progress)
    }

    /// A frame of so many bytes every twenty seconds, as often as told; then nothing more, without an end.
    struct Slow(usize, usize, std::pin::Pin<Box<tokio::time::Sleep>>);

    impl Slow {
        fn new(frames: usize) -> Self {
            Self::of(frames, 1)
        }

        fn of(frames: usize, bytes: usize) -> Self {
            Self(frames, bytes, Box::pin(tokio::time::sleep(Duration::from_secs(20))))
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
            std::task::ready!(self.2.as_mut().poll(cx));
            let (frames, bytes) = (self.0 - 1, self.1);
            *self = Self::of(frames, bytes);
            std::task::Poll::Ready(Some(Ok(Frame::data(vec![b'x'; bytes].into()))))
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
        assert!(within(PATIENCE, progress.as_deref(), pin!(work)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stops_is_the_clients_stall() {
        let (mut body, progress) = upload(Slow::new(2));
        let work = async { while body.frame().await.is_some() {} };
        let error = within(PATIENCE, progress.as_deref(), pin!(work)).await.expect_err("stalled");
        assert!(matches!(error, UpstreamError::RequestStalled), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_that_is_silent_after_the_upload_has_timed_out() {
        let (mut body, progress) = upload(Slow::new(1));
        let work = async {
            body.frame().await.expect("frame").expect("data");
            pending::<()>().await;
        };
        let error = within(PATIENCE, progress.as_deref(), pin!(work)).await.expect_err("silent");
        assert!(matches!(error, UpstreamError::FirstByteTimeout), "{error:?}");
    }

    const AT_LEAST_1_KIB: Patience = Patience { deadline: Duration::from_secs(30), min_rate: 1024 };

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_drips_is_the_clients_stall_however_often_it_moves() {
        let (mut body, progress) = upload(Slow::of(1000, 1024));
        let mut frames = 0;
        let work = async {
            while body.frame().await.is_some() {
                frames += 1;
            }
        };
        let error = within(AT_LEAST_1_KIB, progress.as_deref(), pin!(work)).await.expect_err("too slow");
        assert!(matches!(error, UpstreamError::RequestStalled), "{error:?}");
        assert_eq!(frames, 0, "the first frame would have come after twenty seconds, and ten are granted");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_beginning_does_not_pay_for_an_endless_end() {
        let (mut body, progress) = upload(First(Some(Bytes::from(vec![b'x'; 1 << 20])), Slow::of(1000, 1)));
        let mut frames = 0;
        let work = async {
            while body.frame().await.is_some() {
                frames += 1;
            }
        };
        let error = within(AT_LEAST_1_KIB, progress.as_deref(), pin!(work)).await.expect_err("too slow");
        assert!(matches!(error, UpstreamError::RequestStalled), "{error:?}");
        assert!((2..5).contains(&frames), "a minute was earned, not the seventeen that a mebibyte makes: {frames}");
    }

    /// A frame at once, and then others.
    struct First(Option<Bytes>, Slow);

    impl Body for First {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            match self.0.take() {
                Some(first) => std::task::Poll::Ready(Some(Ok(Frame::data(first)))),
                None => Pin::new(&mut self.1).poll_frame(cx),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_at_the_least_rate_goes_on() {
        let (mut body, progress) = upload(First(Some(Bytes::from(vec![b'x'; 20 * 1024])), Slow::of(50, 20 * 1024)));
        let work = async {
            for _ in 0..=50 {
                body.frame().await.expect("frame").expect("data");
            }
        };
        assert!(within(Patience { min_rate: 1000, ..AT_LEAST_1_KIB }, progress.as_deref(), pin!(work)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_its_origin_does_not_take_is_not_the_clients_stall() {
        let (mut body, progress) = upload(First(Some(Bytes::from_static(b"x")), Slow::of(0, 0)));
        let work = async {
            body.frame().await.expect("frame").expect("data");
            // What is there of it waits to be written, so nobody asks for more.
            tokio::time::sleep(Duration::from_secs(25)).await;
        };
        assert!(within(AT_LEAST_1_KIB, progress.as_deref(), pin!(work)).await.is_ok());
    }
}
