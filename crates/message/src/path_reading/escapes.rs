//! Percent-encoded octets of a path (RFC 3986 §2.1).

use std::borrow::Cow;

/// The path with its unreserved characters as themselves.
pub fn decoded(path: &str) -> Cow<'_, str> {
    replaced(path, |escape| {
        let octet = octet(escape)?;
        (octet.is_ascii_alphanumeric() || b"-._~".contains(&octet)).then_some((char::from(octet), 2))
    })
}

/// Control characters, which cut a path short for some; UTF-8 that is longer than it has to be, which is `/` or `.` to others; and escapes of
/// IIS' own.
pub(super) fn has_odd_octets(path: &str) -> bool {
    path.match_indices('%').any(|(at, _)| {
        let escape = &path[at + 1..];
        escape.starts_with(['u', 'U']) || octet(escape).is_some_and(|octet| octet < 0x20 || matches!(octet, 0x7f | 0xc0 | 0xc1))
    })
}

/// The text with those escapes replaced for which `character` returns one. It gets the text behind a `%`, and returns with the character how many
/// bytes of that text are replaced.
pub(super) fn replaced<'t>(text: &'t str, character: impl Fn(&str) -> Option<(char, usize)>) -> Cow<'t, str> {
    let mut made = String::new();
    let mut rest = text;
    while let Some((at, (octet, length))) = rest.match_indices('%').find_map(|(at, _)| Some((at, character(&rest[at + 1..])?))) {
        made.push_str(&rest[..at]);
        made.push(octet);
        rest = &rest[at + 1 + length..];
    }
    if made.is_empty() && rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    made.push_str(rest);
    Cow::Owned(made)
}

/// The octet that the first two characters stand for.
pub(super) fn octet(escape: &str) -> Option<u8> {
    let digits = escape.get(..2)?;
    let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}
