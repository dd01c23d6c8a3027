//! The grammar of `Cache-Control` (RFC 9111 §5.2), read as tolerantly as is safe.

use std::borrow::Cow;

/// The largest `delta-seconds`: "a cache MUST consider the value to be 2147483648 (2^31)" where it overflows (RFC 9111 §1.2.2).
pub(crate) const MAX_DELTA_SECONDS: u32 = 1 << 31;

/// One cache directive as it stood in the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive<'a> {
    /// The name as sent; compare it without regard to case.
    pub name: &'a [u8],
    /// The argument without its quotes; `None` where there is no `=`.
    pub argument: Option<Cow<'a, [u8]>>,
    /// Whether the grammar was kept. A directive that broke it (white space around `=`, words without a comma between them, text behind a
    /// quote that is never closed) may still forbid, but never permits.
    pub well_formed: bool,
}

impl Directive<'_> {
    /// Whether this is the directive `name` (lower-case). "Cache directives are identified by a token, to be compared
    /// case-insensitively" (§5.2).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The argument as `delta-seconds`. "For the directives defined below that define arguments, recipients ought to accept both forms"
    /// (§5.2): token and quoted-string. `None` for a sign, a fraction, any other text or no argument.
    pub fn seconds(&self) -> Option<u32> {
        if self.well_formed { parse_delta_seconds(self.argument.as_deref()?) } else { None }
    }

    /// The directive as field text; a quoted-string where the argument is no token.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = self.name.to_vec();
        let Some(argument) = &self.argument else { return text };
        text.push(b'=');
        if !argument.is_empty() && argument.iter().all(|&byte| is_token(byte)) {
            text.extend_from_slice(argument);
            return text;
        }
        text.push(b'"');
        for &byte in argument.iter() {
            if matches!(byte, b'"' | b'\\') {
                text.push(b'\\');
            }
            text.push(byte);
        }
        text.push(b'"');
        text
    }
}

/// `1*DIGIT`, capped at 2^31 (RFC 9111 §1.2.2).
pub fn parse_delta_seconds(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |sum, &byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit).min(MAX_DELTA_SECONDS))
    })
}

/// The directives of one field line, in order. Several lines are read one after the other, so that a quote left open in one of them cannot
/// swallow a `no-store` in the next.
///
/// A member that breaks the grammar (`private; max-age=600`, `private no-transform`) is read as all the directives that its words may be:
/// each may have been meant to forbid, so each forbids, and none permits.
#[derive(Clone, Debug)]
pub struct Directives<'a> {
    rest: &'a [u8],
    /// From here to the end of the line: a quote was never closed, so the end of its text is not known.
    broken_line: bool,
    /// From here to the next comma.
    broken_member: bool,
}

impl<'a> Directives<'a> {
    /// The directives of one field line.
    pub fn of_line(line: &'a [u8]) -> Self {
        Self { rest: line, broken_line: false, broken_member: false }
    }

    /// Leaves `rest` at the next name; `None` at the end. "A recipient MUST parse and ignore a reasonable number of empty list elements"
    /// (RFC 9110 §5.6.1.2); anything else before a name breaks its member.
    fn skip_to_name(&mut self) -> Option<()> {
        let start = self.rest.iter().position(|&byte| is_token(byte))?;
        for byte in &self.rest[..start] {
            match byte {
                b',' => self.broken_member = false,
                b' ' | b'\t' => {}
                _ => self.broken_member = true,
            }
        }
        self.rest = &self.rest[start..];
        Some(())
    }

    /// Reads an argument and leaves `rest` behind it. A quote that is never closed, or is closed in the middle of something, is a plain
    /// character: the text behind it still counts as directives, but only as prohibitions.
    fn argument(&mut self) -> Cow<'a, [u8]> {
        if self.rest.first() == Some(&b'"') {
            let quoted = quoted_string(self.rest).map(|(value, length)| (value, self.rest[length..].trim_ascii_start()));
            if let Some((value, rest)) = quoted.filter(|(_, rest)| rest.is_empty() || rest.starts_with(b",")) {
                self.rest = rest;
                return value;
            }
            self.broken_line = true;
        }
        let end = self.rest.iter().position(|byte| matches!(byte, b',' | b';') || byte.is_ascii_whitespace());
        let (value, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        Cow::Borrowed(value)
    }

    /// Whether the member ends here, as far as the grammar goes.
    fn ends_member(&self) -> bool {
        matches!(self.rest.trim_ascii_start().first(), None | Some(b','))
    }
}

impl<'a> Iterator for Directives<'a> {
    type Item = Directive<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_to_name()?;
        let end = self.rest.iter().position(|&byte| !is_token(byte)).unwrap_or(self.rest.len());
        let (name, behind) = self.rest.split_at(end);
        self.rest = behind;
        let mut argument = None;
        if let Some(value) = behind.trim_ascii_start().strip_prefix(b"=") {
            self.rest = value.trim_ascii_start();
            // White space around the equals sign.
            self.broken_member |= self.rest.len() + 1 != behind.len();
            argument = Some(self.argument());
        }
        self.broken_member |= !self.ends_member();
        Some(Directive { name, argument, well_formed: !(self.broken_line || self.broken_member) })
    }
}

/// The characters of a token (RFC 9110 §5.6.2), as a table: each byte of every `Cache-Control` is looked up.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let marks = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < marks.len() {
        table[marks[index] as usize] = true;
        index += 1;
    }
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] |= byte.is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// The content of the quoted-string that `text` starts with (RFC 9110 §5.6.4), and its length with both quotes. `None` where it is not closed.
pub(crate) fn quoted_string(text: &[u8]) -> Option<(Cow<'_, [u8]>, usize)> {
    let mut escaped = false;
    let mut escapes = 0;
    let inner = text.get(1..)?;
    let length = inner.iter().position(|&byte| {
        let closes = !escaped && byte == b'"';
        let starts_escape = !escaped && byte == b'\\';
        escapes += usize::from(starts_escape);
        escaped = starts_escape;
        closes
    })?;
    let raw = &inner[..length];
    let value = if escapes == 0 { Cow::Borrowed(raw) } else { Cow::Owned(unescape(raw, raw.len() - escapes)) };
    Some((value, length + 2))
}

fn unescape(raw: &[u8], length: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(length);
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            value.push(byte);
        } else if let Some(&next) = bytes.next() {
            value.push(next);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<(String, Option<String>, bool)> {
        Directives::of_line(line.as_bytes())
            .map(|directive| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(directive.name), directive.argument.as_deref().map(text), directive.well_formed)
            })
            .collect()
    }

    #[test]
    fn rfc9111_5_2_reads_tokens_and_quoted_strings() {
        let expected = vec![
            ("max-age".to_owned(), Some("60".to_owned()), true),
            ("private".to_owned(), Some("set-cookie, x".to_owned()), true),
            ("no-store".to_owned(), None, true),
            ("ext".to_owned(), Some("a\"b".to_owned()), true),
        ];
        assert_eq!(read(r#"max-age="60" ,, private="set-cookie, x",	no-store,ext="a\"b""#), expected);
    }

    #[test]
    fn rfc9111_5_2_a_directive_inside_a_quoted_string_is_none() {
        assert_eq!(read(r#"ext="no-store, max-age=5""#), vec![("ext".to_owned(), Some("no-store, max-age=5".to_owned()), true)]);
    }

    #[test]
    fn text_behind_an_open_quote_forbids_but_does_not_permit() {
        let names: Vec<_> = read(r#"ext="a, no-store, max-age=60"#).into_iter().map(|(name, _, well_formed)| (name, well_formed)).collect();
        assert_eq!(names, vec![("ext".into(), false), ("no-store".into(), false), ("max-age".into(), false)]);
    }

    #[test]
    fn the_words_of_a_broken_member_forbid_but_do_not_permit() {
        let lines: [(&str, &[(&str, bool)]); 10] = [
            ("private; max-age=600", &[("private", false), ("max-age", false)]),
            ("private;", &[("private", false)]),
            (";private", &[("private", false)]),
            ("private no-transform, max-age=60", &[("private", false), ("no-transform", false), ("max-age", true)]),
            ("no-store\tmax-age=60", &[("no-store", false), ("max-age", false)]),
            ("max-age=60; private", &[("max-age", false), ("private", false)]),
            ("max-age=60 private", &[("max-age", false), ("private", false)]),
            ("\"private\", public", &[("private", false), ("public", true)]),
            ("=private", &[("private", false)]),
            ("private:max-age=60", &[("private", false), ("max-age", false)]),
        ];
        for (line, expected) in lines {
            let names: Vec<_> = read(line).into_iter().map(|(name, _, well_formed)| (name, well_formed)).collect();
            let names: Vec<_> = names.iter().map(|(name, well_formed)| (name.as_str(), *well_formed)).collect();
            assert_eq!(names, expected, "{line}");
        }
    }

    #[test]
    fn rfc9111_1_2_2_delta_seconds() {
        let cases: [(&str, Option<u32>); 11] = [
            ("0", Some(0)),
            ("0060", Some(60)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", Some(MAX_DELTA_SECONDS)),
            ("99999999999999999999999999", Some(MAX_DELTA_SECONDS)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("60s", None),
            (" 60", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_delta_seconds(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn white_space_around_the_equals_sign_breaks_the_argument() {
        for line in ["max-age =60", "max-age= 60", "max-age = 60", r#"max-age="60"0"#] {
            let directive = Directives::of_line(line.as_bytes()).next().unwrap();
            assert!(directive.is("max-age"), "{line}");
            assert_eq!(directive.seconds(), None, "{line}");
        }
    }
}
