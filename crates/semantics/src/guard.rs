//! Answers that must not be for everyone, whatever their fields say: those that give back what one client sent (web cache poisoning), that name
//! the client, or that their URL lies about (web cache deception).
//!
//! 1. [`Suspects::of`]: the values of a request that are part of neither the key nor the variant.
//! 2. [`Suspects::in_fields`] and [`Suspects::in_body`] look for them in the answer.
//! 3. [`is_misleading`] compares the path with the type of the answer.

use std::borrow::Cow;

use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CONTENT_LOCATION, CONTENT_SECURITY_POLICY, COOKIE, FORWARDED, LINK, LOCATION, REFRESH,
    SET_COOKIE,
};
use http::{HeaderMap, HeaderName, StatusCode};
use memchr::memmem;

use crate::key::{IdentityPart, KeyRules, claims};
use crate::reason::Reason;
use crate::vary::VarySpec;

/// What becomes of an answer that a guard finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuardMode {
    /// No guard looks.
    #[default]
    Off,
    /// It is stored as its fields say, and reported; but one that its URL lies about is not.
    Report,
    /// It is not stored, and reported.
    Refuse,
}

/// Bytes of the beginning of a body that are searched.
pub const SEARCHED: usize = 64 * 1024;

/// Bytes of the shortest value that is looked for: shorter ones are in answers by chance.
const MIN_VALUE: usize = 7;

/// Fields of an answer that send a client somewhere, or allow something.
const TELLING: [HeaderName; 7] =
    [LOCATION, LINK, SET_COOKIE, CONTENT_SECURITY_POLICY, CONTENT_LOCATION, REFRESH, ACCESS_CONTROL_ALLOW_ORIGIN];

/// Fields whose values are words that many answers hold anyway, or the request's own name, which is about nobody.
const PLAIN: [&str; 18] = [
    "cache-control",
    "connection",
    "date",
    "dnt",
    "expect",
    "host",
    "keep-alive",
    "max-forwards",
    "pragma",
    "priority",
    "range",
    "te",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-request-id",
    "x-requested-with",
    "upgrade-insecure-requests",
];

/// Beginnings of the names of such fields.
const PLAIN_KINDS: [&str; 5] = ["accept", "access-control-request-", "content-", "if-", "sec-"];

/// Claims of a token that name its client (RFC 7519 §4.1.2, OpenID Connect Core §5.1, and those of Microsoft's).
const NAMING: [&str; 8] = ["email", "sub", "preferred_username", "name", "phone_number", "upn", "unique_name", "oid"];

/// A value that an answer for everyone must not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect<'r> {
    /// Where it is from: a field, `cookie NAME` or `claim NAME`.
    pub from: Cow<'r, str>,
    /// Why an answer that holds it is not for everyone.
    pub reason: Reason,
    value: Cow<'r, [u8]>,
}

/// The values of one request that its answer must not hold.
#[derive(Clone, Debug, Default)]
pub struct Suspects<'r>(Vec<Suspect<'r>>);

impl<'r> Suspects<'r> {
    /// Those of a request with these fields, whose answer is stored under `key` (as text), for the variant that `vary` selects.
    pub fn of(rules: &KeyRules, key: &str, vary: Option<&VarySpec>, request: &'r HeaderMap) -> Self {
        let mut suspects = Self::default();
        let identifies = |name: &HeaderName| rules.identity.iter().any(|part| matches!(part, IdentityPart::Header(own) if own == name));
        let selects = |name: &HeaderName| vary.is_some_and(|vary| vary.names().contains(name));
        for (name, value) in request {
            let (field, value) = (name.as_str(), value.as_bytes());
            if value.len() < MIN_VALUE || is_plain(field) || rules.headers.contains(name) || identifies(name) || selects(name) {
                continue;
            }
            if *name == COOKIE {
                suspects.add_cookies(rules, key, value);
            } else if *name == AUTHORIZATION {
                let token = value.splitn(2, |&byte| byte == b' ').last().unwrap_or_default();
                suspects.add(key, field.into(), token);
            } else {
                for member in value.split(|&byte| byte == b',') {
                    // `Forwarded: for=192.0.2.1;host="a.example"` (RFC 7239).
                    let parts = member.split(|&byte| *name == FORWARDED && byte == b';');
                    let value = |part: &'r [u8]| if *name == FORWARDED { after_equals(part) } else { part };
                    parts.for_each(|part| suspects.add(key, field.into(), value(part)));
                }
            }
        }
        suspects.add_claims(rules, key, request);
        suspects
    }

    fn add_cookies(&mut self, rules: &KeyRules, key: &str, line: &'r [u8]) {
        for pair in line.split(|&byte| byte == b';').map(<[u8]>::trim_ascii) {
            let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
            if !rules.keeps_cookie(name) {
                self.add(key, format!("cookie {}", String::from_utf8_lossy(name)).into(), after_equals(pair));
            }
        }
    }

    /// What is part of the key cannot be another's, wherever it was sent as well.
    fn add(&mut self, key: &str, from: Cow<'r, str>, value: &'r [u8]) {
        let value = value.trim_ascii();
        if value.len() >= MIN_VALUE && memmem::find(key.as_bytes(), value).is_none() {
            self.0.push(Suspect { from, reason: Reason::Reflected, value: value.into() });
        }
    }

    fn add_claims(&mut self, rules: &KeyRules, key: &str, request: &HeaderMap) {
        if rules.authorization_in_key() || rules.has_subject() || !request.contains_key(AUTHORIZATION) {
            return;
        }
        for (name, value) in claims::texts(request, &NAMING) {
            if value.len() >= MIN_VALUE && !key.contains(&value) {
                let from = format!("claim {name}").into();
                self.0.push(Suspect { from, reason: Reason::NamesClient, value: value.into_bytes().into() });
            }
        }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One that a field of the answer holds by which it sends clients somewhere, or allows something.
    pub fn in_fields(&self, answer: &HeaderMap) -> Option<&Suspect<'r>> {
        let telling = || TELLING.iter().flat_map(|name| answer.get_all(name));
        self.0.iter().find(|suspect| telling().any(|line| memmem::find(line.as_bytes(), &suspect.value).is_some()))
    }

    /// One that the beginning of the body holds. For the handful that a request has, a search for each costs less than an automaton for all of them
    /// takes to build.
    pub fn in_body(&self, beginning: &[u8]) -> Option<&Suspect<'r>> {
        self.0.iter().find(|suspect| memmem::find(beginning, &suspect.value).is_some())
    }
}

fn is_plain(field: &str) -> bool {
    PLAIN.contains(&field) || PLAIN_KINDS.iter().any(|kind| field.starts_with(kind))
}

fn after_equals(part: &[u8]) -> &[u8] {
    let value = part.iter().position(|&byte| byte == b'=').map_or(&[][..], |at| &part[at + 1..]).trim_ascii();
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// Endings of the paths of files that are the same for everyone.
const STATIC: [&str; 21] = [
    "avif", "bmp", "css", "eot", "gif", "ico", "jpeg", "jpg", "js", "mjs", "mp4", "otf", "png", "svg", "tif", "tiff", "ttf", "webm",
    "webp", "woff", "woff2",
];

/// Whether a path ends like that of a style sheet, a script or an image, and the answer is a page or data: an origin that does not look at the end of
/// a path answers so, also with what is only for the client that was led there (Omer Gil: Web Cache Deception Attack, 2017).
pub fn is_misleading(path: &str, status: StatusCode, content_type: Option<&[u8]>) -> bool {
    if !status.is_success() {
        return false;
    }
    let segment = path.rsplit('/').next().unwrap_or_default();
    let Some((_, ending)) = segment.rsplit_once('.') else { return false };
    let is_static = STATIC.iter().any(|known| ending.eq_ignore_ascii_case(known));
    is_static && content_type.is_some_and(is_page_or_data)
}

fn is_page_or_data(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let is = |name: &[u8]| essence.eq_ignore_ascii_case(name);
    let ends = |end: &[u8]| essence.len() > end.len() && essence[essence.len() - end.len()..].eq_ignore_ascii_case(end);
    is(b"text/html") || is(b"application/xhtml+xml") || is(b"application/json") || ends(b"+json")
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
        suspects.in_body(body.as_bytes()).map(|suspect| (suspect.from.to_string(), suspect.reason))
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
            assert!(suspects.in_fields(&fields(&[(name, value)])).is_some(), "{name}");
        }
        assert_eq!(suspects.in_fields(&fields(&[("x-debug", "evil.example"), ("location", "/a")])), None);
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

    #[test]
    fn a_page_under_the_name_of_a_style_sheet_is_misleading_and_a_style_sheet_is_not() {
        let misleads = |path: &str, status: u16, content_type: &str| {
            is_misleading(path, StatusCode::from_u16(status).unwrap_or_default(), Some(content_type.as_bytes()))
        };
        for (path, content_type) in [
            ("/account/a.css", "text/html; charset=utf-8"),
            ("/account.JS", "application/json"),
            ("/me/x.png", "application/problem+json"),
            ("/me/..%2fx.woff2", "TEXT/HTML"),
        ] {
            assert!(misleads(path, 200, content_type), "{path} {content_type}");
        }
        for (path, status, content_type) in [
            ("/a.css", 200, "text/css"),
            ("/a.js", 200, "text/javascript"),
            ("/a.css", 404, "text/html"),
            ("/account", 200, "text/html"),
            ("/a.css/account", 200, "text/html"),
            ("/a.json", 200, "application/json"),
            ("/css", 200, "text/html"),
        ] {
            assert!(!misleads(path, status, content_type), "{path} {status} {content_type}");
        }
        assert!(!is_misleading("/a.css", StatusCode::OK, None));
    }
}
