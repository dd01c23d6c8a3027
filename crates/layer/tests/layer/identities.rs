//! Responses that are for one effective.

use larder_semantics::IdentityPart;
use larder_tower::RouteRules;

use crate::common::{Origin, builder, request, response, rules, send, with_rules};

fn by(identity: Vec<IdentityPart>) -> RouteRules {
    let mut key = rules().key().clone();
    key.identity = identity;
    builder().key(key).build()
}

fn origin(cache_control: &'static str) -> Origin {
    Origin::new(move |_| response(200, "somebody's").header("cache-control", cache_control))
}

async fn results(cache: &larder_tower::CacheService<Origin>, requests: &[&[(&str, &str)]]) -> Vec<String> {
    let mut results = Vec::new();
    for fields in requests {
        results.push(send(cache, request("GET", "/me", fields)).await.x_cache());
    }
    results
}

#[tokio::test]
async fn cookies_in_place_of_an_identity_share_nothing() {
    let token = || vec![IdentityPart::Header(http::header::AUTHORIZATION)];
    let (one, other): (&[_], &[_]) = (&[("cookie", "session=1")], &[("cookie", "session=2")]);
    let (cache, _) = with_rules(origin("max-age=60"), by(token()));
    assert_eq!(results(&cache, &[one, other, one, &[], other, &[]]).await, ["MISS", "MISS", "MISS", "MISS", "MISS", "HIT"]);
    let (cache, _) = with_rules(origin("public, max-age=60"), by(token()));
    assert_eq!(results(&cache, &[one, other]).await, ["MISS", "HIT"], "unless the origin says so");
    let known: &[_] = &[("cookie", "session=1"), ("authorization", "a")];
    assert_eq!(results(&cache, &[known, known]).await, ["MISS", "HIT"], "what tells who asks is enough");
}

#[tokio::test]
async fn a_client_without_the_identity_cookie_has_no_identity() {
    let (cache, _) = with_rules(origin("max-age=60"), by(vec![IdentityPart::Cookie("sid".into())]));
    let (nobody, one): (&[_], &[_]) = (&[("cookie", "theme=dark")], &[("cookie", "theme=dark; sid=1")]);
    assert_eq!(results(&cache, &[nobody, nobody, one, one]).await, ["MISS", "HIT", "MISS", "HIT"]);
}
