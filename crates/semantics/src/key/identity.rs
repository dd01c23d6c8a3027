//! The client's identity as part of the key: a hash, so that no secret stands in a key, a log or a dump.

use http::HeaderMap;

use super::query::values;
use super::verified::Token;
use super::{IdentityPart, cookies};

/// Appends ` #identity=` and the hash of all parts; nothing where the request has none of them. Tells whether it did.
pub(super) fn write(parts: &[IdentityPart], headers: &HeaderMap, query: Option<&str>, token: &Token, text: &mut String) -> bool {
    if parts.is_empty() {
        return false;
    }
    let mut hash = blake3::Hasher::new();
    let mut found = false;
    for part in parts {
        // Each with its kind and name: with another `identity`, after a reload or on another replica, the same value is another client's.
        let (kind, name) = match part {
            IdentityPart::Header(name) => (2, name.as_str()),
            IdentityPart::Cookie(name) => (3, name.as_str()),
            IdentityPart::Query(name) => (4, name.as_str()),
            IdentityPart::Claim(name) => (5, name.as_str()),
        };
        hash.update(&[kind]);
        add(&mut hash, name.as_bytes());
        let count_before = hash.count();
        match part {
            IdentityPart::Header(name) => headers.get_all(name).iter().for_each(|value| add(&mut hash, value.as_bytes())),
            IdentityPart::Cookie(name) => cookies::values(headers, name).for_each(|value| add(&mut hash, value)),
            IdentityPart::Query(name) => values(query.unwrap_or_default(), name).for_each(|value| add(&mut hash, value.as_bytes())),
            IdentityPart::Claim(name) => token.each_part(name, |value| add(&mut hash, value)),
        }
        found |= hash.count() > count_before;
        // The end of a part: values of one part cannot pass for those of the next.
        hash.update(&[0]);
    }
    if found {
        text.push_str(super::IDENTITY);
        text.push_str(&hash.finalize().to_hex()[..super::DIGITS]);
    }
    found
}

/// One value, marked as such and with its length in front.
fn add(hash: &mut blake3::Hasher, value: &[u8]) {
    hash.update(&[1]);
    hash.update(&(value.len() as u64).to_le_bytes());
    hash.update(value);
}
