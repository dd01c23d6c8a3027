//! The kind of a message's content.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

/// The kind of a message's content, by its header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// JSON as it stands.
    Json,
    /// JSON under a content coding, which is not undone.
    Coded,
    /// Something else.
    Other,
}

impl Content {
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_ascii_lowercase();
        let media = fields.get(CONTENT_TYPE).map(text).unwrap_or_default();
        let essence = media.split(';').next().unwrap_or_default().trim();
        if essence != "application/json" && !essence.ends_with("+json") {
            return Self::Other;
        }
        let codings = fields.get_all(CONTENT_ENCODING).iter().map(text);
        if codings.into_iter().all(|coding| coding.trim() == "identity") { Self::Json } else { Self::Coded }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_plain_json_is_read() {
        let of = |fields: &[(&'static str, &'static str)]| {
            let name = http::HeaderName::from_static;
            Content::of(&fields.iter().map(|(field, value)| (name(field), HeaderValue::from_static(value))).collect())
        };
        assert_eq!(of(&[("content-type", "Application/JSON; charset=utf-8")]), Content::Json);
        assert_eq!(of(&[("content-type", "application/vnd.api+json"), ("content-encoding", "identity")]), Content::Json);
        assert_eq!(of(&[("content-type", "application/json"), ("content-encoding", "gzip")]), Content::Coded);
        assert_eq!(of(&[("content-type", "application/x-ndjson")]), Content::Other);
        assert_eq!(of(&[]), Content::Other);
    }
}
