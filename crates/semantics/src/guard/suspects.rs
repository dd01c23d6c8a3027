//! What one client sent, and the answer must not give back to others.

use std::borrow::Cow;

use super::search::{first_of, holds};
use crate::key::{IdentityPart, KeyRules, claims};
use crate::reason::Reason;
use crate::vary::VarySpec;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CONTENT_LOCATION, CONTENT_SECURITY_POLICY, COOKIE, FORWARDED, LINK, LOCATION, REFRESH,
    SET_COOKIE,
};
use http::{HeaderMap, HeaderName};

/// Bytes of the shortest value that is looked for: shorter ones are in answers by chance.
const MIN_VALUE: usize = 7;

/// Values for which a list has room at first, of those that browsers and proxies send.
const USUAL: usize = 16;

/// Fields of an answer that send a client somewhere, or allow something.
const TELLING: [HeaderName; 7] =
    [LOCATION, LINK, SET_COOKIE, CONTENT_SECURITY_POLICY, CONTENT_LOCATION, REFRESH, ACCESS_CONTROL_ALLOW_ORIGIN];

/// Claims of a token that name its client (RFC 7519 §4.1.2, OpenID Connect Core §5.1, and those of Microsoft's).
const NAMING: [&str; 8] = ["email", "sub", "preferred_username", "name", "phone_number", "upn", "unique_name", "oid"];

/// A value that an answer for everyone must not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect<'r> {
    source: Source<'r>,
    value: Cow<'r, [u8]>,
}

/// Where a value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source<'r> {
    Field(&'r str),
    Cookie(&'r [u8]),
    Claim(&'static str),
}

impl Suspect<'_> {
    /// Where it is from: a field, `cookie NAME` or `claim NAME`.
    pub fn from(&self) -> String {
        match self.source {
            Source::Field(name) => name.to_owned(),
            Source::Cookie(name) => format!("cookie {}", String::from_utf8_lossy(name)),
            Source::Claim(name) => format!("claim {name}"),
        }
    }

    /// Why an answer that holds it is not for everyone.
    pub fn reason(&self) -> Reason {
        match self.source {
            Source::Claim(_) => Reason::NamesClient,
            Source::Field(_) | Source::Cookie(_) => Reason::Reflected,
        }
    }
}

/// The values of one request that its answer must not hold.
#[derive(Clone, Debug, Default)]
pub struct Suspects<'r> {
    values: Vec<Suspect<'r>>,
    key: &'r str,
}

impl<'r> Suspects<'r> {
    /// Those of a request with these fields, whose answer is stored under `key` (as text), for the variant that `vary` selects.
    pub fn of(rules: &KeyRules, key: &'r str, vary: Option<&VarySpec>, request: &'r HeaderMap) -> Self {
        let mut suspects = Self { values: Vec::new(), key };
        let identifies = |name: &HeaderName| rules.identity.iter().any(|part| matches!(part, IdentityPart::Header(own) if own == name));
        let selects = |name: &HeaderName| vary.is_some_and(|vary| vary.names().contains(name));
        let mut is_authorized = false;
        for (name, value) in request {
            let (field, value) = (name.as_str(), value.as_bytes());
            is_authorized |= *name == AUTHORIZATION;
            if value.len() < MIN_VALUE || is_plain(field) || rules.headers.contains(name) || identifies(name) || selects(name) {
                continue;
            }
            if *name == COOKIE {
                suspects.add_cookies(rules, value);
            } else if *name == AUTHORIZATION {
                let token = value.splitn(2, |&byte| byte == b' ').last().unwrap_or_default();
                suspects.add(Source::Field(field), token);
            } else {
                for member in value.split(|&byte| byte == b',') {
                    // `Forwarded: for=192.0.2.1;host="a.example"` (RFC 7239).
                    let parts = member.split(|&byte| *name == FORWARDED && byte == b';');
                    let value = |part: &'r [u8]| if *name == FORWARDED { after_equals(part) } else { part };
                    parts.for_each(|part| suspects.add(Source::Field(field), value(part)));
                }
            }
        }
        if is_authorized {
            suspects.add_claims(rules, request);
        }
        suspects
    }

    fn add_cookies(&mut self, rules: &KeyRules, line: &'r [u8]) {
        for pair in line.split(|&byte| byte == b';').map(<[u8]>::trim_ascii) {
            let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
            if !rules.keeps_cookie(name) {
                self.add(Source::Cookie(name), after_equals(pair));
            }
        }
    }

    /// Proxies say the same in several fields.
    fn add(&mut self, source: Source<'r>, value: &'r [u8]) {
        let value = value.trim_ascii();
        if value.len() >= MIN_VALUE && self.values.iter().all(|known| *known.value != *value) {
            if self.values.is_empty() {
                // A list that grows by and by is copied each time.
                self.values.reserve(USUAL);
            }
            self.values.push(Suspect { source, value: value.into() });
        }
    }

    fn add_claims(&mut self, rules: &KeyRules, request: &HeaderMap) {
        if rules.authorization_in_key() || rules.has_subject() {
            return;
        }
        for (name, value) in claims::texts(request, &NAMING) {
            if value.len() >= MIN_VALUE {
                self.values.push(Suspect { source: Source::Claim(name), value: value.into_bytes().into() });
            }
        }
    }

    /// What is part of the key cannot be another's, wherever it was sent as well. Few values come back, so this is asked of those alone, unless the answer
    /// would have to be decoded first.
    pub fn without_keyed(mut self) -> Self {
        self.values.retain(|suspect| !in_key(self.key, suspect));
        self
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One that a field of the answer holds by which it sends clients somewhere, or allows something.
    pub fn in_fields(&self, answer: &HeaderMap) -> Option<&Suspect<'r>> {
        self.first_in(&telling(answer).collect::<Vec<_>>())
    }

    /// One that the beginning of the body holds, which lies in these pieces. They are searched where they lie, and what stands over the seams apart.
    pub fn in_body(&self, pieces: &[&[u8]]) -> Option<&Suspect<'r>> {
        let reach = self.values.iter().map(|suspect| suspect.value.len()).max()? - 1;
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        // Of many short pieces, or for a long value, the whole is less than all seams.
        if pieces.len().saturating_sub(1) * 2 * reach > length {
            return self.first_in(&[&pieces.concat()]);
        }
        let seams = seams(pieces, reach);
        let texts: Vec<&[u8]> = pieces.iter().copied().chain(seams.iter().map(Vec::as_slice)).collect();
        self.first_in(&texts)
    }

    fn first_in(&self, texts: &[&[u8]]) -> Option<&Suspect<'r>> {
        let values: Vec<&[u8]> = self.values.iter().map(|suspect| &*suspect.value).collect();
        let first = first_of(&values, texts, |value| !in_key(self.key, &self.values[value]))?;
        self.values.get(first)
    }
}

/// What stands at each seam of pieces: so many bytes before it, and as many behind it.
fn seams(pieces: &[&[u8]], reach: usize) -> Vec<Vec<u8>> {
    let around = |seam: usize| {
        let (before, behind) = pieces.split_at(seam);
        let mut left = reach;
        let from = before.iter().rposition(|piece| {
            let is_enough = piece.len() >= left;
            left = left.saturating_sub(piece.len());
            is_enough
        });
        let before = &before[from.unwrap_or_default()..];
        let skipped = before.iter().map(|piece| piece.len()).sum::<usize>().saturating_sub(reach);
        let mut text: Vec<u8> = before.iter().flat_map(|piece| piece.iter()).skip(skipped).copied().collect();
        let end = text.len() + reach;
        for piece in behind {
            text.extend_from_slice(&piece[..piece.len().min(end - text.len())]);
            if text.len() == end {
                break;
            }
        }
        text
    };
    (1..pieces.len()).map(around).collect()
}

/// Whether an answer has fields that [`Suspects::in_fields`] looks at, with values that are long enough. Few have.
pub fn may_tell(answer: &HeaderMap) -> bool {
    telling(answer).any(|line| line.len() >= MIN_VALUE)
}

/// The lines of those fields. One walk over the few fields of an answer costs less than hashing all that might be there.
fn telling(answer: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    answer.iter().filter(|(name, _)| TELLING.contains(name)).map(|(_, line)| line.as_bytes())
}

fn in_key(key: &str, suspect: &Suspect<'_>) -> bool {
    holds(key.as_bytes(), &suspect.value)
}

/// Whether a field's values are words that many answers hold anyway, or the request's own name, which is about nobody.
fn is_plain(field: &str) -> bool {
    let is_of_kind = match field.as_bytes().first() {
        Some(b'a') => field.starts_with("accept") || field.starts_with("access-control-request-"),
        Some(b'c') => field.starts_with("content-"),
        Some(b'i') => field.starts_with("if-"),
        Some(b's') => field.starts_with("sec-"),
        _ => false,
    };
    is_of_kind
        || matches!(
            field,
            "cache-control"
                | "connection"
                | "date"
                | "dnt"
                | "expect"
                | "host"
                | "keep-alive"
                | "max-forwards"
                | "pragma"
                | "priority"
                | "range"
                | "te"
                | "traceparent"
                | "tracestate"
                | "upgrade-insecure-requests"
                | "user-agent"
                | "x-request-id"
                | "x-requested-with"
        )
}

fn after_equals(part: &[u8]) -> &[u8] {
    let value = part.iter().position(|&byte| byte == b'=').map_or(&[][..], |at| &part[at + 1..]).trim_ascii();
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const KEY: &str = "v1:default:GET:http://shop.example/a?b=promotion";

    fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?));
        pairs.iter().filter_map(field).collect()
    }

    fn found(rules: &KeyRules, request: &[(&str, &str)], body: &str) -> Option<(String, Reason)> {
        let request = fields(request);
        let suspects = Suspects::of(rules, KEY, None, &request);
        suspects.in_body(&[body.as_bytes()]).map(|suspect| (suspect.from(), suspect.reason()))
    }

    #[test]
    fn an_unkeyed_value_that_comes_back_is_found_and_where_it_is_from() {
        let rules = KeyRules::default();
        for (name, value, body, from) in [
            ("x-forwarded-host", "evil.example", "<script src=\"//evil.example/a.js\">", "x-forwarded-host"),
            ("x-forwarded-host", "a.example, evil.example", "evil.example", "x-forwarded-host"),
            ("forwarded", "for=192.0.2.1;host=\"evil.example\"", "evil.example", "forwarded"),
            ("x-anything", "<b>hello</b>", "..<b>hello</b>..", "x-anything"),
            ("cookie", "a=1; lang=en\"><script>", "en\"><script>", "cookie lang"),
            ("authorization", "Bearer 0123456789", "your token is 0123456789", "authorization"),
        ] {
            assert_eq!(found(&rules, &[(name, value)], body), Some((from.to_owned(), Reason::Reflected)), "{name}: {value}");
        }
    }

    #[test]
    fn what_the_key_or_the_variant_has_or_everybody_sends_is_nobodys_secret() {
        let rules = KeyRules::default();
        for (name, value) in [
            ("x-forwarded-host", "shop.example"),
            ("x-promo", "promotion"),
            ("x-short", "abcdef"),
            ("user-agent", "Mozilla/5.0"),
            ("accept-language", "de-DE,de"),
            ("content-type", "text/plain"),
            ("sec-fetch-site", "same-origin"),
            ("if-none-match", "\"0123456789\""),
        ] {
            assert_eq!(found(&rules, &[(name, value)], value), None, "{name}: {value}");
        }
        let mut keyed = KeyRules { headers: vec![HeaderName::from_static("x-tenant")], ..KeyRules::default() };
        keyed.cookies.key = vec!["currency".to_owned()];
        assert_eq!(found(&keyed, &[("x-tenant", "acme-corp"), ("cookie", "currency=euro-cents")], "acme-corp euro-cents"), None);
        let request = fields(&[("x-theme", "dark-theme")]);
        let vary = VarySpec::new(vec![HeaderName::from_static("x-theme")]);
        assert!(Suspects::of(&rules, KEY, Some(&vary), &request).is_empty());
        assert!(!Suspects::of(&rules, KEY, None, &request).is_empty());
    }

    #[test]
    fn what_several_fields_say_is_looked_for_once() {
        let request = fields(&[("x-forwarded-for", "203.0.113.7, 198.51.100.9"), ("x-real-ip", "203.0.113.7")]);
        let suspects = Suspects::of(&KeyRules::default(), KEY, None, &request);
        assert_eq!(suspects.values.len(), 2, "{suspects:?}");
        let keyed = fields(&[("x-promo", "promotion"), ("x-theme", "dark-theme")]);
        let suspects = Suspects::of(&KeyRules::default(), KEY, None, &keyed);
        assert_eq!((suspects.values.len(), suspects.without_keyed().values.len()), (2, 1));
    }

    #[test]
    fn fields_that_lead_elsewhere_or_allow_something_are_searched_and_no_others() {
        let request = fields(&[("x-forwarded-host", "evil.example"), ("origin", "https://other.example")]);
        let suspects = Suspects::of(&KeyRules::default(), KEY, None, &request);
        for (name, value) in [
            ("location", "https://evil.example/a"),
            ("link", "<https://evil.example/a.css>; rel=preload"),
            ("set-cookie", "a=b; Domain=evil.example"),
            ("content-security-policy", "script-src evil.example"),
            ("access-control-allow-origin", "https://other.example"),
        ] {
            let answer = fields(&[(name, value)]);
            assert!(may_tell(&answer) && suspects.in_fields(&answer).is_some(), "{name}");
        }
        assert_eq!(suspects.in_fields(&fields(&[("x-debug", "evil.example"), ("location", "/a")])), None);
    }

    #[test]
    fn a_value_is_found_wherever_the_pieces_of_the_body_end() {
        let request = fields(&[("x-a", "evil.example"), ("x-b", "another-value")]);
        let suspects = Suspects::of(&KeyRules::default(), KEY, None, &request);
        let body = [vec![b'.'; 100], b"evil.example".to_vec(), vec![b'.'; 100]].concat();
        for one in 1..body.len() {
            for other in one..(one + 20).min(body.len()) {
                let pieces = [&body[..one], &body[one..other], &body[other..]];
                assert!(suspects.in_body(&pieces).is_some(), "{one} {other}");
                let without = [&body[..one.min(105)], &b"!"[..], &body[one.max(105)..]];
                assert_eq!(suspects.in_body(&without), None, "{one}");
            }
        }
        assert!(suspects.in_body(&body.chunks(1).collect::<Vec<_>>()).is_some() && suspects.in_body(&[]).is_none());
    }

    #[test]
    fn a_claim_that_names_the_client_is_found() {
        // {"sub":"user-0000007","email":"ann@example.com","admin":true}
        let token = "Bearer e30.eyJzdWIiOiJ1c2VyLTAwMDAwMDciLCJlbWFpbCI6ImFubkBleGFtcGxlLmNvbSIsImFkbWluIjp0cnVlfQ.x";
        let request = [("authorization", token)];
        let rules = KeyRules::default();
        let claim = |name: &str| Some((format!("claim {name}"), Reason::NamesClient));
        assert_eq!(found(&rules, &request, "{\"mail\":\"ann@example.com\"}"), claim("email"));
        assert_eq!(found(&rules, &request, "{\"id\":\"user-0000007\"}"), claim("sub"));
        assert_eq!(found(&rules, &request, "{\"mail\":\"bob@example.com\"}"), None);
        let own = KeyRules { identity: vec![IdentityPart::Header(AUTHORIZATION)], ..KeyRules::default() };
        let by_claim = KeyRules { identity: vec![IdentityPart::Claim("sub".to_owned())], ..KeyRules::default() };
        for own in [own, by_claim] {
            assert_eq!(found(&own, &request, "{\"mail\":\"ann@example.com\"}"), None, "it is that client's own");
        }
        let of_all = KeyRules { identity: vec![IdentityPart::Claim("org".to_owned())], ..KeyRules::default() };
        assert_eq!(found(&of_all, &request, "{\"mail\":\"ann@example.com\"}"), claim("email"), "others of its organisation get it too");
    }
}
