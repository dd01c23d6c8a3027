//! One part of a request as text that tells clients apart, for keys of other things than responses. Each function appends what is readable as it is
//! and everything else, and every credential, as a hash; and tells whether the request has the part at all.

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{claims, cookies, push_digits, push_value};

/// Parts of the names of fields that hold credentials.
const SECRETS: [&str; 6] = ["auth", "key", "token", "secret", "session", "signature"];

/// Appends any text.
pub fn put_value(text: &mut String, value: &[u8]) {
    push_value(text, value);
}

/// Appends the value of a field. A request with lines that differ has none: some origins take the first and some the last, so it could choose the one
/// that counts here.
pub fn put_header(headers: &HeaderMap, name: &HeaderName, text: &mut String) -> bool {
    let mut lines = headers.get_all(name).iter();
    let Some(value) = lines.next().map(HeaderValue::as_bytes) else { return false };
    if lines.any(|line| line.as_bytes() != value) {
        return false;
    }
    match credentials(value).filter(|_| *name == AUTHORIZATION || *name == PROXY_AUTHORIZATION) {
        Some((scheme, rest)) => return put_credentials(scheme, rest, text),
        None if is_secret(name) => push_digits(text, &blake3::hash(value)),
        None => push_value(text, value),
    }
    true
}

/// The scheme of credentials and what follows it; `None` where there is one word alone, such as a token without a scheme.
fn credentials(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = value.iter().position(u8::is_ascii_whitespace)?;
    Some((&value[..end], value[end..].trim_ascii()))
}

/// "It uses a case-insensitive token to identify the authentication scheme", which `1*SP` follows (RFC 9110 §11.1, §11.4).
fn put_credentials(scheme: &[u8], rest: &[u8], text: &mut String) -> bool {
    if scheme.eq_ignore_ascii_case(b"basic") && !is_canonical_base64(rest) {
        return false;
    }
    let mut hash = blake3::Hasher::new();
    for part in scheme.chunks(16) {
        let mut small = [0; 16];
        small[..part.len()].copy_from_slice(part);
        small.make_ascii_lowercase();
        hash.update(&small[..part.len()]);
    }
    hash.update(b" ").update(rest);
    push_digits(text, &hash.finalize());
    true
}

/// Whether a text is what encoders make (RFC 4648 §3.5). Many decoders take any number of other texts for the same octets: they pass over characters
/// that are no digits, missing padding, and bits behind the last octet.
fn is_canonical_base64(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let (digits, _) = text.split_at(text.len() - padding);
    let is_whole = match (padding, digits.last()) {
        (0, _) => true,
        (1, Some(last)) => b"AEIMQUYcgkosw048".contains(last),
        (2, Some(last)) => b"AQgw".contains(last),
        _ => false,
    };
    is_whole && text.len().is_multiple_of(4) && digits.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte))
}

/// Appends the hash of a cookie's value. A request whose cookies of that name differ has none, as with the lines of a field.
pub fn put_cookie(headers: &HeaderMap, name: &str, text: &mut String) -> bool {
    let mut hashes = cookies::values(headers, name).map(hash_of_cookie);
    let Some(Some(hash)) = hashes.next() else { return false };
    if hashes.any(|other| other != Some(hash)) {
        return false;
    }
    push_digits(text, &hash);
    true
}

/// The hash of a cookie's value without its quotes (RFC 6265 §4.1.1) and escapes (`%41`), which many origins undo. `None` where a quoted one has a
/// backslash: to some that is an escape, too.
fn hash_of_cookie(value: &[u8]) -> Option<blake3::Hash> {
    let quoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    if quoted.is_some_and(|text| text.contains(&b'\\')) {
        return None;
    }
    let (mut hash, mut rest) = (blake3::Hasher::new(), quoted.unwrap_or(value));
    while let Some(at) = memchr::memchr(b'%', rest) {
        hash.update(&rest[..at]);
        let behind = &rest[at + 1..];
        match octet(behind) {
            Some(octet) => {
                hash.update(&[octet]);
                rest = &behind[2..];
            }
            None => {
                hash.update(b"%");
                rest = behind;
            }
        }
    }
    hash.update(rest);
    Some(hash.finalize())
}

/// The octet that two hexadecimal digits stand for.
fn octet(digits: &[u8]) -> Option<u8> {
    let digit = |place: usize| char::from(*digits.get(place)?).to_digit(16);
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
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

    fn cookie(lines: &[(&'static str, &'static str)]) -> Option<String> {
        let mut text = String::new();
        put_cookie(&headers(lines), "s", &mut text).then_some(text)
    }

    #[test]
    fn lines_that_differ_are_no_value_for_origins_do_not_agree_on_the_one_that_counts() {
        for name in ["x-tenant", "authorization", "x-api-key"] {
            for lines in [["a", "b"], ["b", "a"], ["a", ""], ["", "a"]] {
                assert_eq!(header(&lines.map(|line| (name, line)), name), None, "{name}: {lines:?}");
            }
            assert_eq!(header(&[(name, "a"), (name, "a")], name), header(&[(name, "a")], name), "{name}");
        }
    }

    #[test]
    fn rfc9110_11_1_the_case_of_a_scheme_and_the_spaces_behind_it_make_no_other_client() {
        for name in ["authorization", "proxy-authorization"] {
            let one = header(&[(name, "Bearer K")], name).expect("a value");
            for same in ["bearer K", "BEARER K", "Bearer  K", "Bearer \t K"] {
                assert_eq!(header(&[(name, same)], name).as_ref(), Some(&one), "{same}");
            }
            for other in ["Bearer k", "Basic K", "BearerK", "Bearer", "K"] {
                assert_ne!(header(&[(name, other)], name).as_ref(), Some(&one), "{other}");
            }
            assert_ne!(header(&[(name, "SK-1")], name), header(&[(name, "sk-1")], name), "a token without a scheme");
        }
        let long = format!("{}-scheme x", "LONG".repeat(20));
        let headers = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).expect("a value"))]);
        let (mut one, mut other) = (String::new(), String::new());
        put_header(&headers(&long), &AUTHORIZATION, &mut one);
        put_header(&headers(&long.to_ascii_lowercase()), &AUTHORIZATION, &mut other);
        assert_eq!(one, other);
    }

    #[test]
    fn rfc4648_3_5_basic_credentials_in_another_spelling_are_no_value() {
        for value in ["Basic QTpC", "Basic QTpCMQ==", "Basic QTpCMTE=", "basic +/+/"] {
            assert!(header(&[("authorization", value)], "authorization").is_some(), "{value}");
        }
        for value in [
            "Basic QTpC=",
            "Basic QTp!C",
            "Basic QTpCMQ",
            "Basic QTpCMR==",
            "Basic QTpCMTF=",
            "Basic QTpCMQ==x",
            "Basic ====",
            "Basic QTp C",
        ] {
            assert_eq!(header(&[("authorization", value)], "authorization"), None, "{value}");
        }
        assert!(header(&[("authorization", "Bearer QTp!C")], "authorization").is_some(), "a token is what its issuer likes");
    }

    #[test]
    fn a_cookie_is_a_hash_and_none_where_those_of_its_name_differ() {
        assert_eq!(cookie(&[("cookie", "a=1; s=7; b=2")]), Some(format!("*{}", hashed(b"7"))));
        assert_eq!(cookie(&[("cookie", "a=1")]), None);
        for lines in [&["s=7; s=8"][..], &["s=8; s=7"], &["s=7", "s=8"], &["s=7; s="]] {
            assert_eq!(cookie(&lines.iter().map(|line| ("cookie", *line)).collect::<Vec<_>>()), None, "{lines:?}");
        }
    }

    #[test]
    fn the_spelling_of_a_cookie_makes_no_other_client() {
        for same in ["s=7:/A", "s=\"7:/A\"", "s=7%3a/A", "s=7%3A%2f%41", "s=\"7:%2FA\"", "s=7:/A; s=7%3A/A"] {
            assert_eq!(cookie(&[("cookie", same)]), Some(format!("*{}", hashed(b"7:/A"))), "{same}");
        }
        for (other, value) in [("s=7:/a", "7:/a"), ("s=7%3", "7%3"), ("s=%", "%"), ("s=%zz7", "%zz7"), ("s=\"7", "\"7"), ("s=\"", "\"")] {
            assert_eq!(cookie(&[("cookie", other)]), Some(format!("*{}", hashed(value.as_bytes()))), "{other}");
        }
        // Some origins undo escapes in quotes and some do not (RFC 2109).
        assert_eq!(cookie(&[("cookie", r#"s="7\072/A""#)]), None);
    }
}
