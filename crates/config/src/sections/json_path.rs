//! JSONPaths (RFC 9535).

use serde_json_path::JsonPath;

use crate::parse::mistake::Mistake;

/// A path with its place in a mistake; `hint` has examples.
pub(crate) fn json_path(text: &str, hint: &str) -> Result<JsonPath, Mistake> {
    JsonPath::parse(text).map_err(|error| {
        Mistake::new(format!("`{text}` is not a JSONPath: {}, at its byte {}", error.message(), error.position())).hint(hint)
    })
}
