//! `Strict-Transport-Security` (RFC 6797) on answers over TLS. An origin's own stays: two would be one too many (§7.1).

use http::header::STRICT_TRANSPORT_SECURITY;
use http::{HeaderMap, HeaderValue};
use memchr::memmem;

/// Adds it to a response's fields.
pub(crate) fn put_field(headers: &mut HeaderMap, policy: &HeaderValue) {
    headers.entry(STRICT_TRANSPORT_SECURITY).or_insert_with(|| policy.clone());
}

/// Adds it to a response's head as it is written, which ends in an empty line.
pub(crate) fn put_line(head: &mut Vec<u8>, policy: &HeaderValue) {
    let name = STRICT_TRANSPORT_SECURITY.as_str().as_bytes();
    let there = memmem::find_iter(head, name).any(|at| head[..at].ends_with(b"\r\n") && head.get(at + name.len()) == Some(&b':'));
    if there || !head.ends_with(b"\r\n\r\n") {
        return;
    }
    head.truncate(head.len() - 2);
    for part in [name, b": ", policy.as_bytes(), b"\r\n\r\n"] {
        head.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: HeaderValue = HeaderValue::from_static("max-age=9");

    #[test]
    fn it_is_added_once_in_either_form() {
        for (own, expected) in [(None, "max-age=9"), (Some("max-age=1"), "max-age=1")] {
            let mut headers = HeaderMap::new();
            own.map(|own| headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(own)));
            put_field(&mut headers, &POLICY);
            assert_eq!(headers.get_all(STRICT_TRANSPORT_SECURITY).iter().collect::<Vec<_>>(), [expected]);
            let line = own.map(|own| format!("strict-transport-security: {own}\r\n")).unwrap_or_default();
            let mut head = format!("HTTP/1.1 200 OK\r\nx: strict-transport-security: no\r\n{line}\r\n").into_bytes();
            put_line(&mut head, &POLICY);
            let text = String::from_utf8(head).expect("text");
            assert!(text.ends_with(&format!("\r\nstrict-transport-security: {expected}\r\n\r\n")), "{text}");
            assert_eq!(text.matches("\r\nstrict-transport-security:").count(), 1, "{text}");
        }
    }
}
