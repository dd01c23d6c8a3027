//! Claims of bearer tokens whose signature was checked. Who checks it has keys and a clock, and so is no part of these rules: a [`TokenVerifier`].

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::claims::{claim, text_of};
use super::{CLAIMS, IdentityPart, KeyRules, push_digits, push_value};
use crate::content::json::Value;

/// Checks bearer tokens: signature, issuer, audience, time.
pub trait TokenVerifier: fmt::Debug + Send + Sync {
    /// The claims of this token, which stood behind `Bearer `; `None` where it is not to be believed, for whatever reason.
    fn verified(&self, token: &[u8]) -> Option<Arc<VerifiedClaims>>;
}

/// What a verified token says, as far as keys may need it.
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedClaims {
    /// As it stands in keys: a `sub` is unique within its issuer only (RFC 7519 §4.1.2).
    issuer: Box<str>,
    claims: Box<[VerifiedClaim]>,
}

#[derive(Debug, PartialEq, Eq)]
struct VerifiedClaim {
    name: Box<str>,
    mark: char,
    value: Box<str>,
}

impl VerifiedClaims {
    /// The claims of these names in the payload of a token of `issuer`; `None` where it is no JSON object, or names a member twice.
    pub fn read(issuer: &str, payload: &[u8], names: &[String]) -> Option<Self> {
        let Some(Value::Object(members)) = Value::parse(payload) else { return None };
        let found = names.iter().filter_map(|name| {
            let (mark, value) = claim(&members, name)?;
            Some(VerifiedClaim { name: name.as_str().into(), mark, value: value.into() })
        });
        let mut hashed = String::new();
        push_digits(&mut hashed, &blake3::hash(issuer.as_bytes()));
        Some(Self { issuer: hashed.into(), claims: found.collect() })
    }

    /// A claim, with the mark that tells texts from numbers.
    fn get(&self, name: &str) -> Option<(char, &str)> {
        let found = self.claims.iter().find(|claim| &*claim.name == name)?;
        Some((found.mark, &found.value))
    }
}

/// The bearer token of one request.
#[derive(Debug)]
pub(super) enum Token {
    /// It shows none, or nothing depends on it.
    Absent,
    /// It shows one that is not to be believed, or more than one.
    Refused,
    /// It shows one.
    Verified(Arc<VerifiedClaims>),
}

impl Token {
    fn of(headers: &HeaderMap, verifier: Option<&dyn TokenVerifier>) -> Self {
        let mut tokens = headers.get_all(AUTHORIZATION).iter().filter_map(|line| text_of(line.as_bytes()));
        let Some(token) = tokens.next() else { return Self::Absent };
        if tokens.next().is_some() {
            return Self::Refused;
        }
        verifier.and_then(|verifier| verifier.verified(token)).map_or(Self::Refused, Self::Verified)
    }

    /// Appends ` #jwt=`, the hash of the issuer, and the claims of these names. Nothing where one of them is missing. Tells whether it did.
    pub(super) fn write(&self, names: &[String], text: &mut String) -> bool {
        let Self::Verified(claims) = self else { return false };
        if names.is_empty() || names.iter().any(|name| claims.get(name).is_none()) {
            return false;
        }
        text.push_str(CLAIMS);
        text.push_str(&claims.issuer);
        for name in names {
            let Some((mark, value)) = claims.get(name) else { continue };
            text.push(';');
            text.push_str(name);
            text.push(mark);
            push_value(text, value.as_bytes());
        }
        true
    }

    /// Calls `add` with what tells the value of a claim from all others.
    pub(super) fn each_part(&self, name: &str, mut add: impl FnMut(&[u8])) {
        let Self::Verified(claims) = self else { return };
        let Some((mark, value)) = claims.get(name) else { return };
        add(claims.issuer.as_bytes());
        add(mark.encode_utf8(&mut [0; 4]).as_bytes());
        add(value.as_bytes());
    }

    pub(super) fn is_verified(&self) -> bool {
        matches!(self, Self::Verified(_))
    }

    fn has(&self, name: &str) -> bool {
        matches!(self, Self::Verified(claims) if claims.get(name).is_some())
    }
}

impl KeyRules {
    /// The token of a request, where keys depend on it.
    pub(super) fn token(&self, headers: &HeaderMap) -> Token {
        if self.needs_verified_claims() { Token::of(headers, self.tokens.as_deref()) } else { Token::Absent }
    }

    /// The claims of verified tokens that keys depend on.
    pub fn verified_claims(&self) -> impl Iterator<Item = &str> {
        let of_key = self.claims.iter().filter(|_| !self.unverified_claims).map(String::as_str);
        of_key.chain(self.identity.iter().filter_map(|part| match part {
            IdentityPart::Claim(name) => Some(name.as_str()),
            _ => None,
        }))
    }

    /// Whether keys depend on claims of verified tokens.
    fn needs_verified_claims(&self) -> bool {
        (!self.claims.is_empty() && !self.unverified_claims) || self.identity.iter().any(|part| matches!(part, IdentityPart::Claim(_)))
    }

    /// Whether a request shows a token, and that does not say all that keys need of it.
    pub(super) fn lacks_claims(&self, token: &Token) -> bool {
        let is_needed = |part: &IdentityPart| matches!(part, IdentityPart::Claim(name) if !token.has(name));
        !matches!(token, Token::Absent)
            && ((!self.unverified_claims && self.claims.iter().any(|name| !token.has(name))) || self.identity.iter().any(is_needed))
    }

    /// Whether the key tells the client of a token from every other client: it has the claim that names it (RFC 7519 §4.1.2).
    pub(crate) fn has_subject(&self) -> bool {
        let is_subject = |part: &IdentityPart| matches!(part, IdentityPart::Claim(name) if name == SUBJECT);
        self.claims.iter().any(|name| name == SUBJECT) || self.identity.iter().any(is_subject)
    }
}

const SUBJECT: &str = "sub";

/// Appends a claim of the request's token, where `verifier` believes it. Tells whether it did.
pub fn put_verified_claim(headers: &HeaderMap, name: &str, verifier: Option<&dyn TokenVerifier>, text: &mut String) -> bool {
    let Token::Verified(claims) = Token::of(headers, verifier) else { return false };
    claims.get(name).map(|(_, value)| push_value(text, value.as_bytes())).is_some()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::{KeyBuffer, Target};
    use super::*;

    /// Believes tokens that begin with `good:`; the rest is the payload.
    #[derive(Debug)]
    struct Believing;

    impl TokenVerifier for Believing {
        fn verified(&self, token: &[u8]) -> Option<Arc<VerifiedClaims>> {
            let payload = token.strip_prefix(b"good:")?;
            let issuer = if payload.ends_with(b" ") { "https://b.example" } else { "https://a.example" };
            VerifiedClaims::read(issuer, payload, &["sub".to_owned(), "org".to_owned()]).map(Arc::new)
        }
    }

    fn rules(claims: &[&str], identity: &[&str]) -> KeyRules {
        KeyRules {
            claims: claims.iter().map(|name| (*name).to_owned()).collect(),
            identity: identity.iter().map(|name| IdentityPart::Claim((*name).to_owned())).collect(),
            tokens: Some(Arc::new(Believing)),
            ..KeyRules::default()
        }
    }

    fn derived(rules: &KeyRules, lines: &[&str]) -> KeyBuffer {
        let headers = lines.iter().map(|line| (AUTHORIZATION, HeaderValue::from_str(line).expect("a value"))).collect();
        let mut key = KeyBuffer::default();
        rules.derive(Target { scheme: "http", authority: "a.example", path: "/me", query: None }, &headers, &mut key);
        key
    }

    #[test]
    fn a_key_has_the_claims_of_a_verified_token_behind_its_issuer() {
        let key = derived(&rules(&["sub", "org"], &[]), &[r#"Bearer good:{"sub":"7","org":8}"#]);
        let issuer = super::super::hashed(b"https://a.example");
        assert_eq!(key.text(), format!("v1:default:GET:http://a.example/me #jwt=*{issuer};sub=7;org:8"));
        assert!(key.claimed() && !key.unverified() && !key.identified());
        let two = derived(&rules(&["sub"], &["org"]), &[r#"Bearer good:{"sub":"7","org":8}"#]);
        assert!(two.claimed() && two.identified() && !two.unverified(), "{}", two.text());
    }

    #[test]
    fn an_identity_of_claims_is_the_same_for_all_tokens_that_say_the_same_and_for_no_others() {
        let rules = rules(&[], &["sub"]);
        let key = |line: &str| {
            let key = derived(&rules, &[line]);
            assert!(key.identified() && key.claimed() && !key.unverified(), "{line}");
            key.text().to_owned()
        };
        let one = key(r#"Bearer good:{"sub":"7"}"#);
        assert_eq!(one, key(r#"bearer good:{"sub":"7","exp":1}"#));
        for other in [r#"Bearer good:{"sub":"8"}"#, r#"Bearer good:{"sub":7}"#] {
            assert_ne!(one, key(other), "{other}");
        }
    }

    #[test]
    fn rfc7519_4_1_2_the_same_subject_of_another_issuer_is_another_client() {
        for rules in [rules(&["sub"], &[]), rules(&[], &["sub"])] {
            let payload = br#"{"sub":"7"}"#;
            let mut keys = Vec::new();
            for issuer in ["https://a.example", "https://b.example"] {
                let claims = VerifiedClaims::read(issuer, payload, &["sub".to_owned()]).expect("claims");
                let (token, mut text) = (Token::Verified(Arc::new(claims)), String::new());
                token.write(&rules.claims, &mut text);
                super::super::identity::write(&rules.identity, &HeaderMap::new(), None, &token, &mut text);
                assert!(!text.is_empty());
                keys.push(text);
            }
            assert_ne!(keys[0], keys[1]);
        }
    }

    #[test]
    fn a_token_that_is_not_believed_is_said_to_be_unverified_and_is_in_no_key() {
        for rules in [rules(&["sub"], &[]), rules(&[], &["sub"]), rules(&["org"], &["sub"])] {
            for lines in [
                &[r#"Bearer bad:{"sub":"7","org":"8"}"#][..],
                &["Bearer x"],
                &[r#"Bearer good:{"other":"7"}"#],
                &[r#"Bearer good:{"sub":"7","org":"8"}"#, r#"Bearer good:{"sub":"7","org":"8"}"#],
                &["Basic QTpC", "Bearer x"],
            ] {
                let key = derived(&rules, lines);
                assert!(key.unverified() && !key.claimed() && !key.identified(), "{lines:?}: {}", key.text());
            }
            for lines in [&[][..], &["Basic QTpC"]] {
                let key = derived(&rules, lines);
                assert!(!key.unverified() && !key.claimed() && !key.identified(), "{lines:?}");
            }
        }
    }

    #[test]
    fn without_a_verifier_no_token_is_believed() {
        let rules = KeyRules { tokens: None, ..rules(&["sub"], &[]) };
        let key = derived(&rules, &[r#"Bearer good:{"sub":"7"}"#]);
        assert!(key.unverified() && !key.claimed());
    }

    #[test]
    fn rules_that_need_no_claims_do_not_look_at_tokens() {
        let rules = KeyRules { tokens: Some(Arc::new(Believing)), ..KeyRules::default() };
        assert!(!derived(&rules, &["Bearer bad"]).unverified());
    }

    #[test]
    fn a_verified_claim_stands_in_other_keys_as_it_is() {
        let put = |line: &'static str, verifier: Option<&dyn TokenVerifier>| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(line))]);
            let mut text = String::new();
            put_verified_claim(&headers, "sub", verifier, &mut text).then_some(text)
        };
        assert_eq!(put(r#"Bearer good:{"sub":"7"}"#, Some(&Believing)).as_deref(), Some("7"));
        assert_eq!(put(r#"Bearer bad:{"sub":"7"}"#, Some(&Believing)), None);
        assert_eq!(put(r#"Bearer good:{"sub":"7"}"#, None), None);
    }
}
