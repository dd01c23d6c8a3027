//! The tower service by itself, without a gateway around it.

use crate::common;

use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use common::{Origin, OriginBody, header, request, response};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use larder_tower::clock::{Clock, ClockHand};
use larder_tower::{
    Cache, CacheResult, CacheService, FetchError, FetchErrorKind, HeaderTags, HeldBack, Invalidation, Outcome, Reason, RequestBody,
};
use tower_service::Service;

#[tokio::test]
async fn rfc9110_7_6_1_fields_that_end_at_this_hop_do_not_select() {
    let origin = Origin::new(|request| {
        let flavour = request.headers().get("x-flavour").map_or("plain", |_| "sweet");
        response(200, flavour).header("cache-control", "max-age=60").header("vary", "x-flavour")
    });
    let mut cache = common::service(origin.clone());
    let mut ask = async |fields: &[(&str, &str)]| {
        let response = cache.call(request("GET", "/a", fields)).await.expect("an answer");
        let x_cache = header(&response, "x-cache");
        (x_cache, response.into_body().collect().await.expect("complete").to_bytes())
    };
    // Filled by a request whose field is for this hop only; found by one that has none, not by one that has it for the origin.
    assert_eq!(ask(&[("connection", "x-flavour"), ("x-flavour", "sweet")]).await, ("MISS".to_owned(), "plain".into()));
    assert_eq!(ask(&[]).await, ("HIT".to_owned(), "plain".into()));
    assert_eq!(ask(&[("x-flavour", "sweet")]).await, ("MISS".to_owned(), "sweet".into()));
    assert_eq!(ask(&[("connection", "close, x-flavour"), ("x-flavour", "sweet")]).await, ("HIT".to_owned(), "plain".into()));
    assert!(!origin.fields(0).contains_key("x-flavour"));
}

#[tokio::test]
async fn the_cache_may_be_asked_while_a_request_is_extended() {
    let origin = Origin::new(|_| response(200, "x").header("cache-control", "max-age=60"));
    let cache = common::service(origin.clone());
    common::send(&cache, common::get("/known")).await;
    let mut found = None;
    let served = cache.serve(common::get("/a"), larder_tower::EffectiveTarget::default(), |_| {
        let mut request = http::Request::get("/known").header("host", "example.com").body(()).expect("a request");
        let plain = cache.look_up_plain::<common::OriginBody>(&mut request, &larder_tower::EffectiveTarget::default());
        found = plain.and_then(larder_tower::Plain::stored).map(|answer| answer.status());
    });
    let served = served.await.expect("an answer");
    assert_eq!(common::read(served.response, served.outcome).await.text(), "x");
    assert_eq!(found, Some(http::StatusCode::OK));
}

#[test]
fn a_stale_answer_needs_no_runtime() {
    let origin = Origin::new(|_| response(200, "x").header("cache-control", "max-age=1, stale-while-revalidate=60"));
    let (cache, hand) = common::with_rules(origin, common::rules());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(common::send(&cache, common::get("/a")));
    hand.advance(2);
    let served = cache.serve(common::get("/a"), larder_tower::EffectiveTarget::default(), |_| ()).into_ready().expect("an answer at once");
    assert!(served.outcome.stale);
}

#[tokio::test]
async fn a_response_tells_layers_around_it_how_it_came_about() {
    let mut cache = common::service(Origin::new(|_| response(200, "x").header("cache-control", "max-age=60")));
    let mut results = Vec::new();
    for fields in [&[][..], &[], &[("cache-control", "no-cache")]] {
        let Ok(response) = cache.call(request("GET", "/a", fields)).await;
        let outcome = response.extensions().get::<Outcome>().expect("an outcome");
        results.push((outcome.result, outcome.reason, header(&response, "x-cache")));
        response.into_body().collect().await.expect("complete");
    }
    let miss = |reason| (CacheResult::Miss, reason, "MISS".to_owned());
    assert_eq!(results, [miss(Reason::Absent), (CacheResult::Hit, Reason::Fresh, "HIT".to_owned()), miss(Reason::RequestNoCache)]);
}

#[tokio::test]
async fn rfc9209_a_failure_is_an_answer_that_says_what_went_wrong_and_nothing_of_the_inside() {
    let tagged = FetchError::new(FetchErrorKind::Overloaded, "10.0.0.7 is full").with_upstream_status(StatusCode::TOO_MANY_REQUESTS);
    for (error, status, proxy_status, kind) in [
        (io::ErrorKind::ConnectionRefused.into(), 502, "larder; error=destination_unavailable", FetchErrorKind::Connect),
        (io::ErrorKind::TimedOut.into(), 504, "larder; error=http_response_timeout", FetchErrorKind::Timeout),
        (io::Error::other("10.0.0.7 is odd"), 502, "larder; error=proxy_internal_error", FetchErrorKind::Other),
        (io::Error::other(tagged), 503, "larder; error=connection_limit_reached", FetchErrorKind::Overloaded),
    ] {
        let error = std::sync::Mutex::new(Some(error));
        let origin = Origin::waiting(move |_| std::future::ready(Err(error.lock().unwrap().take().expect("asked once"))));
        let Ok(response) = common::service(origin).call(request("GET", "/a", &[])).await;
        assert_eq!((response.status().as_u16(), header(&response, "proxy-status").as_str()), (status, proxy_status));
        assert_eq!(header(&response, "cache-control"), "no-store");
        assert_eq!(response.extensions().get::<FetchError>().map(FetchError::kind), Some(kind));
        assert_eq!(response.into_body().collect().await.expect("complete").to_bytes(), "");
    }
}

/// An error of the inner service's own type, beside one that tells its kind and status.
#[tokio::test]
async fn rfc9209_2_1_5_the_status_of_a_failed_answer_is_told() {
    #[derive(Clone, Debug)]
    struct Refuses;

    impl Service<http::Request<larder_tower::RequestBody>> for Refuses {
        type Response = http::Response<common::OriginBody>;
        type Error = FetchError;
        type Future = std::future::Ready<Result<Self::Response, FetchError>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), FetchError>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<larder_tower::RequestBody>) -> Self::Future {
            let error =
                FetchError::new(FetchErrorKind::Protocol, "a page of errors").with_upstream_status(StatusCode::INTERNAL_SERVER_ERROR);
            std::future::ready(Err(error))
        }
    }

    let mut cache = larder_tower::CacheService::new(Refuses, larder_tower::Cache::new(1 << 20), common::rules());
    let Ok(response) = cache.call(request("GET", "/a", &[])).await;
    assert_eq!(header(&response, "proxy-status"), "larder; error=http_protocol_error; received-status=500");
    let error = response.extensions().get::<FetchError>().expect("the error");
    assert_eq!((error.to_string().as_str(), error.upstream_status()), ("a page of errors", Some(StatusCode::INTERNAL_SERVER_ERROR)));
}

#[tokio::test]
async fn a_body_that_breaks_off_tells_the_status_of_its_answer() {
    for (control, status) in [("max-age=60", 200), ("no-store", 200), ("no-store", 404)] {
        let (mut sender, body) = common::channel();
        let body = std::sync::Mutex::new(Some(body));
        let origin = Origin::new(move |_| {
            common::streaming(status, body.lock().unwrap().take().expect("asked once")).header("cache-control", control)
        });
        let Ok(response) = common::service(origin).call(request("GET", "/a", &[])).await;
        let mut body = response.into_body();
        sender.send_data("some".into()).await.expect("somebody reads");
        assert_eq!(common::frame(&mut body).await.expect("a frame").expect("bytes"), "some");
        sender.abort(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        let broken = common::frame(&mut body).await.expect("an error").expect_err("it broke off");
        let error = broken.fetch_error().expect("the inner service's");
        assert_eq!((error.kind(), error.upstream_status().map(|status| status.as_u16())), (FetchErrorKind::Terminated, Some(status)));
    }
}

#[tokio::test]
async fn rfc9110_7_8_each_upgrade_is_a_connection_of_its_own() {
    let origin = Origin::new(|request| match request.headers().contains_key("upgrade") {
        true => response(101, "").header("upgrade", "websocket"),
        false => response(200, "page").header("cache-control", "max-age=60"),
    });
    let mut cache = common::service(origin.clone());
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    for _ in 0..2 {
        let Ok(response) = cache.call(request("GET", "/a", &upgrade)).await;
        let outcome = response.extensions().get::<Outcome>().expect("an outcome");
        assert_eq!((response.status().as_u16(), outcome.result, outcome.reason), (101, CacheResult::Bypass, Reason::Upgrade));
    }
    assert_eq!(origin.count(), 2);
    assert!(origin.fields(0).contains_key("upgrade"));
    let Ok(page) = cache.call(request("GET", "/a", &[])).await;
    assert_eq!(header(&page, "x-cache"), "MISS");
}

/// A service before an origin that names a tag, with what it answers now to a GET of one issue.
async fn after(invalidation: Option<Invalidation>) -> (String, bool) {
    let origin = Origin::new(|_| response(200, "x").header("cache-control", "max-age=60").header("surrogate-key", "issue:7 project:1"));
    let (mut cache, _) = common::with_rules(origin, common::builder().tags(HeaderTags::surrogate_key()).build());
    let ask = || request("GET", "/issues/7?a=1&b=2", &[]);
    let Ok(first) = cache.call(ask()).await;
    assert!(!first.headers().contains_key("surrogate-key"), "clients do not see tags");
    first.into_body().collect().await.expect("complete");
    if let Some(invalidation) = invalidation {
        cache.cache().invalidate(&invalidation).await;
    }
    let Ok(second) = cache.call(ask()).await;
    (header(&second, "x-cache"), second.extensions().get::<Outcome>().is_some_and(|outcome| outcome.stale))
}

#[tokio::test]
async fn a_service_purges_from_code_by_any_name_of_a_response() {
    let headers = request("GET", "/", &[]).headers().clone();
    let url = common::rules().url(&http::Uri::from_static("/issues/7?b=2&a=1"), &headers);
    for (invalidation, expected) in [
        (Invalidation::path("/issues/7"), "MISS"),
        (Invalidation::prefix("/issues"), "MISS"),
        (Invalidation::pattern("*/issues/*"), "MISS"),
        (Invalidation::tag("issue:7"), "MISS"),
        (Invalidation::tag("project:*"), "MISS"),
        (url.clone().into(), "MISS"),
        (Invalidation::everything(), "MISS"),
        (Invalidation::path("/other").and(url), "MISS"),
        (Invalidation::path("/other"), "HIT"),
        (Invalidation::tag("issue:8"), "HIT"),
    ] {
        assert_eq!(after(Some(invalidation.clone())).await, (expected.to_owned(), false), "{invalidation:?}");
    }
    assert_eq!(after(Some(Invalidation::tag("issue:7").into_soft())).await, ("HIT".to_owned(), true));
    assert_eq!(after(None).await, ("HIT".to_owned(), false));
}

/// A service that has a place 10 seconds after it is asked for one, and whose queue takes 7 seconds more.
#[derive(Clone, Debug)]
struct Busy(ClockHand);

impl Service<Request<RequestBody>> for Busy {
    type Response = Response<OriginBody>;
    type Error = io::Error;
    type Future = Ready<common::Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        self.0.advance(10);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        self.0.advance(7);
        let mut answer = response(200, "x").header("cache-control", "max-age=5").build();
        answer.extensions_mut().insert(HeldBack(Duration::from_secs(7)));
        ready(Ok(answer))
    }
}

#[tokio::test]
async fn rfc9111_4_2_3_the_time_before_a_request_goes_out_is_no_age() {
    let (clock, hand) = Clock::manual(common::START);
    let mut cache = CacheService::new(Busy(hand.clone()), Cache::builder(1 << 20).clock(clock).build(), Arc::new(common::rules()));
    for (x_cache, age) in [("MISS", ""), ("HIT", "2")] {
        let Ok(answer) = cache.call(request("GET", "/a", &[])).await;
        assert_eq!((header(&answer, "x-cache").as_str(), header(&answer, "age").as_str()), (x_cache, age));
        answer.into_body().collect().await.expect("complete");
        hand.advance(2);
    }
}
