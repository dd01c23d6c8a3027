//! Claims of a bearer token as a part of the key (RFC 6750, RFC 7519).
//!
//! Nothing is verified here: a token counts as what it says. So a route may do this only where something before it has verified tokens, or
//! where whoever forges one may have what is stored under it. [`super::verified`] is for all others.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::push_value;
use crate::content::json::Value;

/// Bytes of the longest token that is looked at.
const MAX_TOKEN: usize = 16 * 1024;

/// Appends ` #jwt=` and the claims of these names, `sub=7;admin:true`: text behind `=`, numbers and truth values behind `:`. Nothing where the request has
/// no token with all of them, or more than one. Tells whether it did.
pub(super) fn write(names: &[String], headers: &HeaderMap, text: &mut String) -> bool {
    if names.is_empty() {
        return false;
    }
    let Some(payload) = payload(headers) else { return false };
    let Some(Value::Object(members)) = Value::parse(&payload) else { return false };
    let found: Option<Vec<(char, &str)>> = names.iter().map(|name| claim(&members, name)).collect();
    let Some(found) = found else { return false };
    let mut separator = super::CLAIMS;
    for (name, (mark, value)) in names.iter().zip(found) {
        text.push_str(separator);
        separator = ";";
        text.push_str(name);
        text.push(mark);
        push_value(text, value.as_bytes());
    }
    true
}

/// Appends the value of one claim. Tells whether the request has a token with it.
pub(super) fn write_one(name: &str, headers: &HeaderMap, text: &mut String) -> bool {
    let Some(payload) = payload(headers) else { return false };
    let Some(Value::Object(members)) = Value::parse(&payload) else { return false };
    let value = claim(&members, name);
    value.map(|(_, value)| push_value(text, value.as_bytes())).is_some()
}

/// The claim of this name with its mark. Null says nothing, and an object or a list cannot be told by its spelling.
pub(super) fn claim<'c>(members: &'c [(Cow<'_, str>, Value<'_>)], name: &str) -> Option<(char, &'c str)> {
    match &members.iter().find(|(own, _)| own == name)?.1 {
        Value::String(value) => Some(('=', value)),
        Value::Plain("null") | Value::Array(_) | Value::Object(_) => None,
        Value::Plain(value) => Some((':', value)),
    }
}

/// The claims of these names that are texts.
pub(crate) fn texts(headers: &HeaderMap, names: &[&'static str]) -> Vec<(&'static str, String)> {
    let Some(payload) = payload(headers) else { return Vec::new() };
    let Some(Value::Object(members)) = Value::parse(&payload) else { return Vec::new() };
    let text = |name: &&'static str| match members.iter().find(|(own, _)| own == name) {
        Some((_, Value::String(value))) => Some((*name, value.clone().into_owned())),
        _ => None,
    };
    names.iter().filter_map(text).collect()
}

/// The payload of the one token in `Authorization: Bearer HEADER.PAYLOAD.SIGNATURE`.
fn payload(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (line, more) = (lines.next()?.as_bytes(), lines.next());
    if more.is_some() || line.len() > MAX_TOKEN {
        return None;
    }
    let mut parts = text_of(line)?.split(|&byte| byte == b'.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() { None } else { decoded(payload) }
}

/// The token in a value of `Authorization`; `None` where that has another scheme (RFC 6750 §2.1).
pub(super) fn text_of(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token.trim_ascii())
}

/// Base64 with the alphabet for URLs and without padding (RFC 7515 §2).
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for (index, byte) in group.iter().enumerate() {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            bits |= u32::from(value) << (18 - 6 * index);
        }
        let [_, all @ ..] = bits.to_be_bytes();
        bytes.extend_from_slice(all.get(..group.len().checked_sub(1).filter(|length| *length > 0)?)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn encoded(text: &str) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let groups = text.as_bytes().chunks(3).map(|group| {
            let bits = group.iter().enumerate().fold(0_u32, |bits, (place, byte)| bits | u32::from(*byte) << (16 - 8 * place));
            (0..=group.len()).map(|place| char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63])).collect::<String>()
        });
        groups.collect()
    }

    fn key_of(names: &[&str], value: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).expect("a value"))]);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut text = String::new();
        write(&names, &headers, &mut text).then_some(text)
    }

    fn of_payload(names: &[&str], payload: &str) -> Option<String> {
        key_of(names, &format!("Bearer h.{}.s", encoded(payload)))
    }

    #[test]
    fn claims_stand_in_the_order_of_the_route() {
        let payload = r#"{"iss":"x", "org" : "acme","admin":true,"n":-1.5e3,"nested":{"org":["}"]},"sub":"a b"}"#;
        assert_eq!(of_payload(&["sub", "org"], payload).expect("all"), format!(" #jwt=sub=*{};org=acme", super::super::hashed(b"a b")));
        assert_eq!(of_payload(&["admin", "n"], payload).as_deref(), Some(" #jwt=admin:true;n:-1.5e3"));
    }

    #[test]
    fn text_and_number_differ_and_escapes_are_the_text_they_mean() {
        assert_ne!(of_payload(&["sub"], r#"{"sub":"7"}"#), of_payload(&["sub"], r#"{"sub":7}"#));
        assert_eq!(of_payload(&["sub"], r#"{"\u0073ub":"\u0061\/b"}"#), of_payload(&["sub"], r#"{"sub":"a/b"}"#));
        assert_eq!(of_payload(&["sub"], r#"{"sub":"\ud83d\ude00"}"#), of_payload(&["sub"], r#"{"sub":"😀"}"#));
    }

    #[test]
    fn a_token_that_does_not_say_all_of_it_once_says_nothing() {
        for payload in [
            r#"{}"#,
            r#"{"sub":null}"#,
            r#"{"sub":["7"]}"#,
            r#"{"sub":"7","sub":"8"}"#,
            r#"{"sub":"7","\u0073ub":"8"}"#,
            r#"{"sub":"7""#,
            r#"{"sub":"7"}x"#,
            r#"{"sub":"\ud83d"}"#,
            r#"["sub"]"#,
            r#"{"a":{"sub":"7"}}"#,
            "",
        ] {
            assert_eq!(of_payload(&["sub"], payload), None, "{payload}");
        }
        let whole = encoded(r#"{"sub":"7"}"#);
        for value in [
            format!("Basic h.{whole}.s"),
            format!("Bearer {whole}"),
            format!("Bearer h.{whole}"),
            format!("Bearer h.{whole}.s.x"),
            format!("Bearer h.{whole}=.s"),
        ] {
            assert_eq!(key_of(&["sub"], &value), None, "{value}");
        }
        assert!(key_of(&["sub"], &format!("bearer h.{whole}.s")).is_some());
        assert_eq!(of_payload(&[], r#"{"sub":"7"}"#), None);
    }

    proptest::proptest! {
        #[test]
        fn no_token_makes_it_panic(payload in ".{0,60}", raw in "[ -~]{0,60}") {
            let _ = of_payload(&["sub"], &payload);
            let _ = of_payload(&["sub"], &format!("{{\"sub\":{payload}"));
            let _ = key_of(&["sub"], &format!("Bearer {raw}"));
        }
    }
}
