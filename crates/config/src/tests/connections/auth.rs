//! `[auth.jwt]`, and the keys that take claims.

use std::time::Duration;

use larder_auth::Algorithm;
use larder_semantics::IdentityPart;

use super::super::{complaints, config};
use crate::{JwtKeys, LimitKey};

/// One key, of P-256 (RFC 7515 §A.3.1).
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

const USED: &str = "[cache]\nscope = \"identity\"\nidentity = [\"jwt:sub\"]";
const AT_A_URL: &str = "[auth.jwt]\nissuer = \"https://id.example\"\njwks_url = \"https://id.example/jwks\"";

#[test]
fn what_is_said_counts_and_the_rest_is_usual() {
    let jwt = config(&format!("{AT_A_URL}\n{USED}")).jwt.expect("a section");
    assert_eq!((jwt.rules.issuer.as_str(), jwt.rules.leeway, jwt.max_tokens), ("https://id.example", Duration::from_secs(60), 10_000));
    assert_eq!(jwt.rules.algorithms, [Algorithm::Rs256, Algorithm::Es256]);
    assert!(jwt.rules.audience.is_empty() && jwt.rules.claims.is_empty());
    let JwtKeys::Url(url) = jwt.keys else { panic!("{:?}", jwt.keys) };
    assert_eq!((url.refresh, url.min_refresh), (Duration::from_secs(3600), Duration::from_secs(10)));
    let more = "algorithms = [\"EdDSA\"]\naudience = [\"a\", \"b\"]\nclaims = { use = [\"access\", \"x\"], typ = [\"y\"] }\nleeway = \"0s\"\nmax_tokens = 200";
    let jwt = config(&format!("{AT_A_URL}\n{more}\nrefresh = \"5m\"\nmin_refresh = \"0s\"\n{USED}")).jwt.expect("a section");
    assert_eq!((jwt.rules.algorithms, jwt.rules.audience), (vec![Algorithm::EdDsa], vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!((jwt.rules.leeway, jwt.max_tokens), (Duration::ZERO, 200));
    let claims = |name: &str| jwt.rules.claims.iter().find(|(own, _)| own == name).map(|(_, values)| values.join(","));
    assert_eq!((claims("use").as_deref(), claims("typ").as_deref()), (Some("access,x"), Some("y")));
}

#[test]
fn keys_in_a_file_are_read_and_followed() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, KEYS).expect("a file");
    let text = format!("[auth.jwt]\nissuer = \"https://id.example\"\njwks_file = {path:?}\n{USED}");
    let config = config(&text);
    let jwt = config.jwt.as_ref().expect("a section");
    assert_eq!(jwt.keys, JwtKeys::Document(KEYS.as_bytes().into()));
    assert!(config.files().any(|file| file.path() == path));
    for (content, wrong) in [("{}", "this is no set of keys"), ("{\"keys\":[]}", "none of its 0 keys can be used")] {
        std::fs::write(&path, content).expect("a file");
        assert!(complaints(&text)[0].contains(wrong), "{:?}", complaints(&text));
    }
    std::fs::write(&path, KEYS).expect("a file");
    let other = format!("{}\nalgorithms = [\"RS256\"]\n{USED}", text.trim_end_matches(USED));
    assert!(complaints(&other)[0].contains("none of its 1 keys can be used"), "{:?}", complaints(&other));
}

#[test]
fn claims_are_named_where_they_tell_clients_apart() {
    let text = format!(
        "{AT_A_URL}\n[cache]\nscope = \"identity\"\nidentity = [\"jwt:sub\", \"cookie:s\"]\nkey = {{ jwt = [\"org\"] }}\n\
         [[limits]]\nname = \"a\"\nmax = 1\nper = \"1s\"\nkey = [\"jwt:client_id\"]\n\
         [[limits]]\nname = \"b\"\nmax = 1\nper = \"1s\"\nkey = [\"jwt:azp\"]\nunsafe_unverified = true"
    );
    let config = config(&text);
    assert_eq!(config.verified_claims(), ["client_id", "org", "sub"]);
    let key = &config.fallback.as_ref().expect("a route").settings.key;
    assert_eq!(key.identity, [IdentityPart::Claim("sub".to_owned()), IdentityPart::Cookie("s".to_owned())]);
    assert_eq!((key.claims.as_slice(), key.unverified_claims), (&["org".to_owned()][..], false));
    assert_eq!(config.limits[0].key, [LimitKey::Claim("client_id".to_owned())]);
    assert_eq!(config.limits[1].key, [LimitKey::UnverifiedClaim("azp".to_owned())]);
}

#[test]
fn what_cannot_be_meant_is_said() {
    let usual = "issuer = \"https://id.example\"\njwks_url = \"https://id.example/jwks\"";
    for (section, expected) in [
        ("jwks_url = \"https://id.example/jwks\"", "[auth.jwt] needs the key `issuer`"),
        ("issuer = \"\"\njwks_url = \"https://id.example/jwks\"", "`issuer` is empty"),
        ("issuer = \"x\"", "[auth.jwt] has no keys"),
        ("issuer = \"x\"\njwks_url = \"https://a/\"\njwks_file = \"/b\"", "[auth.jwt] has both `jwks_file` and `jwks_url`"),
        ("issuer = \"x\"\njwks_url = \"id.example\"", "`id.example` is not the URL of a set of keys"),
        ("issuer = \"x\"\njwks_url = \"https://u:p@id.example\"", "is not the URL of a set of keys"),
        ("issuer = \"x\"\njwks_url = \"http://id.example/jwks\"", "keys that come over http may be anybody's"),
        ("issuer = \"x\"\njwks_file = \"/nowhere/jwks.json\"", "cannot read /nowhere/jwks.json"),
        (&format!("{usual}\nalgorithms = [\"none\"]"), "a token with `none` has no signature"),
        (&format!("{usual}\nalgorithms = [\"HS256\"]"), "`HS256` signs with a secret, which a set of public keys cannot hold"),
        (&format!("{usual}\nalgorithms = [\"RS265\"]"), "unknown algorithm `RS265` (hint: did you mean `RS256`?)"),
        (&format!("{usual}\nalgorithms = []"), "`algorithms` names none"),
        (&format!("{usual}\naudience = []"), "`audience` is empty"),
        (&format!("{usual}\nleeway = \"1h\""), "a `leeway` this long believes tokens that have ended"),
        (&format!("{usual}\nrefresh = \"1m\"\nmin_refresh = \"2m\""), "`min_refresh` is longer than `refresh`"),
        (&format!("{usual}\nclaims = {{ \"a b\" = [\"c\"] }}"), "`a b` is not the name of a claim"),
        (&format!("{usual}\nca_file = \"/nowhere/ca.pem\""), "cannot read /nowhere/ca.pem"),
        (&format!("{usual}\nkeys = 1"), "unknown key `keys` in [auth.jwt]"),
    ] {
        let said = complaints(&format!("[auth.jwt]\n{section}\n{USED}"));
        assert!(said.iter().any(|line| line.contains(expected)), "{section}: {said:?}");
    }
}

#[test]
fn claims_without_verified_tokens_and_tokens_without_claims_are_said() {
    let without = "`jwt:` takes claims from tokens that nobody has verified here";
    for (text, expected) in [
        (USED.to_owned(), "\"jwt:\" is about tokens that are verified, and none is"),
        ("[cache]\nkey = { jwt = [\"sub\"] }".to_owned(), "`jwt` takes claims from tokens that nobody has verified here"),
        ("[[limits]]\nname = \"a\"\nmax = 1\nper = \"1s\"\nkey = [\"jwt:sub\"]".to_owned(), without),
        (AT_A_URL.to_owned(), "[auth.jwt] has no effect: nothing is told apart by claims"),
        (
            format!("{AT_A_URL}\n{USED}\nkey = {{ jwt = [\"org\"], unsafe_unverified = true }}"),
            "`unsafe_unverified` believes every token, although [auth.jwt] verifies them",
        ),
    ] {
        let said = complaints(&text);
        assert!(said.len() == 1 && said[0].contains(expected), "{text}: {said:?}");
    }
}
