//! Targets of `larder-auth`: bearer tokens, and the keys that they are checked with.

use std::sync::OnceLock;
use std::time::Duration;

use larder_auth::fuzzing::end_of;
use larder_auth::{Algorithm, Context, KeySet, TokenRules, Verifier};
use larder_semantics::{Timestamp, TokenVerifier};

/// Every target of this crate.
pub const TARGETS: &[super::FuzzTarget] = &[("tokens", tokens), ("key_sets", key_sets)];

/// The key and the token of RFC 7515 §A.3.
const KEY: &[u8] = include_bytes!("../corpus/key_sets/p256");
const TOKEN: &[u8] = include_bytes!("../corpus/tokens/rfc7515_a_3");

/// Before the end of that token.
const NOW: Timestamp = Timestamp::from_secs(1_300_819_000);

fn rules() -> TokenRules {
    TokenRules {
        algorithms: Algorithm::ALL.iter().map(|(_, algorithm)| *algorithm).collect(),
        issuer: "joe".to_owned(),
        audience: Vec::new(),
        leeway: Duration::from_secs(60),
        claims: Vec::new(),
    }
}

fn verifier() -> &'static Verifier {
    static VERIFIER: OnceLock<Verifier> = OnceLock::new();
    VERIFIER.get_or_init(|| {
        let context = Context { now: Box::new(|| NOW), unknown_key: Box::new(|| ()) };
        let verifier = Verifier::new(rules(), Vec::new(), 100, context, None);
        assert_eq!(verifier.set_keys(KEY), Ok(true));
        verifier
    })
}

/// What is signed ends with the signature, and nobody has the private key: so a token that is believed says what that of the RFC says. A payload that is
/// believed once it is signed has not ended.
pub fn tokens(data: &[u8]) {
    let signed = |token: &[u8]| token.iter().rposition(|byte| *byte == b'.').map(|end| token[..end].to_vec());
    if verifier().verified(data).is_some() {
        assert_eq!(signed(data), signed(TOKEN));
        assert!(verifier().verified(data).is_some(), "it is remembered");
    }
    if let Ok(end) = end_of(data, &rules(), NOW) {
        assert!(end > NOW, "{end:?}");
    }
}

/// A set that is read has keys, and the same for fewer algorithms has no more.
pub fn key_sets(data: &[u8]) {
    let all = rules().algorithms;
    let Ok(keys) = KeySet::parse(data, &all) else { return };
    assert!(!keys.is_empty());
    if let Ok(fewer) = KeySet::parse(data, &all[..3]) {
        assert!(fewer.len() <= keys.len());
    }
}
