//! One part of a request as text that tells clients apart, for keys of other things than responses. Each function appends what is readable as it is
//! and everything else, and every credential, as a hash; and tells whether the request has the part at all.

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName};

use super::{claims, cookies, push_digits, push_value};

/// Parts of the names of fields that hold credentials.
const SECRETS: [&str; 6] = ["auth", "key", "token", "secret", "session", "signature"];

/// Appends any text.
pub fn put_value(text: &mut String, value: &[u8]) {
    push_value(text, value);
}

/// Appends the value of a field; of several lines, one hash over all.
pub fn put_header(headers: &HeaderMap, name: &HeaderName, text: &mut String) -> bool {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else { return false };
    match lines.next() {
        None if is_secret(name) => push_digits(text, &blake3::hash(first.as_bytes())),
        None => push_value(text, first.as_bytes()),
        Some(_) => {
            let mut hash = blake3::Hasher::new();
            for line in headers.get_all(name) {
                // With its length: two lines are not one with both texts.
                hash.update(&(line.len() as u64).to_le_bytes());
                hash.update(line.as_bytes());
            }
            push_digits(text, &hash.finalize());
        }
    }
    true
}

/// Appends the hash of a cookie's value, of the first where there are several.
pub fn put_cookie(headers: &HeaderMap, name: &str, text: &mut String) -> bool {
    let value = cookies::values(headers, name).next();
    value.map(|value| push_digits(text, &blake3::hash(value))).is_some()
}

/// Appends a claim of the request's bearer token. Nothing is verified here.
pub fn put_claim(headers: &HeaderMap, name: &str, text: &mut String) -> bool {
    claims::write_one(name, headers, text)
}

fn is_secret(name: &HeaderName) -> bool {
    *name == AUTHORIZATION || *name == PROXY_AUTHORIZATION || *name == COOKIE || SECRETS.iter().any(|part| name.as_str().contains(part))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::hashed;
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn header(lines: &[(&'static str, &'static str)], name: &'static str) -> Option<String> {
        let mut text = String::new();
        put_header(&headers(lines), &HeaderName::from_static(name), &mut text).then_some(text)
    }

    #[test]
    fn credentials_are_hashes_and_names_can_be_read() {
        assert_eq!(header(&[("x-tenant", "acme")], "x-tenant").as_deref(), Some("acme"));
        assert_eq!(header(&[("x-tenant", "a/b")], "x-tenant"), Some(format!("*{}", hashed(b"a/b"))));
        for name in ["authorization", "x-api-key", "cookie", "x-session-id"] {
            assert_eq!(header(&[(name, "acme")], name), Some(format!("*{}", hashed(b"acme"))), "{name}");
        }
        assert_eq!(header(&[("x-tenant", "acme")], "x-other"), None);
    }

    #[test]
    fn two_lines_are_not_one() {
        let two = header(&[("x-tenant", "a"), ("x-tenant", "b")], "x-tenant").expect("a value");
        assert!(two.starts_with('*') && Some(&two) != header(&[("x-tenant", "ab")], "x-tenant").as_ref());
        assert_ne!(Some(two), header(&[("x-tenant", "b"), ("x-tenant", "a")], "x-tenant"));
    }

    #[test]
    fn a_cookie_is_a_hash_and_the_first_of_its_name_counts() {
        let mut text = String::new();
        assert!(put_cookie(&headers(&[("cookie", "a=1; s=7; s=8")]), "s", &mut text));
        assert_eq!(text, format!("*{}", hashed(b"7")));
        assert!(!put_cookie(&headers(&[("cookie", "a=1")]), "s", &mut text));
    }
}
