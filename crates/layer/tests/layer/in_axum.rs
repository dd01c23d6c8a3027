//! The layer in axum, as its users mount it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, MatchedPath, Request};
use axum::http::StatusCode;
use axum::routing::{get, post};
use http_body_util::BodyExt;
use larder_tower::{Cache, CacheLayer, RouteRules, RouteRulesBuilder};
use tower::timeout::TimeoutLayer;
use tower::{ServiceBuilder, ServiceExt};

fn rules() -> RouteRulesBuilder {
    RouteRules::builder().ttl(Duration::from_secs(60))
}

fn layer() -> CacheLayer {
    CacheLayer::new(Cache::new(1 << 20), rules().build())
}

/// The status, `X-Cache` and the content of the answer.
async fn ask(app: &Router, method: &str, path: &str) -> (u16, String, String) {
    let request = Request::builder().method(method).uri(path).header("host", "a.example").body(Body::empty()).expect("a request");
    let response = app.clone().oneshot(request).await.expect("it cannot fail");
    let (status, result) = (response.status().as_u16(), crate::common::header(&response, "x-cache"));
    let content = response.into_body().collect().await.expect("complete").to_bytes();
    (status, result, String::from_utf8(content.into()).expect("text"))
}

#[tokio::test]
async fn handlers_get_what_axum_and_outer_layers_have_put_into_the_request() {
    let handler = async |path: MatchedPath, Extension(user): Extension<&'static str>| format!("{} for {user}", path.as_str());
    let app = Router::new().route("/issues/{id}", get(handler)).layer(layer()).layer(Extension("anyone"));
    let expected = |result: &str| (200, result.to_owned(), "/issues/{id} for anyone".to_owned());
    assert_eq!(ask(&app, "GET", "/issues/7").await, expected("MISS"));
    assert_eq!(ask(&app, "GET", "/issues/7").await, expected("HIT"));
}

#[tokio::test]
async fn a_write_through_the_layer_makes_its_url_old_and_its_content_reaches_the_handler() {
    let app = Router::new().route("/echo", get(async || "stored").post(async |body: String| body)).layer(layer());
    assert_eq!((ask(&app, "GET", "/echo").await.1, ask(&app, "GET", "/echo").await.1), ("MISS".to_owned(), "HIT".to_owned()));
    let request = Request::post("/echo").header("host", "a.example").body(Body::from("sent")).expect("a request");
    let response = app.clone().oneshot(request).await.expect("it cannot fail");
    assert_eq!(response.into_body().collect().await.expect("complete").to_bytes(), "sent");
    assert_eq!(ask(&app, "GET", "/echo").await.1, "MISS");
}

/// Behind the cache a time-out needs no `HandleErrorLayer`.
#[tokio::test(start_paused = true)]
async fn a_timeout_behind_the_cache_is_a_504() {
    let behind = ServiceBuilder::new().layer(layer()).layer(TimeoutLayer::new(Duration::from_secs(1)));
    let app = Router::new().route("/slow", get(std::future::pending::<StatusCode>)).layer(behind);
    assert_eq!(ask(&app, "GET", "/slow").await.0, 504);
}

#[tokio::test]
async fn a_layer_around_the_whole_router_sees_whole_paths() {
    let inner = |text: &'static str| Router::new().route("/a", get(move || async move { text }));
    let app = Router::new().nest("/one", inner("one")).nest("/two", inner("two")).layer(layer());
    for (path, text) in [("/one/a", "one"), ("/two/a", "two"), ("/one/a", "one")] {
        assert_eq!(ask(&app, "GET", path).await.2, text);
    }
}

#[tokio::test]
async fn layers_within_nested_routers_need_a_namespace_each() {
    let cache = Cache::new(1 << 20);
    let inner = |text: &'static str| {
        let layer = CacheLayer::new(Arc::clone(&cache), rules().namespace(text).build());
        Router::new().route("/a", get(move || async move { text })).layer(layer)
    };
    let app = Router::new().nest("/one", inner("one")).nest("/two", inner("two"));
    for (path, result, text) in [("/one/a", "MISS", "one"), ("/two/a", "MISS", "two"), ("/two/a", "HIT", "two")] {
        assert_eq!(ask(&app, "GET", path).await, (200, result.to_owned(), text.to_owned()));
    }
}

#[tokio::test]
async fn unrouted_paths_and_unknown_methods_pass() {
    let app = Router::new().route("/a", post(async || "created")).layer(layer());
    assert_eq!(ask(&app, "GET", "/nowhere").await.0, 404);
    assert_eq!(ask(&app, "GET", "/a").await.0, 405);
    assert_eq!(ask(&app, "POST", "/a").await, (200, "BYPASS".to_owned(), "created".to_owned()));
}
