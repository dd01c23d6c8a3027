//! The primary cache key (RFC 9111 §2): readable text, safe against separators in every part.
//!
//! ```text
//! v1:default:GET:http://example.com/a?b=1&c=2 #headers=x-branch=7 #cookies=locale=de #identity=0f3a…
//! |  |           |                            |                    |                  `- hash of who asks, where the scope is an identity;
//! |  |           |                            |                    |                     before it ` #body=` where the request's content counts
//! |  |           |                            |                    `- cookies that a route names
//! |  |           |                            `- fields that a route names; before them ` #route=` where requests take it by more than stands in the URL
//! |  |           `- the URL: what an invalidation by URI names; `*` for a scheme or a host that a route leaves out
//! |  `- namespace
//! `- key version
//! ```
//!
//! A raw space cannot stand in a URI, so everything that would blur a border (a space itself, `/?#` in an authority, `?#` in a path, `:` in
//! a namespace) is written as a space and two hexadecimal digits, and ` #identity=` cannot be imitated.

pub(crate) mod claims;
mod cookies;
mod fields;
mod identity;
mod part;
mod parts;
mod path;
mod primary;
mod query;
mod verified;

use std::ops::Range;
use std::sync::Arc;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, Method};

use crate::content::ContentKey;
use crate::digits::push_number;

pub use cookies::{CookieFate, CookieRules, strip_cookies};
pub use part::{put_claim, put_cookie, put_header, put_value};
pub use parts::KeyParts;
pub use path::PathCase;
pub use primary::{PrimaryKey, url_of};
pub use verified::{TokenVerifier, VerifiedClaims, put_verified_claim};

/// In place of a scheme or a host that a route leaves out of its keys. A host of this name is written in another way.
const ANY: &str = "*";

/// Before what stands behind the URL. No URL in a key contains their first two bytes, nor does what stands between them.
const ROUTE: &str = " #route=";
const HEADERS: &str = " #headers=";
const COOKIES: &str = " #cookies=";
const CLAIMS: &str = " #jwt=";
const BODY: &str = " #body=";
const IDENTITY: &str = " #identity=";

/// Longer values, and those with other characters than unreserved ones, stand in keys as hashes.
const MAX_READABLE: usize = 64;

/// Hexadecimal digits of a hash: 160 bits, beyond what anybody can collide.
const DIGITS: usize = 40;

/// How a route turns a request into a key. The default takes the URL as it was sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyRules {
    /// First part of every key; letters, digits, `-`, `_`, `.`.
    pub namespace: String,
    /// Raise it, and nothing stored before is ever found again.
    pub version: u32,
    /// Whether the host is part of the key. Without it all hosts share a response, so the origin does not learn which of them was asked for.
    pub host: bool,
    /// Whether the scheme is part of the key.
    pub scheme: bool,
    /// How the path enters the key.
    pub path: PathCase,
    /// How the query enters the key.
    pub query: QueryRules,
    /// Stands in the key for a route that only some of the requests take that would have the same key: others take another route, under another key.
    pub route: Option<Box<str>>,
    /// Names of the request fields that are part of the key, in the order in which they stand there.
    pub headers: Vec<HeaderName>,
    /// Claims of a bearer token that are part of the key, in the order in which they stand there.
    pub claims: Vec<String>,
    /// Whether they count although nobody has verified the token.
    pub unverified_claims: bool,
    /// Verifies tokens. Without it no token is believed.
    pub tokens: Option<Arc<dyn TokenVerifier>>,
    /// The parts of an identity; empty where the scope is public.
    pub identity: Vec<IdentityPart>,
    /// Whether requests without an identity pass by the store, and those with one share what is stored whatever other credentials they have.
    pub needs_identity: bool,
    /// How cookies enter the key, and which are as if absent.
    pub cookies: CookieRules,
}

impl Default for KeyRules {
    fn default() -> Self {
        let (query, cookies) = (QueryRules::default(), CookieRules::default());
        Self {
            namespace: "default".to_owned(),
            version: 1,
            host: true,
            scheme: true,
            path: PathCase::AsSent,
            query,
            route: None,
            headers: Vec::new(),
            claims: Vec::new(),
            unverified_claims: false,
            tokens: None,
            identity: Vec::new(),
            needs_identity: false,
            cookies,
        }
    }
}

/// How the query enters the key: by default as it was sent. The origin gets the client's own query, less the bypass parameter, and where its answer may be stored less all
/// that the key leaves out: what everybody gets must not be made of what only one client sent.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct QueryRules {
    /// Sort by name; repeated names keep their order.
    pub sort: bool,
    /// Names left out of the key; a trailing `*` stands for any ending.
    pub drop: Vec<String>,
    /// Leave out parameters with an empty value (`a=`, and what stands between `&&`). A bare name (`a`) has no value and stays.
    pub drop_empty: bool,
    /// The bypass parameter: never part of the key, never sent upstream.
    pub bypass: Option<String>,
    /// Whether the origin gets what the key leaves out even so.
    pub send_dropped: bool,
    /// Parameters with a secret: the origin gets them, and the key has them as a part of the identity alone.
    pub secret: Vec<String>,
}

/// One ingredient of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityPart {
    /// The value of a request field.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
    /// The value of a parameter of the query, which is then [secret](QueryRules::secret).
    Query(String),
    /// A claim of a verified bearer token.
    Claim(String),
}

/// The target URI of a request as the cache believes it (RFC 9110 §7.1).
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port as the client named them.
    pub authority: &'a str,
    /// Path as sent, never normalised.
    pub path: &'a str,
    /// Query as sent, without `?`.
    pub query: Option<&'a str>,
}

/// Room for one key, used again and again so that a look-up allocates nothing.
#[derive(Debug, Default)]
pub struct KeyBuffer {
    text: String,
    url: Range<usize>,
    identified: bool,
    claimed: bool,
    unverified: bool,
    query_as_sent: bool,
}

impl KeyBuffer {
    /// The whole key, for instance `v1:default:GET:http://example.com/a?b=1`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The part of it that is the URL, without identity, namespace and version: what an invalidation by URI names.
    pub fn url(&self) -> &str {
        &self.text[self.url.clone()]
    }

    /// Whether an identity is part of the key.
    pub fn identified(&self) -> bool {
        self.identified
    }

    /// Whether claims of a bearer token are part of the key, so that its answer is for all who have the same.
    pub fn claimed(&self) -> bool {
        self.claimed
    }

    /// Whether the key should have claims of a token, and the request shows one that is not to be believed or does not say them. Nothing stored is for such a
    /// request, and nothing of its answer may be kept.
    pub fn unverified(&self) -> bool {
        self.unverified
    }

    /// Whether the query is in the key as it was sent: in order, and with nothing left out, so that there is no bypass parameter in it.
    pub fn query_as_sent(&self) -> bool {
        self.query_as_sent
    }

    /// A copy that stays.
    pub fn to_key(&self) -> PrimaryKey {
        PrimaryKey::from(self.text.as_str())
    }
}

impl KeyRules {
    /// Writes the key of a `GET` or `HEAD` of `target` into `buffer`. Allocates nothing once the buffer has grown, unless more than 16
    /// parameters have to be sorted, or some whose names are percent-encoded.
    pub fn derive(&self, target: Target<'_>, headers: &HeaderMap, buffer: &mut KeyBuffer) {
        self.derive_with("GET", None, target, headers, buffer);
    }

    /// As [`Self::derive`], of a request with this method whose content is part of the key.
    pub fn derive_with_content(
        &self,
        method: &Method,
        content: &ContentKey,
        target: Target<'_>,
        headers: &HeaderMap,
        buffer: &mut KeyBuffer,
    ) {
        self.derive_with(method.as_str(), Some(content), target, headers, buffer);
    }

    fn derive_with(&self, method: &str, content: Option<&ContentKey>, target: Target<'_>, headers: &HeaderMap, buffer: &mut KeyBuffer) {
        let text = &mut buffer.text;
        text.clear();
        text.push('v');
        push_number(text, self.version);
        text.push(':');
        push_escaped(text, &self.namespace, b" :");
        text.push(':');
        text.push_str(method);
        text.push(':');
        let start = text.len();
        buffer.query_as_sent = self.write_url(target, text);
        buffer.url = start..text.len();
        if let Some(route) = &self.route {
            text.push_str(ROUTE);
            push_escaped(text, route, b" #");
        }
        fields::write(&self.headers, headers, text);
        cookies::write(&self.cookies.key, headers, text);
        let token = self.token(headers);
        buffer.unverified = self.lacks_claims(&token);
        buffer.claimed = if self.unverified_claims {
            claims::write(&self.claims, headers, text)
        } else {
            !buffer.unverified && token.write(&self.claims, text)
        };
        if let Some(content) = content {
            text.push_str(BODY);
            content.write(text);
        }
        buffer.identified = !buffer.unverified && identity::write(&self.identity, headers, target.query, &token, text);
        buffer.claimed |= buffer.identified && token.is_verified();
    }

    /// The URL part of the keys of `target`, for invalidation by URI: the same text as [`KeyBuffer::url`].
    pub fn url_of(&self, target: Target<'_>) -> String {
        let mut text = String::with_capacity(target.authority.len() + target.path.len() + target.query.map_or(0, str::len) + 10);
        self.write_url(target, &mut text);
        text
    }

    /// Who asks with these fields and this query, as [`PrimaryKey::identity`] has it; `None` where they tell nothing.
    pub fn identity_of(&self, headers: &HeaderMap, query: Option<&str>) -> Option<String> {
        let token = self.token(headers);
        let mut text = String::new();
        let is_told = !self.lacks_claims(&token) && identity::write(&self.identity, headers, query, &token, &mut text);
        is_told.then(|| text.split_off(IDENTITY.len()))
    }

    /// Whether `Authorization` is part of the identity.
    pub fn authorization_in_key(&self) -> bool {
        self.identity.contains(&IdentityPart::Header(http::header::AUTHORIZATION))
    }

    /// Whether private cookies may tell who asks although the key does not: where an identity is made of something else.
    pub fn overlooks_cookies(&self) -> bool {
        let looks_at_cookies = |part: &IdentityPart| match part {
            IdentityPart::Header(name) => *name == COOKIE,
            IdentityPart::Cookie(_) => true,
            IdentityPart::Query(_) | IdentityPart::Claim(_) => false,
        };
        !self.identity.is_empty() && !self.identity.iter().any(looks_at_cookies)
    }

    /// "The scheme and host are case-insensitive and normally provided in lowercase; all other components are compared in a case-sensitive
    /// manner"; "If the port is equal to the default port for a scheme, the normal form is to omit the port subcomponent"; "an empty path
    /// component is equivalent to an absolute path of "/"" (RFC 9110 §4.2.3).
    ///
    /// Tells whether the query stands there as it was sent.
    fn write_url(&self, target: Target<'_>, text: &mut String) -> bool {
        self.write_origin(target, text);
        let path = text.len();
        if target.path.is_empty() {
            text.push('/');
        } else if target.path.starts_with('/') {
            push_escaped(text, target.path, b" ?#");
        } else {
            // No path of a URI with an authority begins otherwise; the mark keeps it from running into the authority.
            text.push_str(" 2f");
            push_escaped(text, target.path, b" ?#");
        }
        if self.path == PathCase::Lower {
            text[path..].make_ascii_lowercase();
        }
        target.query.is_none_or(|query| self.query.write(query, text))
    }
}

impl KeyRules {
    /// Scheme and authority.
    fn write_origin(&self, target: Target<'_>, text: &mut String) {
        let start = text.len();
        match target.scheme {
            _ if !self.scheme => text.push_str(ANY),
            scheme @ ("http" | "https") => text.push_str(scheme),
            scheme => push_escaped(text, scheme, b" :/?#"),
        }
        text.push_str("://");
        match without_default_port(target.scheme, target.authority) {
            _ if !self.host => text.push_str(ANY),
            ANY => text.push_str(" 2a"),
            authority => push_escaped(text, authority, b" /?#"),
        }
        text[start..].make_ascii_lowercase();
    }
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let default = if scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
    match authority.bytes().rposition(|byte| byte == b':') {
        Some(colon) if authority.len() == colon + 1 || &authority[colon + 1..] == default => &authority[..colon],
        _ => authority,
    }
}

/// Appends a value of a field or a cookie, so that none can pass for another or for what stands behind it.
fn push_value(text: &mut String, value: &[u8]) {
    let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let is_readable = value.len() <= MAX_READABLE && value.iter().all(unreserved);
    match str::from_utf8(value).ok().filter(|_| is_readable) {
        Some(value) => text.push_str(value),
        None => push_digits(text, &blake3::hash(value)),
    }
}

/// Appends the digits of a hash, marked as such.
fn push_digits(text: &mut String, hash: &blake3::Hash) {
    text.push('*');
    text.push_str(&hash.to_hex()[..DIGITS]);
}

#[cfg(test)]
fn hashed(value: &[u8]) -> String {
    blake3::hash(value).to_hex()[..DIGITS].to_owned()
}

/// Appends `part`; each byte of `reserved` becomes a space and two hexadecimal digits. `reserved` always holds the space.
fn push_escaped<const N: usize>(text: &mut String, part: &str, reserved: &[u8; N]) {
    let mut rest = part;
    // Letters are past all of them, and most of what there is.
    while let Some(position) = rest.bytes().position(|byte| byte <= b'?' && reserved.contains(&byte)) {
        text.push_str(&rest[..position]);
        let byte = rest.as_bytes()[position];
        text.push(' ');
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
        rest = &rest[position + 1..];
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests;
