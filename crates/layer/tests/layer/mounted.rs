//! The tower service by itself, without a gateway around it.

use crate::common;

use common::{Origin, header, request, response};
use http_body_util::BodyExt;
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
async fn whoever_extends_a_request_may_ask_the_cache_meanwhile() {
    let origin = Origin::new(|_| response(200, "x").header("cache-control", "max-age=60"));
    let cache = common::service(origin.clone());
    common::send(&cache, common::get("/known")).await;
    let mut found = None;
    let served = cache.serve(common::get("/a"), larder_tower::Caller::default(), |_| {
        let request = http::Request::get("/known").header("host", "example.com").body(()).expect("a request");
        found = cache.serve_stored::<common::OriginBody>(&request, &larder_tower::Caller::default()).map(|answer| answer.status());
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
    let served = cache.serve(common::get("/a"), larder_tower::Caller::default(), |_| ()).into_ready().expect("an answer at once");
    assert!(served.outcome.stale);
}
