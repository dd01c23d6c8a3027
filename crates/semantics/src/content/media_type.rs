//! The media type of a content (RFC 9110 §8.3.1), as far as keys need it.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The media type of JSON (RFC 8259 §11).
pub(super) const JSON: &str = "application/json";

/// A media type, with its charset.
#[derive(Debug)]
pub(super) struct MediaType {
    /// `type/subtype` in lower case.
    essence: String,
    charset: Option<String>,
}

/// `type/subtype` of a field's value, in lower case.
pub(super) fn essence(value: &[u8]) -> Option<String> {
    let essence = value.split(|byte| *byte == b';').next()?.trim_ascii();
    std::str::from_utf8(essence).ok().map(str::to_ascii_lowercase)
}

impl MediaType {
    /// `None` where the fields name none, several, or one that cannot be read.
    pub(super) fn of(fields: &HeaderMap) -> Option<Self> {
        let mut values = fields.get_all(CONTENT_TYPE).iter();
        let text = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
        let mut parts = text.split(';');
        let essence = parts.next()?.trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        if [kind, subtype].iter().any(|part| part.is_empty() || part.contains(|c: char| c.is_ascii_whitespace() || c == ',' || c == '/')) {
            return None;
        }
        let mut charset = None;
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if name.trim().eq_ignore_ascii_case("charset") && charset.replace(value.trim().trim_matches('"').to_ascii_lowercase()).is_some()
            {
                return None;
            }
        }
        Some(Self { essence, charset })
    }

    pub(super) fn essence(&self) -> &str {
        &self.essence
    }

    /// Whether its text is UTF-8, which is the default of the types that have keys.
    pub(super) fn is_utf8(&self) -> bool {
        self.charset.as_deref().is_none_or(|charset| matches!(charset, "utf-8" | "utf8"))
    }

    /// JSON, or a type that is written in it (RFC 6839 §3.1).
    pub(super) fn is_json(&self) -> bool {
        self.essence == JSON || self.essence.ends_with("+json")
    }

    pub(super) fn is_form(&self) -> bool {
        self.essence == "application/x-www-form-urlencoded"
    }
}
