//! The text of a configuration file as it may be shown: with every secret masked.

use std::fmt;
use std::ops::Range;

/// What stands in place of a secret, however long that is.
const MASK: &str = "***";

/// A configuration file for error messages. Byte offsets are those of the file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Source {
    path: String,
    /// As long as the file, so that places are those of the file: each byte of a secret is a `*`.
    text: String,
    /// Where secrets are in it, one after the other.
    secrets: Vec<Range<usize>>,
    /// What people see.
    shown: String,
}

impl Source {
    pub(crate) fn new(path: impl Into<String>, text: &str) -> Self {
        let secrets = joined(userinfo(text, quoted_end).chain(secret_values(text)));
        let mut bytes = text.as_bytes().to_vec();
        secrets.iter().for_each(|secret| bytes[secret.clone()].fill(b'*'));
        Self { path: path.into(), shown: masked(text, &secrets), text: String::from_utf8_lossy(&bytes).into_owned(), secrets }
    }

    /// The file as the user named it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The text as people see it: with [`MASK`] for each secret, so that none shows how long it is.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// A part of the file, as a part of what people see.
    pub(crate) fn shown_span(&self, span: Range<usize>) -> Range<usize> {
        self.shown_offset(span.start)..self.shown_offset(span.end)
    }

    fn shown_offset(&self, offset: usize) -> usize {
        let before = self.secrets.iter().take_while(|secret| secret.start < offset);
        // Behind a secret, its mask stands for it; within one, its mask has begun.
        before.fold(offset, |shown, secret| shown - (secret.end.min(offset) - secret.start) + MASK.len())
    }

    /// Line and column of a byte offset, both from 1; the column counts characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// Keys whose value is never shown, wherever they stand: a key that this version does not know may still hold a secret.
pub(crate) const SECRET_KEYS: [&str; 5] = ["password", "passphrase", "secret", "token", "credential"];

/// Masks user names and passwords in a sentence that quotes a value of the file.
pub(crate) fn mask_sentence(text: &str) -> String {
    masked(text, &joined(userinfo(text, str::len)))
}

/// In order, and those as one that touch each other. Ranges begin and end between characters.
fn joined(secrets: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut all: Vec<_> = secrets.filter(|secret| !secret.is_empty()).collect();
    all.sort_unstable_by_key(|secret| secret.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(all.len());
    for secret in all {
        match joined.last_mut() {
            Some(last) if secret.start <= last.end => last.end = last.end.max(secret.end),
            _ => joined.push(secret),
        }
    }
    joined
}

/// The text with [`MASK`] for each secret.
fn masked(text: &str, secrets: &[Range<usize>]) -> String {
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for secret in secrets {
        out.extend([&text[from..secret.start], MASK]);
        from = secret.end;
    }
    out.push_str(&text[from..]);
    out
}

/// `user:password` in anything like `scheme://user:password@host`, up to the last `@` before `end`: a password may hold any character.
fn userinfo(text: &str, end: fn(&str) -> usize) -> impl Iterator<Item = Range<usize>> {
    text.match_indices("://").filter_map(move |(at, separator)| {
        let start = at + separator.len();
        let rest = &text[start..];
        rest[..end(rest)].rfind('@').map(|end| start..start + end)
    })
}

/// Where the string that `text` begins inside of ends: at a quote that nothing but punctuation or a comment follows, or with the line.
/// A stray quote inside a password is a syntax error, and the error shows the line.
fn quoted_end(text: &str) -> usize {
    let line = text.split('\n').next().unwrap_or(text);
    let closes = |(at, _): &(usize, &str)| line[at + 1..].trim_start().chars().next().is_none_or(|next| "#,]}".contains(next));
    line.match_indices(['"', '\'']).find(closes).map_or(line.len(), |(at, _)| at)
}

/// Everything after the `=` of a line whose key sounds like a secret, up to the end of the line.
fn secret_values(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let line_start = start;
        start += line.len();
        let lower = line.to_ascii_lowercase();
        let key = SECRET_KEYS.iter().filter_map(|key| lower.find(key)).min()?;
        let equals = key + line[key..].find('=')?;
        Some(line_start + equals + 1..line_start + line.trim_end().len())
    })
}

/// Without the text that has the length of each secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).field("shown", &self.shown).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_in_a_url_is_masked_and_places_stay() {
        for password in ["pä/ss@x", "p", &"x".repeat(99)] {
            let text = format!("url = \"http://me:{password}@host:1/\" # ok\nnext = 1");
            let source = Source::new("c.toml", &text);
            let (at, host) = (|part: &str| text.find(part).expect("it is there"), "host:1/");
            assert_eq!(source.shown(), "url = \"http://***@host:1/\" # ok\nnext = 1", "no mask shows how long the password is");
            assert_eq!(&source.shown()[source.shown_span(at(host)..at(host) + host.len())], host);
            assert_eq!(&source.shown()[source.shown_span(6..at(" #"))], "\"http://***@host:1/\"");
            assert_eq!(&source.shown()[source.shown_span(at("next")..text.len())], "next = 1");
            assert_eq!(source.position(at("next")), (2, 1), "the place is that of the file");
        }
    }

    #[test]
    fn a_secret_within_another_is_one() {
        let text = "a = 1\ntoken = \"http://me:hush@host\" # x\n";
        let source = Source::new("c.toml", text);
        assert_eq!(source.shown(), "a = 1\ntoken =***\n");
        assert_eq!(&source.shown()[source.shown_span(6..text.len())], "token =***\n");
        assert_eq!(Source::new("c.toml", "url = \"http://@host\"").shown(), "url = \"http://@host\"", "nothing is hidden there");
    }

    #[test]
    fn a_password_may_hold_anything_but_the_end_of_its_string() {
        assert_eq!(Source::new("c.toml", r#"a = "x://u:\"p w@h" # @"#).shown(), r#"a = "x://***@h" # @"#);
        assert_eq!(Source::new("c.toml", "a = \"x://u:\"pw@h\" # @").shown(), "a = \"x://***@h\" # @");
        assert_eq!(mask_sentence("`http://me:pa\"ss@h` is wrong"), "`http://***@h` is wrong");
    }

    #[test]
    fn values_of_keys_that_sound_secret_are_masked() {
        let source = Source::new("c.toml", "a = { Auth_Token = \"abc\" }\r\nb = 1\n");
        assert_eq!(source.shown(), "a = { Auth_Token =***\r\nb = 1\n");
    }

    #[test]
    fn a_url_without_userinfo_stays_as_it_is() {
        let text = "url = \"http://host/\"\nmail = \"a@b\"\n";
        assert_eq!(Source::new("c.toml", text).shown(), text);
    }

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source::new("c.toml", "# é\r\nä = \"ö\" x\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position("# é\r\n".len()), (2, 1));
        assert_eq!(source.position("# é\r\nä = \"ö\" ".len()), (2, 9));
    }
}
