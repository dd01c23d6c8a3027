//! The client's identity as part of the key: a hash, so that no secret stands in a key, a log or a dump.

use http::HeaderMap;
use http::header::COOKIE;

use super::IdentityPart;

/// Hexadecimal digits of the hash: 160 bits, beyond what anybody can collide.
const DIGITS: usize = 40;

/// Appends ` #identity=` and the hash of all parts; nothing where the request has none of them. Tells whether it did.
pub(super) fn write(parts: &[IdentityPart], headers: &HeaderMap, text: &mut String) -> bool {
    if parts.is_empty() {
        return false;
    }
    let mut hash = blake3::Hasher::new();
    let mut found = false;
    for part in parts {
        let count_before = hash.count();
        match part {
            IdentityPart::Header(name) => headers.get_all(name).iter().for_each(|value| add(&mut hash, value.as_bytes())),
            IdentityPart::Cookie(name) => cookies(headers, name).for_each(|value| add(&mut hash, value)),
        }
        found |= hash.count() > count_before;
        // The end of a part: values of one part cannot pass for those of the next.
        hash.update(&[0]);
    }
    if found {
        text.push_str(super::IDENTITY);
        text.push_str(&hash.finalize().to_hex()[..DIGITS]);
    }
    found
}

/// One value, marked as such and with its length in front.
fn add(hash: &mut blake3::Hasher, value: &[u8]) {
    hash.update(&[1]);
    hash.update(&(value.len() as u64).to_le_bytes());
    hash.update(value);
}

/// The values of every cookie of that name (RFC 6265 §4.2.1: `name=value` pairs parted by `; `; names are case-sensitive).
fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    pairs.filter_map(move |pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        (pair[..equals].trim_ascii() == name.as_bytes()).then(|| pair[equals + 1..].trim_ascii())
    })
}
