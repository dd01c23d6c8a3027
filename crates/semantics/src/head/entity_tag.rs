//! Entity tags and their two comparisons (RFC 9110 §8.8.3).

use http::header::AsHeaderName;
use http::{HeaderMap, HeaderValue};

/// "Strong comparison: two entity tags are equivalent if both are not weak and their opaque-tags match character-by-character"
/// (§8.8.3.2).
pub fn strong_match(one: &HeaderValue, other: &HeaderValue) -> bool {
    !is_weak(one.as_bytes()) && one == other
}

/// "Weak comparison: two entity tags are equivalent if their opaque-tags match character-by-character, regardless of either or both being
/// tagged as "weak"" (§8.8.3.2).
pub fn weak_match(one: &HeaderValue, other: &HeaderValue) -> bool {
    opaque(one.as_bytes()) == opaque(other.as_bytes())
}

pub(crate) fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

/// A strong entity tag in its quotes: what may join ranges together (§14.4, RFC 9111 §3.4).
pub fn is_strong(tag: &HeaderValue) -> bool {
    is_strong_text(tag.as_bytes())
}

pub(crate) fn is_strong_text(tag: &[u8]) -> bool {
    tag.len() >= 2 && tag.starts_with(b"\"") && tag.ends_with(b"\"")
}

/// How tags begin that are made of bodies.
const OF_BODY: &[u8] = b"\"larder-";

/// Digits in them: half of a BLAKE3 hash, beyond what anybody can find two bodies for.
const DIGITS: usize = 32;

/// A strong entity tag of a body in these pieces.
pub fn of_body<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> HeaderValue {
    let mut hash = blake3::Hasher::new();
    pieces.for_each(|piece| _ = hash.update(piece));
    let mut text = OF_BODY.to_vec();
    text.extend_from_slice(&hash.finalize().to_hex().as_bytes()[..DIGITS]);
    text.push(b'"');
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
}

/// Whether a tag is one [of a body](of_body): no origin knows it.
pub fn is_of_body(tag: &[u8]) -> bool {
    tag.len() == OF_BODY.len() + DIGITS + 1 && tag.starts_with(OF_BODY)
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// How a list of entity tags (`If-Match`, `If-None-Match`) meets a stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListMatch {
    /// The field is absent.
    Absent,
    /// `*`, or a member matches.
    Yes,
    /// No member matches.
    No,
}

/// Matches all lines of a list field against `stored`: weakly for `If-None-Match` (§13.1.2), strongly for `If-Match` (§13.1.1).
pub(crate) fn match_list(headers: &HeaderMap, name: impl AsHeaderName, stored: Option<&HeaderValue>, weakly: bool) -> ListMatch {
    let mut lines = headers.get_all(name).iter().peekable();
    if lines.peek().is_none() {
        return ListMatch::Absent;
    }
    let matches = |tag: &[u8]| match (tag, stored.map(HeaderValue::as_bytes)) {
        (b"*", _) => true,
        (_, None) => false,
        (tag, Some(stored)) if weakly => opaque(tag) == opaque(stored),
        (tag, Some(stored)) => !is_weak(stored) && tag == stored,
    };
    if lines.flat_map(|line| Tags(line.as_bytes())).any(matches) { ListMatch::Yes } else { ListMatch::No }
}

/// The members of a list of entity tags; a comma inside quotes belongs to the tag. Malformed members come out as they are, and can only
/// match a stored tag that is malformed in the same way.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.0.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let rest = &self.0[start..];
        let mut quoted = false;
        let end = rest.iter().position(|&byte| {
            quoted ^= byte == b'"';
            byte == b',' && !quoted
        });
        let (tag, rest) = rest.split_at(end.unwrap_or(rest.len()));
        self.0 = rest;
        Some(tag.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use http::header::IF_NONE_MATCH;

    use super::*;

    #[test]
    fn rfc9110_8_8_3_2_the_table_of_comparisons() {
        let cases = [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ];
        for (one, other, strong, weak) in cases {
            let (one, other) = (HeaderValue::from_static(one), HeaderValue::from_static(other));
            assert_eq!((strong_match(&one, &other), weak_match(&one, &other)), (strong, weak), "{one:?} {other:?}");
            assert_eq!((strong_match(&other, &one), weak_match(&other, &one)), (strong, weak), "{other:?} {one:?}");
        }
    }

    #[test]
    fn rfc9110_8_8_3_a_tag_of_a_body_tells_its_bytes_and_not_its_pieces() {
        let of = |pieces: &[&str]| of_body(pieces.iter().map(|piece| piece.as_bytes()));
        assert_eq!(of(&["hello"]), "\"larder-ea8f163db38682925e4491c5e58d4bb3\"");
        assert_eq!(of(&["he", "", "llo"]), of(&["hello"]));
        assert_ne!(of(&["hello!"]), of(&["hello"]));
        assert!(is_strong(&of(&[])) && is_of_body(of(&[]).as_bytes()));
        assert!(!is_of_body(b"\"larder-1\"") && !is_of_body(b"W/\"larder-ea8f163db38682925e4491c5e58d4bb3\""));
    }

    #[test]
    fn rfc9110_13_1_2_lists_of_tags() {
        let stored = HeaderValue::from_static("\"a,b\"");
        let cases: [(&[&'static str], ListMatch); 8] = [
            (&[], ListMatch::Absent),
            (&["*"], ListMatch::Yes),
            (&["\"a,b\""], ListMatch::Yes),
            (&["\"x\",W/\"a,b\" , \"y\""], ListMatch::Yes),
            (&["\"x\"", "\"a,b\""], ListMatch::Yes),
            (&["\"a\",\"b\""], ListMatch::No),
            (&[""], ListMatch::No),
            (&["a,b"], ListMatch::No),
        ];
        for (lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(IF_NONE_MATCH, HeaderValue::from_static(line));
            }
            assert_eq!(match_list(&headers, IF_NONE_MATCH, Some(&stored), true), expected, "{lines:?}");
        }
    }
}
