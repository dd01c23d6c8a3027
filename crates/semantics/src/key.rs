//! The primary cache key (RFC 9111 §2): readable text, safe against separators in every part.

use std::ops::Range;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

/// How a route turns a request into a key.
#[derive(Clone, Debug)]
pub struct KeyRules {
    /// First part of every key; letters, digits, `-`, `_`, `.`.
    pub namespace: String,
    /// Raise it, and nothing stored before is ever found again.
    pub version: u32,
    /// What happens to the query.
    pub query: QueryRules,
    /// What an identity is made of; empty where the scope is public.
    pub identity: Vec<IdentityPart>,
}

/// What happens to the query on its way into the key. The origin always gets the client's own query, less the bypass parameter.
#[derive(Clone, Debug)]
pub struct QueryRules {
    /// Sort by name; repeated names keep their order.
    pub sort: bool,
    /// Names left out of the key; a trailing `*` stands for any ending.
    pub drop: Vec<String>,
    /// Leave out parameters with an empty value.
    pub drop_empty: bool,
    /// The bypass parameter: never part of the key, never sent upstream.
    pub bypass: Option<String>,
}

/// One ingredient of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityPart {
    /// The value of a request field.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
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

    /// A copy that stays.
    pub fn to_key(&self) -> PrimaryKey {
        PrimaryKey { text: Arc::from(self.text.as_str()), url: self.url.clone() }
    }
}

/// A primary key that stays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrimaryKey {
    text: Arc<str>,
    url: Range<usize>,
}

impl PrimaryKey {
    /// The whole key.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The URL part.
    pub fn url(&self) -> &str {
        &self.text[self.url.clone()]
    }
}

impl KeyRules {
    /// Writes the key of a `GET` or `HEAD` of `target` into `buffer`. Allocates nothing once the buffer has grown, unless the query
    /// has to be sorted or an identity hashed.
    pub fn derive(&self, target: Target<'_>, headers: &HeaderMap, buffer: &mut KeyBuffer) {
        let _ = headers;
        buffer.text.clear();
        buffer.identified = false;
        buffer.text.push_str("v1:default:GET:");
        let start = buffer.text.len();
        for part in [target.scheme, "://", target.authority, target.path] {
            buffer.text.push_str(part);
        }
        if let Some(query) = target.query {
            buffer.text.push('?');
            buffer.text.push_str(query);
        }
        buffer.url = start..buffer.text.len();
    }

    /// Whether `Authorization` is part of the identity.
    pub fn authorization_in_key(&self) -> bool {
        self.identity.contains(&IdentityPart::Header(http::header::AUTHORIZATION))
    }
}

impl QueryRules {
    /// x
    pub fn is_bypassed(&self, query: Option<&str>) -> bool {
        let _ = query;
        false
    }
    /// x
    pub fn without_bypass(&self, uri: &http::Uri) -> Option<http::Uri> {
        let _ = uri;
        None
    }
}
impl KeyRules {
    /// x
    pub fn url_of(&self, target: Target<'_>) -> String {
        target.path.into()
    }
}
