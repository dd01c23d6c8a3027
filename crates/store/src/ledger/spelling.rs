//! Spellings of one URL: an invalidation of one of them invalidates all of them.
//!
//! Keys differ by spelling, because not every origin treats them alike. A wrong guess here costs one fetch.

use std::borrow::Cow;
use std::iter;

use memchr::{memchr_iter, memchr2, memrchr};

/// The same text for all spellings of a key's URL: octets that need no escape stand for themselves (RFC 3986 §6.2.2.2), the escapes of others have
/// digits in upper case (§6.2.2.1), slashes are slashes, a path has neither dot segments (§6.2.2.3) nor empty ones, and a host has no dot at its
/// end. Allocates only where there may be a difference.
pub(super) fn one_spelling(url: &str) -> Cow<'_, str> {
    // A path may hold another URL.
    let scheme = memchr2(b':', b'/', url.as_bytes()).filter(|at| url[*at..].starts_with("://"));
    let start = scheme.map_or(0, |at| at + 3);
    let (before, rest) = url.split_at(start);
    let (authority, path) = rest.split_at(memchr2(b'/', b'?', rest.as_bytes()).unwrap_or(rest.len()));
    let (host, port) = authority.split_at(memrchr(b':', authority.as_bytes()).unwrap_or(authority.len()));
    if !host.ends_with('.') && is_plain(path.as_bytes()) {
        return Cow::Borrowed(url);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    Cow::Owned(format!("{before}{host}{port}{}{}", without_odd_segments(&decoded(path).replace('\\', "/")), decoded(query)))
}

/// A key's URL as it was sent, and the one text for all its spellings.
#[derive(Debug)]
pub(super) struct Spellings<'a> {
    sent: &'a str,
    one: Cow<'a, str>,
}

impl<'a> Spellings<'a> {
    pub(super) fn of(url: &'a str) -> Self {
        Self { sent: url, one: one_spelling(url) }
    }

    /// The text for all of them.
    pub(super) fn one(&self) -> &str {
        &self.one
    }

    /// That, and the URL as it was sent where it is another: an invalidation may mean either.
    pub(super) fn each(&self) -> impl Iterator<Item = &str> {
        let other = matches!(self.one, Cow::Owned(_)).then_some(self.sent);
        iter::once(self.one()).chain(other)
    }
}

/// Whether it has no other spelling. This runs for every response that is stored.
fn is_plain(path: &[u8]) -> bool {
    memchr2(b'%', b'\\', path).is_none() && memchr_iter(b'/', path).all(|at| !matches!(path.get(at + 1), Some(b'/' | b'.')))
}

/// With escapes of unreserved characters and separators undone, and the digits of the others in upper case (§6.2.2.1).
fn decoded(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        let octet = rest.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let octet = octet.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match octet {
            Some(octet) if octet.is_ascii_alphanumeric() || b"-._~/\\".contains(&octet) => {
                decoded.push(char::from(octet));
                rest = &rest[at + 3..];
            }
            Some(octet) => {
                decoded.push_str(&format!("%{octet:02X}"));
                rest = &rest[at + 3..];
            }
            None => {
                decoded.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    decoded + rest
}

fn without_odd_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => _ = kept.pop(),
            segment => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    if path.is_empty() { String::new() } else { format!("/{}{end}", kept.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_url_are_one_text() {
        for (url, spelling) in [
            ("http://a.example/x/y/?b=/../c//d", "http://a.example/x/y/?b=/../c//d"),
            ("http://a.example/", "http://a.example/"),
            ("http://a.example/%78/%7e?%61=1", "http://a.example/x/~?a=1"),
            ("http://a.example./x", "http://a.example/x"),
            ("http://a.example.:81/x", "http://a.example:81/x"),
            ("http://a.example/b/../x", "http://a.example/x"),
            ("http://a.example//b/.././x/", "http://a.example/x/"),
            ("http://a.example/b%2f..%5cx", "http://a.example/x"),
            ("http://a.example/../../..", "http://a.example/"),
            ("http://a.example/%20%zz%+6", "http://a.example/%20%zz%+6"),
            ("http://a.example/caf%c3%a9?q=%c3%A9%3a", "http://a.example/caf%C3%A9?q=%C3%A9%3A"),
            ("http://[::1]:81/%78", "http://[::1]:81/x"),
            ("a.example/%78", "a.example/x"),
            ("/%78/", "/x/"),
            ("/proxy/http:/%78", "/proxy/http:/x"),
        ] {
            assert_eq!(one_spelling(url), spelling, "{url}");
        }
        assert!(matches!(one_spelling("http://a.example/x.y?b=c"), Cow::Borrowed(_)));
    }
}
