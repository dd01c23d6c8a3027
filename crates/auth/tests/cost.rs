//! What a request costs whose token was seen before.

use std::time::Duration;

use larder_auth::{Algorithm, Context, TokenRules, Verifier};
use larder_semantics::{Timestamp, TokenVerifier};
use larder_testkit::alloc::{CountingAllocator, allocations};
use larder_testkit::tokens::{TokenKey, claims, key_set};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const ISSUER: &str = "https://id.example";

/// Of tokens that this key has signed. It remembers a hundred.
fn verifier(algorithm: Algorithm, key: &TokenKey) -> Verifier {
    let rules = TokenRules {
        algorithms: vec![algorithm],
        issuer: ISSUER.to_owned(),
        audience: Vec::new(),
        leeway: Duration::ZERO,
        claims: Vec::new(),
    };
    let context = Context { now: Box::new(|| Timestamp::from_secs(1)), unknown_key: Box::new(|| ()) };
    let verifier = Verifier::new(rules, vec!["sub".to_owned()], 100, context, None);
    verifier.set_keys(key_set(&[key]).as_bytes()).expect("keys");
    verifier
}

#[test]
fn a_token_that_is_remembered_costs_neither_a_signature_nor_an_allocation() {
    let key = TokenKey::p256("a").expect("a key");
    let verifier = verifier(Algorithm::Es256, &key);
    let good = key.sign(&claims(ISSUER, "ann")).expect("a token");
    let forged = TokenKey::p256("a").expect("a key").sign(&claims(ISSUER, "ann")).expect("a token");
    // The first of each is checked.
    assert!(verifier.verified(good.as_bytes()).is_some() && verifier.verified(forged.as_bytes()).is_none());
    let ((), counted) = allocations(|| {
        for _ in 0..1000 {
            assert!(verifier.verified(good.as_bytes()).is_some() && verifier.verified(forged.as_bytes()).is_none());
        }
    });
    assert_eq!(counted.count, 0);
    let checked: u64 = verifier.checked().map(|(_, count)| count).sum();
    assert_eq!(checked, 2);
}

/// Ten times as many tokens as are remembered, each of them good.
#[test]
fn no_flood_of_tokens_is_remembered_beyond_the_bound() {
    let key = TokenKey::ed25519("a").expect("a key");
    let verifier = verifier(Algorithm::EdDsa, &key);
    for number in 0..1000 {
        let token = key.sign(&claims(ISSUER, &number.to_string())).expect("a token");
        assert!(verifier.verified(token.as_bytes()).is_some());
    }
    assert!(verifier.token_count() <= 100, "{}", verifier.token_count());
}
