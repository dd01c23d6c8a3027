//! Tokens that are believed, and every way of forging one that is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use larder_semantics::{Timestamp, TokenVerifier, VerifiedClaims};
use larder_testkit::tokens::{FAR, TokenKey, claims, encoded, key_set, sign_with_secret};

use crate::{Algorithm, Context, KeySet, KeySetError, TokenRules, Verifier};

const ISSUER: &str = "https://id.example";

/// Seconds since the epoch at which these tests begin.
const START: u64 = 1_000_000;

/// A verifier with its clock, and how often it has asked for new keys.
struct Bench {
    verifier: Verifier,
    now: Arc<AtomicU64>,
    asked: Arc<AtomicUsize>,
}

fn rules(algorithms: &[Algorithm]) -> TokenRules {
    let (audience, claims) = Default::default();
    TokenRules { algorithms: algorithms.to_vec(), issuer: ISSUER.to_owned(), audience, leeway: Duration::from_secs(10), claims }
}

fn bench(rules: TokenRules, keys: &[&TokenKey]) -> Bench {
    let (now, asked) = (Arc::new(AtomicU64::new(START)), Arc::<AtomicUsize>::default());
    let (clock, counter) = (Arc::clone(&now), Arc::clone(&asked));
    let context = Context {
        now: Box::new(move || Timestamp::from_secs(clock.load(Ordering::Relaxed))),
        unknown_key: Box::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }),
    };
    let verifier = Verifier::new(rules, vec!["sub".to_owned()], 100, context, None);
    if !keys.is_empty() {
        verifier.set_keys(key_set(keys).as_bytes()).expect("keys");
    }
    Bench { verifier, now, asked }
}

impl Bench {
    fn verified(&self, token: &str) -> Option<Arc<VerifiedClaims>> {
        self.verifier.verified(token.as_bytes())
    }

    /// The word for what the last check found.
    #[track_caller]
    fn refused(&self, token: &str) -> &'static str {
        let counts = || self.verifier.checked().collect::<Vec<_>>();
        let before = counts();
        assert!(self.verified(token).is_none(), "{token}");
        let grown = counts().into_iter().zip(before).find(|((_, after), (_, before))| after > before);
        grown.map_or("", |((word, _), _)| word)
    }
}

fn of_ann() -> VerifiedClaims {
    VerifiedClaims::read(ISSUER, br#"{"sub":"ann"}"#, &["sub".to_owned()]).expect("claims")
}

fn key(id: &str) -> TokenKey {
    TokenKey::p256(id).expect("a key")
}

fn signed(key: &TokenKey, claims: &str) -> String {
    key.sign(claims).expect("a token")
}

#[test]
fn tokens_of_each_kind_of_key_are_believed() {
    let keys = [TokenKey::rsa("a"), TokenKey::p256("b"), TokenKey::ed25519("c")].map(|key| key.expect("a key"));
    let bench = bench(rules(&[Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]), &keys.each_ref());
    for key in &keys {
        let found = bench.verified(&signed(key, &claims(ISSUER, "ann"))).unwrap_or_else(|| panic!("{}", key.algorithm()));
        assert_eq!(*found, of_ann(), "{}", key.algorithm());
    }
    assert_eq!((bench.verifier.key_count(), bench.verifier.token_count()), (3, 3));
}

#[test]
fn rfc8725_2_1_an_algorithm_that_is_not_pinned_is_refused_whatever_the_header_says() {
    let rsa = TokenKey::rsa("a").expect("a key");
    let bench = bench(rules(&[Algorithm::Rs256]), &[&rsa, &key("b")]);
    let ann = claims(ISSUER, "ann");
    // The public key as the secret of an HMAC: what everybody knows signs.
    for secret in [rsa.jwk().into_bytes(), key_set(&[&rsa]).into_bytes()] {
        assert_eq!(bench.refused(&sign_with_secret("{\"alg\":\"HS256\",\"kid\":\"a\"}", &ann, &secret)), "algorithm");
    }
    for none in ["none", "None", "NONE", "", "HS512", "ES256", "RS257"] {
        let header = format!("{{\"alg\":\"{none}\",\"kid\":\"a\"}}");
        assert_eq!(bench.refused(&rsa.sign_with(&header, &ann).expect("a token")), "algorithm", "{none}");
        let unsigned = format!("{}.{}.", encoded(header.as_bytes()), encoded(ann.as_bytes()));
        assert_eq!(bench.refused(&unsigned), "algorithm", "{none}");
    }
    // PKCS1's signature under the name of PSS, and a key of another kind under this one's name.
    assert_eq!(bench.refused(&rsa.sign_with("{\"alg\":\"PS256\",\"kid\":\"a\"}", &ann).expect("a token")), "algorithm");
    assert_eq!(bench.refused(&rsa.sign_with("{\"alg\":\"RS256\",\"kid\":\"b\"}", &ann).expect("a token")), "unknown-key");
}

#[test]
fn a_token_that_is_changed_anywhere_or_signed_by_another_is_refused() {
    let (own, other) = (key("a"), key("a"));
    let bench = bench(rules(&[Algorithm::Es256]), &[&own]);
    let ann = claims(ISSUER, "ann");
    assert_eq!(bench.refused(&signed(&other, &ann)), "signature");
    let good = signed(&own, &ann);
    let parts: Vec<&str> = good.split('.').collect();
    let bobs = encoded(claims(ISSUER, "bob").as_bytes());
    assert_eq!(bench.refused(&format!("{}.{bobs}.{}", parts[0], parts[2])), "signature");
    for (broken, word) in [
        (format!("{}.{}", parts[0], parts[1]), "malformed"),
        (format!("{good}."), "malformed"),
        (format!("{good}="), "malformed"),
        (format!("{}.{}.", parts[0], parts[1]), "signature"),
        (format!("{}.{}.{}", parts[0], parts[1], &parts[2][..20]), "signature"),
        (format!(" {good}"), "malformed"),
        ("..".to_owned(), "malformed"),
        (String::new(), "malformed"),
        ("x".repeat(20_000), "malformed"),
    ] {
        assert_eq!(bench.refused(&broken), word, "{broken}");
    }
    assert!(bench.verified(&good).is_some());
}

#[test]
fn rfc7515_4_1_11_critical_parameters_and_keys_in_the_token_itself_are_not_followed() {
    let (own, other) = (key("a"), key("b"));
    let bench = bench(rules(&[Algorithm::Es256]), &[&own]);
    let ann = claims(ISSUER, "ann");
    let critical = r#"{"alg":"ES256","kid":"a","crit":["b64"],"b64":false}"#;
    assert_eq!(bench.refused(&own.sign_with(critical, &ann).expect("a token")), "malformed");
    let own_key = format!("{{\"alg\":\"ES256\",\"jwk\":{},\"jku\":\"http://evil.example/\"}}", other.jwk());
    assert_eq!(bench.refused(&other.sign_with(&own_key, &ann).expect("a token")), "signature");
    let twice = r#"{"alg":"ES256","alg":"ES256","kid":"a"}"#;
    assert_eq!(bench.refused(&own.sign_with(twice, &ann).expect("a token")), "malformed");
}

#[test]
fn a_token_of_another_issuer_for_others_or_without_what_is_asked_is_refused() {
    let own = key("a");
    let rules = TokenRules {
        audience: vec!["api".to_owned(), "web".to_owned()],
        claims: vec![("use".to_owned(), vec!["access".to_owned()])],
        ..rules(&[Algorithm::Es256])
    };
    let bench = bench(rules, &[&own]);
    let token = |rest: &str| signed(&own, &format!("{{\"sub\":\"ann\",\"exp\":{FAR}{rest}}}"));
    let issuer = format!(",\"iss\":\"{ISSUER}\"");
    for (rest, word) in [
        (String::new(), "issuer"),
        (",\"iss\":\"https://id.example/\",\"aud\":\"api\"".to_owned(), "issuer"),
        (format!(",\"iss\":[\"{ISSUER}\"],\"aud\":\"api\""), "malformed"),
        (issuer.clone(), "audience"),
        (format!("{issuer},\"aud\":\"other\""), "audience"),
        (format!("{issuer},\"aud\":[]"), "audience"),
        (format!("{issuer},\"aud\":7"), "malformed"),
        (format!("{issuer},\"aud\":\"api\""), "claims"),
        (format!("{issuer},\"aud\":\"api\",\"use\":\"id\""), "claims"),
        (format!("{issuer},\"aud\":\"api\",\"use\":null"), "claims"),
        (format!("{issuer},\"aud\":\"api\",\"use\":\"access\",\"sub\":\"bob\""), "malformed"),
    ] {
        assert_eq!(bench.refused(&token(&rest)), word, "{rest}");
    }
    for rest in [",\"aud\":\"api\",\"use\":\"access\"", ",\"aud\":[\"x\",\"web\"],\"use\":[\"id\",\"access\"]"] {
        assert_eq!(bench.verified(&token(&format!("{issuer}{rest}"))).as_deref(), Some(&of_ann()), "{rest}");
    }
}

#[test]
fn rfc7519_4_1_4_a_token_is_believed_from_its_beginning_to_its_end_and_the_leeway() {
    let own = key("a");
    let bench = bench(rules(&[Algorithm::Es256]), &[&own]);
    let token = |times: &str| signed(&own, &format!("{{\"iss\":\"{ISSUER}\",\"sub\":\"ann\"{times}}}"));
    for (times, word) in [
        (String::new(), "expired"),
        (format!(",\"exp\":{}", START - 10), "expired"),
        (",\"exp\":-1".to_owned(), "expired"),
        (",\"exp\":\"4102444800\"".to_owned(), "malformed"),
        (",\"exp\":1e999".to_owned(), "malformed"),
        (format!(",\"exp\":{FAR},\"nbf\":{}", START + 11), "not-yet"),
        (format!(",\"exp\":{FAR},\"nbf\":\"1\""), "malformed"),
    ] {
        assert_eq!(bench.refused(&token(&times)), word, "{times}");
    }
    assert!(bench.verified(&token(&format!(",\"exp\":{FAR},\"nbf\":{}", START + 10))).is_some());
    let ending = token(&format!(",\"exp\":{}.5", START + 5));
    let beginning = token(&format!(",\"exp\":{FAR},\"nbf\":{}", START + 20));
    assert!(bench.verified(&ending).is_some() && bench.verified(&beginning).is_none());
    bench.now.store(START + 15, Ordering::Relaxed);
    assert!(bench.verified(&ending).is_some() && bench.verified(&beginning).is_some(), "it was not remembered as refused for good");
    bench.now.store(START + 16, Ordering::Relaxed);
    assert!(bench.verified(&ending).is_none(), "what is remembered ends with the token");
}

#[test]
fn a_clock_that_was_ahead_for_a_moment_locks_no_token_out() {
    let own = key("a");
    let bench = bench(rules(&[Algorithm::Es256]), &[&own]);
    let token = signed(&own, &format!("{{\"iss\":\"{ISSUER}\",\"sub\":\"ann\",\"exp\":{}}}", START + 100));
    let count = |word: &str| bench.verifier.checked().find(|(own, _)| *own == word).map(|(_, count)| count);
    bench.now.store(START + 3600, Ordering::Relaxed);
    for _ in 0..3 {
        assert!(bench.verified(&token).is_none());
    }
    assert_eq!(count("expired"), Some(1), "it is not checked each time");
    bench.now.store(START, Ordering::Relaxed);
    for _ in 0..3 {
        assert!(bench.verified(&token).is_some());
    }
    assert_eq!(count("verified"), Some(1));
    bench.now.store(START + 110, Ordering::Relaxed);
    assert!(bench.verified(&token).is_none());
    let endless = signed(&own, &format!("{{\"iss\":\"{ISSUER}\",\"sub\":\"ann\"}}"));
    assert!(bench.verified(&endless).is_none() && bench.verified(&endless).is_none());
    assert_eq!(count("expired"), Some(2), "a token without an end is refused for good");
}

#[test]
fn a_token_is_checked_once_and_again_when_the_keys_change() {
    let (first, second) = (key("a"), key("b"));
    let bench = bench(rules(&[Algorithm::Es256]), &[&first]);
    let token = signed(&first, &claims(ISSUER, "ann"));
    let forged = format!("{token}AAAA");
    for _ in 0..3 {
        assert!(bench.verified(&token).is_some() && bench.verified(&forged).is_none());
    }
    let counts: Vec<_> = bench.verifier.checked().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counts, [("verified", 1), ("signature", 1)]);
    assert_eq!(bench.verifier.set_keys(key_set(&[&first]).as_bytes()), Ok(false));
    assert_eq!(bench.verifier.set_keys(key_set(&[&first, &second]).as_bytes()), Ok(true));
    assert!(bench.verified(&token).is_some());
    assert_eq!(bench.verifier.set_keys(key_set(&[&second]).as_bytes()), Ok(true));
    assert_eq!(bench.refused(&token), "unknown-key", "its key was withdrawn");
}

#[test]
fn a_key_that_is_not_known_is_asked_for_and_the_token_is_looked_at_again() {
    let (first, second) = (key("a"), key("b"));
    let bench = bench(rules(&[Algorithm::Es256]), &[&first]);
    let token = signed(&second, &claims(ISSUER, "ann"));
    assert_eq!((bench.refused(&token), bench.asked.load(Ordering::Relaxed)), ("unknown-key", 1));
    bench.verifier.set_keys(key_set(&[&first, &second]).as_bytes()).expect("keys");
    assert!(bench.verified(&token).is_some());
}

#[test]
fn without_keys_no_token_is_believed_and_broken_ones_leave_the_old_in_force() {
    let own = key("a");
    let token = signed(&own, &claims(ISSUER, "ann"));
    assert_eq!(bench(rules(&[Algorithm::Es256]), &[]).refused(&token), "unknown-key");
    let bench = bench(rules(&[Algorithm::Es256]), &[&own]);
    for broken in ["", "<html>", "{}", "{\"keys\":7}", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"] {
        assert!(bench.verifier.set_keys(broken.as_bytes()).is_err(), "{broken}");
        assert!(bench.verified(&token).is_some());
    }
}

#[test]
fn a_token_without_the_name_of_its_key_is_tried_with_those_that_suit() {
    let (first, second, rsa) = (key("a"), key("b"), TokenKey::rsa("c").expect("a key"));
    let bench = bench(rules(&[Algorithm::Es256, Algorithm::Rs256]), &[&first, &rsa, &second]);
    for key in [&first, &second, &rsa] {
        let header = format!("{{\"alg\":\"{}\"}}", key.algorithm());
        assert!(bench.verified(&key.sign_with(&header, &claims(ISSUER, "ann")).expect("a token")).is_some());
    }
    assert_eq!(bench.refused(&key("d").sign_with("{\"alg\":\"ES256\"}", &claims(ISSUER, "ann")).expect("a token")), "signature");
}

#[test]
fn rfc7517_5_keys_that_are_not_understood_are_left_out_and_those_that_are_count() {
    let own = key("a");
    let with = |other: &str| format!("{{\"keys\":[{other},{}]}}", own.jwk());
    let all: Vec<Algorithm> = Algorithm::ALL.iter().map(|(_, algorithm)| *algorithm).collect();
    for other in [
        "7",
        "{}",
        r#"{"kty":"oct","k":"AAAA"}"#,
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
        r#"{"kty":"EC","crv":"secp256k1","x":"AAAA","y":"AAAA"}"#,
        &own.jwk().replace("\"sig\"", "\"enc\""),
        &own.jwk().replace("\"use\":\"sig\"", "\"key_ops\":[\"sign\"]"),
        &own.jwk().replace("\"use\":\"sig\"", "\"alg\":\"ES384\""),
        &own.jwk().replace("P-256", "P-384"),
    ] {
        assert_eq!(KeySet::parse(with(other).as_bytes(), &all).expect("a set").len(), 1, "{other}");
        let alone = format!("{{\"keys\":[{other}]}}");
        assert_eq!(KeySet::parse(alone.as_bytes(), &all).err(), Some(KeySetError::NoUse(1)), "{other}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 64, ..Default::default() })]
    #[test]
    fn no_token_and_no_set_makes_it_panic(header in ".{0,40}", payload in ".{0,40}", raw in "[ -~]{0,60}") {
        let own = key("a");
        let bench = bench(rules(&[Algorithm::Es256]), &[&own]);
        let _ = bench.verified(&raw);
        let _ = bench.verified(&own.sign_with(&header, &payload).expect("a token"));
        let _ = bench.verified(&signed(&own, &payload));
        let _ = KeySet::parse(raw.as_bytes(), &[Algorithm::Es256]);
    }
}
