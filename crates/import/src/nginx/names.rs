//! Names and values of fields that a configuration of Larder may change.

/// Fields that belong to a connection, or frame a message.
const OF_CONNECTIONS: &[&str] = &["connection", "keep-alive", "te", "transfer-encoding", "upgrade", "content-length", "trailer", "expect"];

/// Fields of requests that Larder writes itself, or has a setting for.
const OF_REQUESTS: &[&str] = &["host", "via", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "cdn-loop"];

/// Fields of answers that Larder writes itself, or that say what the body is.
const OF_ANSWERS: &[&str] = &["age", "date", "via", "cache-status", "x-cache", "content-encoding", "content-range"];

/// Whether `request` may remove the field, in small letters.
pub(super) fn is_removable_in_requests(name: &str) -> bool {
    may_change(name) && !OF_REQUESTS.contains(&name)
}

/// Whether `request` may set it: many backends take `_` for `-`.
pub(super) fn is_settable_in_requests(name: &str) -> bool {
    is_removable_in_requests(name) && !name.contains('_')
}

/// Whether `response` may remove it.
pub(super) fn is_removable_in_answers(name: &str) -> bool {
    may_change(name) && !OF_ANSWERS.contains(&name)
}

/// Whether `response` may add to it: a validator that never changes would keep an old copy good for ever.
pub(super) fn is_addable_in_answers(name: &str) -> bool {
    is_removable_in_answers(name) && !matches!(name, "etag" | "last-modified")
}

fn may_change(name: &str) -> bool {
    is_name(name) && !OF_CONNECTIONS.contains(&name) && !name.starts_with("proxy-")
}

/// A token (RFC 9110 §5.6.2).
pub(super) fn is_name(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// Visible characters, and white space between them.
pub(super) fn is_value(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}

/// Adds a line to those of its name, as one list (RFC 9110 §5.3). False for cookies, of which each has a line of its own.
pub(super) fn join(lines: &mut Vec<(String, String)>, name: String, value: String) -> bool {
    match lines.iter_mut().find(|(known, _)| *known == name) {
        Some(_) if matches!(name.as_str(), "set-cookie" | "cookie") => return false,
        Some((_, values)) => *values = format!("{values}, {value}"),
        None => lines.push((name, value)),
    }
    true
}
