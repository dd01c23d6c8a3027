//! Tags that the inner service names in fields of its answers.

use http::request::Parts;
use http::{HeaderMap, HeaderName};

use super::TagSource;

/// The most tags that one answer may name, unless set otherwise.
const MAX_TAGS: usize = 128;

/// Bytes of the longest tag that an answer may name.
const MAX_TAG_BYTES: usize = 1024;

/// Takes the tags of an answer from fields of it: Fastly's `Surrogate-Key: issue:7 project:1`, Cloudflare's `Cache-Tag: issue:7, project:1`, or
/// any other, in which both separate. The fields are not for clients, and are taken out.
///
/// An answer that names more than 128, or one of more than 1024 bytes, is not stored: it could not be purged by all of them.
#[derive(Clone, Debug)]
#[must_use]
pub struct HeaderTags {
    from: Vec<HeaderName>,
    max: usize,
    forward: bool,
}

impl HeaderTags {
    /// From these fields.
    pub fn new(from: impl IntoIterator<Item = HeaderName>) -> Self {
        Self { from: from.into_iter().collect(), max: MAX_TAGS, forward: false }
    }

    /// From `Surrogate-Key`.
    pub fn surrogate_key() -> Self {
        Self::new([HeaderName::from_static("surrogate-key")])
    }

    /// The most tags that one answer may name.
    pub fn max(self, max: usize) -> Self {
        Self { max, ..self }
    }

    /// Whether clients see the fields.
    pub fn forward(self, forward: bool) -> Self {
        Self { forward, ..self }
    }
}

impl TagSource for HeaderTags {
    fn tags(&self, _: &Parts) -> Option<Vec<String>> {
        Some(Vec::new())
    }

    fn take_tags(&self, response: &mut HeaderMap) -> Option<Vec<String>> {
        let mut tags = Vec::new();
        let mut whole = true;
        for name in &self.from {
            for value in response.get_all(name) {
                match value.to_str() {
                    Ok(value) => tags.extend(parted(name.as_str(), value).take(self.max.saturating_add(1)).map(str::to_owned)),
                    Err(_) => whole = false,
                }
            }
            if !self.forward {
                response.remove(name);
            }
        }
        whole &= tags.len() <= self.max && tags.iter().all(|tag| tag.len() <= MAX_TAG_BYTES);
        whole.then_some(tags)
    }
}

/// The tags in a field. Fastly parts them by spaces, Cloudflare by commas, Varnish's xkey by either.
fn parted<'v>(name: &str, value: &'v str) -> impl Iterator<Item = &'v str> {
    let (spaces, commas) = (name != "cache-tag", name != "surrogate-key");
    value
        .split(move |char: char| (spaces && char.is_ascii_whitespace()) || (commas && char == ','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn named(max: usize, fields: &[(&'static str, &str)]) -> (Option<Vec<String>>, usize) {
        let tags = HeaderTags::new(["surrogate-key", "cache-tag", "xkey"].map(HeaderName::from_static)).max(max);
        let field = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        };
        let mut response: HeaderMap = fields.iter().map(field).collect();
        (tags.take_tags(&mut response), response.len())
    }

    #[test]
    fn origins_name_tags_each_in_their_own_form_and_clients_do_not_see_them() {
        let (tags, left) = named(9, &[("surrogate-key", "a b,c"), ("cache-tag", "d, e f"), ("xkey", "g h,i"), ("etag", "x")]);
        assert_eq!(tags.expect("few"), ["a", "b,c", "d", "e f", "g", "h", "i"]);
        assert_eq!(left, 1);
    }

    #[test]
    fn more_or_longer_tags_than_are_kept_are_none() {
        assert!(named(2, &[("xkey", "a b")]).0.is_some());
        assert_eq!(named(2, &[("xkey", "a b c")]), (None, 0));
        assert_eq!(named(2, &[("xkey", "\u{fc}")]), (None, 0));
        assert!(named(2, &[("xkey", &"x".repeat(MAX_TAG_BYTES))]).0.is_some());
        assert_eq!(named(2, &[("xkey", &"x".repeat(MAX_TAG_BYTES + 1))]), (None, 0));
    }

    #[test]
    fn fields_that_clients_may_see_stay() {
        let mut response = HeaderMap::from_iter([(HeaderName::from_static("surrogate-key"), HeaderValue::from_static("a"))]);
        assert_eq!(HeaderTags::surrogate_key().forward(true).take_tags(&mut response), Some(vec!["a".to_owned()]));
        assert_eq!(response.len(), 1);
    }
}
