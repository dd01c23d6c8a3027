//! What of a value may be shown.

use super::source::{SECRET_KEYS, mask_sentence};

const MASK: &str = "\"***\"";

/// A value as TOML, masked where it is or may hold a secret: by its key, or as part of a field that is sent to others. Users and passwords in URLs
/// are masked string by string, before.
pub(super) fn shown(key: &str, value: String) -> String {
    let lower = key.to_ascii_lowercase();
    let mut parts = lower.rsplit('.');
    let (last, parent) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_variant = lower.starts_with("variants.") || lower.contains(".variants.");
    // A reference says where the secret is, and is none.
    let is_reference = ["\"env:", "\"file:"].iter().any(|start| value.starts_with(start));
    match last {
        _ if is_reference => value,
        // Fields may be credentials for a backend or a collector, whatever their names are.
        _ if is_variant || matches!(parent, "set" | "add") || lower.starts_with("headers.") => MASK.to_owned(),
        "set" | "add" if value != "{}" => MASK.to_owned(),
        // The path of a webhook is often all that protects it.
        "webhook" => without_path(&value),
        last if SECRET_KEYS.iter().any(|secret| last.contains(secret)) => MASK.to_owned(),
        _ => value,
    }
}

/// The URL without what stands behind its host.
fn without_path(value: &str) -> String {
    let masked = mask_sentence(value);
    let Some(start) = masked.find("://").map(|at| at + 3) else { return MASK.to_owned() };
    match masked[start..].find(['/', '?', '#']) {
        Some(end) => format!("{}/***\"", &masked[..start + end]),
        None => masked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_or_may_hold_a_secret_is_masked() {
        for (key, value, expected) in [
            ("password", "\"hush\"", MASK),
            ("secret", "\"env:NAME\"", "\"env:NAME\""),
            ("encrypt.key", "\"file:/run/key\"", "\"file:/run/key\""),
            ("request.set.x-api-version", "\"2\"", MASK),
            ("request.set", "{ authorization = \"Bearer hush\" }", MASK),
            ("headers.x-api-key", "\"hush\"", MASK),
            ("headers.x-api-key", "\"env:NAME\"", "\"env:NAME\""),
            ("match.headers.x-api", "\"2\"", "\"2\""),
            ("request.remove", "[\"cookie\"]", "[\"cookie\"]"),
            ("variants.authorization", "\"Bearer hush\"", MASK),
            ("variants.x.y", "\"hush\"", MASK),
            ("webhook", "\"https://hooks.example/services/hush\"", "\"https://hooks.example/***\""),
            ("webhook", "\"https://hooks.example?hush\"", "\"https://hooks.example/***\""),
            ("webhook", "\"https://hooks.example\"", "\"https://hooks.example\""),
            ("webhook", "hush", MASK),
            ("ttl", "\"5m\"", "\"5m\""),
        ] {
            assert_eq!(shown(key, value.to_owned()), expected, "{key} = {value}");
        }
    }
}
