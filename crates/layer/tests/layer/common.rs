//! An inner service that is scripted in memory, and a cache in front of it.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, response};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use larder_tower::clock::{Clock, ClockHand};
use larder_tower::{
    BoxError, Cache, CacheBody, CacheService, ClientBody, EffectiveTarget, FetchError, MayBypass, Outcome, RequestBody, RouteRules,
    RouteRulesBuilder, ServeFuture, Timestamp,
};
use tower_service::Service;

pub(crate) type OriginBody = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Answer = Result<Response<OriginBody>, io::Error>;
type Script = dyn Fn(Request<RequestBody>) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync;

/// Answers by script, and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Origin {
    script: Arc<Script>,
    requests: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    count: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Origin {
    /// An origin that takes no longer than it must.
    pub(crate) fn new(script: impl Fn(&Request<RequestBody>) -> Reply + Send + Sync + 'static) -> Self {
        Self::waiting(move |request| {
            let reply = script(&request);
            async move { Ok(reply.build()) }
        })
    }

    /// An origin that takes its time, or fails.
    pub(crate) fn waiting<F>(script: impl Fn(Request<RequestBody>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let script = move |request| -> Pin<Box<dyn Future<Output = Answer> + Send>> {
            let answer = script(request);
            // Nobody's answer is there before the request was sent: whoever comes meanwhile finds the exchange under way.
            Box::pin(async move {
                tokio::task::yield_now().await;
                answer.await
            })
        };
        Self { script: Arc::new(script), requests: Arc::default(), count: Arc::default() }
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// The fields of request number `n`, from 0.
    pub(crate) fn fields(&self, n: usize) -> HeaderMap {
        self.requests.lock().unwrap()[n].1.clone()
    }

    /// The path and query of request number `n`, from 0.
    pub(crate) fn target(&self, n: usize) -> String {
        self.requests.lock().unwrap()[n].0.clone()
    }
}

impl Service<Request<RequestBody>> for Origin {
    type Response = Response<OriginBody>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
        self.requests.lock().unwrap().push((target, request.headers().clone()));
        self.count.fetch_add(1, Ordering::SeqCst);
        (self.script)(request)
    }
}

/// Answers everything at once, and remembers nothing: for what is counted.
#[derive(Clone, Debug)]
pub(crate) struct Instant<F>(pub(crate) F);

impl<F: Fn(&Request<RequestBody>) -> Response<Full<Bytes>>> Service<Request<RequestBody>> for Instant<F> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        ready(Ok((self.0)(&request)))
    }
}

/// A response being written.
pub(crate) struct Reply(response::Builder, OriginBody);

pub(crate) fn response(status: u16, body: &'static str) -> Reply {
    let builder = Response::builder().status(status).header("content-length", body.len());
    Reply(builder, Full::new(Bytes::from_static(body.as_bytes())).map_err(Into::into).boxed_unsync())
}

/// A response whose body comes as the test sends it.
pub(crate) fn streaming(status: u16, body: OriginBody) -> Reply {
    Reply(Response::builder().status(status), body)
}

impl Reply {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value), self.1)
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self(self.0.status(status), self.1)
    }

    pub(crate) fn build(self) -> Response<OriginBody> {
        self.0.body(self.1).unwrap()
    }
}

pub(crate) const START: Timestamp = Timestamp::from_secs(1_000_000_000);

pub(crate) fn rules() -> RouteRules {
    builder().build()
}

/// The same, to be changed.
pub(crate) fn builder() -> RouteRulesBuilder {
    RouteRules::builder()
        .name("test")
        .sort_query(true)
        .drop_parameters(["utm_*"])
        .bypass_parameter("no_cache", MayBypass::anyone())
        .max_object(1 << 20)
}

/// A cache with a clock that stands still.
pub(crate) fn service(origin: Origin) -> CacheService<Origin> {
    with_rules(origin, rules()).0
}

/// A cache whose rules and clock the test holds.
pub(crate) fn with_rules(origin: Origin, rules: RouteRules) -> (CacheService<Origin>, ClockHand) {
    let (clock, hand) = Clock::manual(START);
    (CacheService::new(origin, Cache::builder(64 << 20).max_object(1 << 20).clock(clock).build(), Arc::new(rules)), hand)
}

pub(crate) fn get(target: &str) -> Request<Empty<Bytes>> {
    request("GET", target, &[])
}

pub(crate) fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let builder = Request::builder().method(method).uri(target).header("host", "example.com");
    fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(Empty::new()).unwrap()
}

pub(crate) fn header<B>(response: &Response<B>, name: &str) -> String {
    response.headers().get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

/// An answer with its body read to the end.
pub(crate) struct Read {
    pub(crate) response: Response<()>,
    pub(crate) body: Result<Bytes, larder_tower::BodyError>,
    pub(crate) outcome: Outcome,
}

impl Read {
    pub(crate) fn x_cache(&self) -> String {
        header(&self.response, "x-cache")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().expect("the body broke off")).unwrap()
    }
}

pub(crate) async fn send(cache: &CacheService<Origin>, request: Request<impl ClientBody>) -> Read {
    try_send(cache, request).await.expect("an answer")
}

pub(crate) async fn try_send(cache: &CacheService<Origin>, request: Request<impl ClientBody>) -> Result<Read, FetchError> {
    let served = cache.serve(request, EffectiveTarget::default(), |_| ()).await?;
    Ok(read(served.response, served.outcome).await)
}

pub(crate) async fn read(response: Response<CacheBody<OriginBody>>, outcome: Outcome) -> Read {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(|collected| collected.to_bytes());
    Read { response: Response::from_parts(parts, ()), body, outcome }
}

/// Starts requests without letting any of them finish: each has gone as far as it gets by itself.
pub(crate) fn start(
    cache: &CacheService<Origin>,
    requests: impl IntoIterator<Item = Request<impl ClientBody>>,
) -> Vec<ServeFuture<OriginBody>> {
    let mut futures: Vec<_> = requests.into_iter().map(|request| cache.serve(request, EffectiveTarget::default(), |_| ())).collect();
    for future in &mut futures {
        let polled = Pin::new(future).poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(polled.is_pending(), "a request that should wait did not");
    }
    futures
}

/// Lets them all finish.
pub(crate) async fn finish(futures: Vec<ServeFuture<OriginBody>>) -> Vec<Result<Read, FetchError>> {
    futures_util::future::join_all(futures.into_iter().map(|future| async {
        let served = future.await?;
        Ok(read(served.response, served.outcome).await)
    }))
    .await
}

/// A body that the test sends.
pub(crate) fn channel() -> (Sender<Bytes, BoxError>, OriginBody) {
    let (sender, body) = Channel::new(64);
    (sender, body.boxed_unsync())
}

/// The next frame's bytes; `None` at a clean end.
pub(crate) async fn frame(body: &mut CacheBody<OriginBody>) -> Option<Result<Bytes, larder_tower::BodyError>> {
    body.frame().await.map(|frame| frame.map(|frame| frame.into_data().expect("data")))
}
