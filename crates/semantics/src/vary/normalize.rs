//! Selecting fields' values, brought to one form where that cannot change their meaning.
//!
//! "The stored response with matching selecting header fields" may be found by "adding or removing whitespace, where allowed in the header
//! field's syntax; combining multiple header field lines with the same field name; normalizing both header field values in a way that is
//! known to have identical semantics, according to the header field's specification" (RFC 9111 §4.1).

use std::fmt::Write as _;

use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::accept;

/// Bytes of a value beyond which its hash stands for it.
const MAX_KEY_VALUE: usize = 256;

/// Hexadecimal digits of a hash: 160 bits, so that no collision can be found.
const HASH_DIGITS: usize = 40;

/// Appends `name=length:value;`, or `name=-;` where the field is absent. Credentials become `name=#hash;`, so that a key holds no
/// secret, and so do values that are longer than a key should be.
pub(super) fn write_field(request: &HeaderMap, name: &HeaderName, out: &mut String) {
    out.push_str(name.as_str());
    out.push('=');
    let lines: SmallVec<[&HeaderValue; 4]> = request.get_all(name).iter().collect();
    if lines.is_empty() {
        out.push_str("-;");
        return;
    }
    // The length is known only afterwards, and stands in front so that no value can imitate the end of its field.
    let start = out.len();
    if *name == ACCEPT_ENCODING {
        accept::write_encodings(&lines, out);
    } else if *name == ACCEPT_LANGUAGE {
        accept::write_languages(&lines, out);
    } else if *name == ACCEPT {
        accept::write_media_types(&lines, out);
    } else {
        write_list(&lines, out);
    }
    let length = out.len() - start;
    if length > MAX_KEY_VALUE || [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name) {
        let hash = blake3::hash(&out.as_bytes()[start..]).to_hex();
        out.truncate(start);
        out.push('#');
        out.push_str(&hash[..HASH_DIGITS]);
        out.push(';');
        return;
    }
    let mut digits = Digits::default();
    let _ = write!(digits, "{length}:");
    out.insert_str(start, digits.as_str());
    out.push(';');
}

/// Lines joined by commas, without white space around commas outside of quoted strings. Order, case and everything else may have a meaning in
/// a field that is not known here.
fn write_list(lines: &[&HeaderValue], out: &mut String) {
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        for (index, member) in ListMembers(Some(line.as_bytes())).enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_latin1(member, out);
        }
    }
}

/// The members of a list, split at commas outside of quoted strings, without white space around them. Empty ones come out as well.
pub(super) struct ListMembers<'a>(pub(super) Option<&'a [u8]>);

impl<'a> Iterator for ListMembers<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0?;
        let (mut quoted, mut escaped) = (false, false);
        let comma = rest.iter().position(|&byte| {
            let plain = !escaped;
            escaped = quoted && plain && byte == b'\\';
            quoted ^= plain && byte == b'"';
            byte == b',' && !quoted
        });
        self.0 = comma.map(|comma| &rest[comma + 1..]);
        Some(rest[..comma.unwrap_or(rest.len())].trim_ascii())
    }
}

/// Bytes as the characters of the same numbers, so that different bytes stay different.
pub(super) fn push_latin1(bytes: &[u8], out: &mut String) {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.is_ascii() => out.push_str(text),
        _ => out.extend(bytes.iter().map(|&byte| char::from(byte))),
    }
}

/// Room for a length on the stack.
#[derive(Default)]
struct Digits {
    text: [u8; 24],
    length: usize,
}

impl Digits {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

impl std::fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.text.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
