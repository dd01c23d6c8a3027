//! A cache service before a constant origin, filled and asked without a connection around it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use larder_semantics::GuardMode;
use larder_semantics::content::{ContentKind, ContentRules};
use larder_tower::clock::Clock;
use larder_tower::{Cache, CacheResult, CacheService, EffectiveTarget, MayBypass, RequestBody, RouteRules};
use tower_service::Service;

use crate::sample;

/// Answers everything with one cacheable response of 1 KiB.
#[derive(Clone, Copy, Debug)]
pub struct Origin;

impl Service<Request<RequestBody>> for Origin {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        let mut response = Response::new(Full::new(sample::body(1024)));
        *response.headers_mut() = sample::fields(1024);
        ready(Ok(response))
    }
}

/// A cache of 1 GiB before [`Origin`], with the rules of a route that says nothing.
pub fn service() -> CacheService<Origin> {
    with_guard(GuardMode::Off)
}

/// The same with a guard that refuses.
pub fn guarded() -> CacheService<Origin> {
    with_guard(GuardMode::Refuse)
}

fn with_guard(mode: GuardMode) -> CacheService<Origin> {
    let route = RouteRules::builder()
        .name("bench")
        .guard(mode)
        .sort_query(true)
        .drop_parameters(["utm_*"])
        .bypass_parameter("no_cache", MayBypass::anyone())
        .build();
    CacheService::new(Origin, Cache::builder(1 << 30).max_object(8 << 20).clock(Clock::system()).build(), route)
}

/// A cache whose route answers POST by its JSON.
pub fn searches() -> CacheService<Origin> {
    let mut content = ContentRules::new(ContentKind::Json);
    content.post = true;
    let route = RouteRules::builder().name("bench").content(Some(content)).build();
    CacheService::new(Origin, Cache::builder(1 << 30).max_object(8 << 20).clock(Clock::system()).build(), route)
}

/// A search of 2 KiB.
pub fn search() -> Bytes {
    format!(r#"{{"query":{{"match":{{"title":"{}"}}}},"size":10}}"#, "x".repeat(2000)).into()
}

/// A request with such a content.
///
/// # Panics
/// Never: the URI is one.
pub fn search_request(content: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(content));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = "/api/v1/search".parse().expect("a URI");
    request.headers_mut().insert(HOST, HeaderValue::from_static("api.example.com"));
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

/// One of the requests that [`fill`] makes.
///
/// # Panics
/// Never: the URI is one.
pub fn request(key: usize) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = format!("/api/v1/issues?page={key}&project=storefront").parse().expect("a URI");
    request.headers_mut().insert(HOST, HeaderValue::from_static("api.example.com"));
    request
}

/// Asks for `keys` different resources once.
///
/// # Panics
/// If there is no runtime, or an answer does not come.
pub fn fill(cache: &CacheService<Origin>, keys: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for key in 0..keys {
            let served = cache.serve(request(key), EffectiveTarget::default(), |_| ()).await.expect("an answer");
            served.response.into_body().collect().await.expect("a body");
        }
    });
}

/// Answers one request from the cache.
///
/// # Panics
/// If it is not a hit, ready at once.
pub fn hit(cache: &CacheService<Origin>, request: Request<Empty<Bytes>>) {
    let future = pin!(cache.serve(request, EffectiveTarget::default(), |_| ()));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(served)) => assert_eq!(served.outcome.result, CacheResult::Hit),
        _ => panic!("a hit is ready at once"),
    }
}

/// Answers one request from the origin, whose answer is there at once, and reads it to its end.
///
/// # Panics
/// If it is not a miss, or has to wait for anything.
pub fn miss(cache: &CacheService<Origin>, request: Request<Empty<Bytes>>) {
    let future = pin!(async {
        let served = cache.serve(request, EffectiveTarget::default(), |_| ()).await.expect("an answer");
        assert_eq!(served.outcome.result, CacheResult::Miss);
        served.response.into_body().collect().await.expect("a body");
    });
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_ready(), "the miss waited");
}
