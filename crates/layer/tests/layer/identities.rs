//! Responses that are for one effective.

use std::sync::Arc;

use larder_semantics::{IdentityPart, Reason};
use larder_tower::{RouteRules, TokenVerifier, VerifiedClaims};

use crate::common::{Origin, builder, header, request, response, rules, send, with_rules};

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

/// Believes tokens that say so; `sub` and `org` stand behind.
#[derive(Debug)]
struct Believing;

impl TokenVerifier for Believing {
    fn verified(&self, token: &[u8]) -> Option<Arc<VerifiedClaims>> {
        let (sub, org) = std::str::from_utf8(token).ok()?.strip_prefix("good-")?.split_once('-')?;
        let payload = format!("{{\"sub\":\"{sub}\",\"org\":\"{org}\"}}");
        VerifiedClaims::read("https://id.example", payload.as_bytes(), &["sub".to_owned(), "org".to_owned()]).map(Arc::new)
    }
}

fn by_claim(claims: &[&str], identity: &[&str]) -> RouteRules {
    let identity = identity.iter().map(|name| IdentityPart::Claim((*name).to_owned()));
    builder().identity(identity).key_claims(claims.iter().copied()).token_verifier(Arc::new(Believing)).build()
}

/// Tells each client its own token.
fn personal(cache_control: &'static str) -> Origin {
    Origin::new(move |request| {
        let token = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("nobody");
        response(200, "personal").header("cache-control", cache_control).header("x-who", token)
    })
}

#[tokio::test]
async fn tokens_with_the_same_claims_share_and_no_others_do() {
    for (rules, second) in [(by_claim(&[], &["sub"]), "MISS"), (by_claim(&["org"], &[]), "HIT")] {
        let (cache, _) = with_rules(origin("max-age=60"), rules);
        let (ann, bob): (&[_], &[_]) = (&[("authorization", "Bearer good-ann-x")], &[("authorization", "Bearer good-bob-x")]);
        let other: &[_] = &[("authorization", "Bearer good-cid-y")];
        assert_eq!(results(&cache, &[ann, ann, bob, other, ann]).await, ["MISS", "HIT", second, "MISS", "HIT"]);
    }
}

#[tokio::test]
async fn a_token_that_is_not_believed_gets_nothing_that_is_stored_and_leaves_nothing_behind() {
    for cache_control in ["max-age=60", "public, max-age=60", "private, max-age=60"] {
        for rules in [by_claim(&[], &["sub"]), by_claim(&["sub"], &[])] {
            let origin = personal(cache_control);
            let (cache, _) = with_rules(origin.clone(), rules);
            send(&cache, request("GET", "/me", &[("authorization", "Bearer good-ann-x")])).await;
            send(&cache, request("GET", "/me", &[])).await;
            let asked = origin.count();
            for (number, forged) in ["Bearer forged-ann-x", "Bearer good-ann", "bearer x", "Bearer forged-ann-x"].iter().enumerate() {
                let served = send(&cache, request("GET", "/me", &[("authorization", forged)])).await;
                assert_eq!((served.x_cache().as_str(), served.outcome.reason), ("BYPASS", Reason::UnverifiedToken), "{forged}");
                assert_eq!((header(&served.response, "x-who").as_str(), origin.count()), (*forged, asked + number + 1));
            }
            let nobody = send(&cache, request("GET", "/me", &[])).await;
            assert_eq!(header(&nobody.response, "x-who"), "nobody", "{cache_control}");
        }
    }
}

#[tokio::test]
async fn two_tokens_in_one_request_are_none() {
    let (cache, _) = with_rules(origin("public, max-age=60"), by_claim(&[], &["sub"]));
    let two = &[("authorization", "Bearer good-ann-x"), ("authorization", "Bearer good-bob-x")];
    assert_eq!(send(&cache, request("GET", "/me", two)).await.outcome.reason, Reason::UnverifiedToken);
}
