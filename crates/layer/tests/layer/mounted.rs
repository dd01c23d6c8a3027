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
