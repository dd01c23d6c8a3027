//! Valid hosts with their ports: in `Host`, `:authority`, an absolute target, or a forwarded host.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// Whether this is a name or an address with an optional port (RFC 9110 §7.2). Of what RFC 3986 §3.2.2 allows in a name, only what names are
/// made of: a comma, for one, would be two joined `Host` fields to another reader, and an empty label no label.
pub fn is_valid(text: &[u8]) -> bool {
    if let Some(rest) = text.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        return is_ipv6(&rest[..end]) && (rest.len() == end + 1 || (rest[end + 1] == b':' && is_port(&rest[end + 2..])));
    }
    match memchr::memchr(b':', text) {
        Some(colon) => is_name(&text[..colon]) && is_port(&text[colon + 1..]),
        None => is_name(text),
    }
}

/// The authority as keys have it: "the scheme and host are case-insensitive and normally provided in lowercase", and "if the port is equal to the
/// default port for a scheme, the normal form is to omit the port subcomponent" (RFC 9110 §4.2.3). The origin is shown this form, for one that
/// selects a site by another spelling would answer for all spellings.
pub fn normal<'a>(scheme: &str, authority: &'a str) -> Cow<'a, str> {
    let default = if scheme == "https" { ":443" } else { ":80" };
    let bare = authority.strip_suffix(default).or(authority.strip_suffix(':')).unwrap_or(authority);
    if bare.bytes().any(|byte| byte.is_ascii_uppercase()) { Cow::Owned(bare.to_ascii_lowercase()) } else { Cow::Borrowed(bare) }
}

/// The host of a valid authority, IPv6 with its brackets.
pub fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

fn is_ipv6(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_name(name: &[u8]) -> bool {
    // Before the first label there is a border like that between two.
    let mut before = b'.';
    for &byte in name {
        if !OF_NAMES[usize::from(byte)] || (byte == b'.' && before == b'.') {
            return false;
        }
        before = byte;
    }
    !name.is_empty()
}

/// The bytes that names are made of: every request's host is looked at byte by byte.
const OF_NAMES: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0_u8);
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'.');
        byte += 1;
    }
    table
};

/// "port = *DIGIT" (RFC 3986 §3.2.3), of TCP's.
fn is_port(port: &[u8]) -> bool {
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_with_a_port_or_none() {
        for text in ["a", "a.example", "a.example.", "A_b-c~d.e:80", "a:", "127.0.0.1:65535", "[::1]", "[::1]:80", "[::ffff:192.0.2.1]:"] {
            assert!(is_valid(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn rfc9110_4_2_3_equivalent_authorities_have_one_form() {
        for (scheme, authority, form) in [
            ("http", "A.Example:80", "a.example"),
            ("https", "a.example:443", "a.example"),
            ("https", "a.example:80", "a.example:80"),
            ("http", "a.example:", "a.example"),
            ("http", "[::1]:80", "[::1]"),
            ("http", "[::80]", "[::80]"),
            ("http", "a.example.:8080", "a.example.:8080"),
            ("http", "", ""),
        ] {
            assert_eq!(normal(scheme, authority), form, "{authority}");
        }
    }

    #[test]
    fn the_host_is_what_stands_before_the_port() {
        for (authority, host) in [("a.example:80", "a.example"), ("a", "a"), ("a:", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")] {
            assert_eq!(without_port(authority), host);
        }
    }

    #[test]
    fn nothing_else() {
        for text in [
            "",
            ".",
            ":80",
            "a,b",
            "u@a",
            "a/b",
            "a b",
            "a:b",
            "a:65536",
            "a:000080",
            "a:80:80",
            ".a",
            "a..b",
            "a..",
            "a%2eb",
            "a\\b",
            "a;b",
            "[]",
            "[",
            "[::1",
            "[::1]@evil",
            "[::1]evil",
            "[::1]:b",
            "[a,b]",
            "[127.0.0.1]",
            "[::1%25lo]",
            "[v1.a]",
            "é",
        ] {
            assert!(!is_valid(text.as_bytes()), "{text}");
        }
    }
}
