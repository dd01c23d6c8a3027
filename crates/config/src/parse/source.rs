//! The text of a configuration file as it may be shown: with every secret masked.

use std::ops::Range;

/// A configuration file for error messages. Byte offsets are those of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    path: String,
    text: String,
}

impl Source {
    pub(crate) fn new(path: impl Into<String>, text: &str) -> Self {
        Self { path: path.into(), text: mask(text) }
    }

    /// The file as the user named it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
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

/// Masks everything in a file that is or may be a secret.
fn mask(text: &str) -> String {
    fill(text, userinfo(text, quoted_end).chain(secret_values(text)))
}

/// Masks user names and passwords in a sentence that quotes a value of the file.
pub(crate) fn mask_sentence(text: &str) -> String {
    fill(text, userinfo(text, str::len))
}

/// Replaces each byte of a secret by `*`, so that offsets stay what they were. Ranges begin and end between characters.
fn fill(text: &str, secrets: impl Iterator<Item = Range<usize>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for secret in secrets {
        bytes[secret].fill(b'*');
    }
    String::from_utf8_lossy(&bytes).into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_in_a_url_is_masked_and_offsets_stay() {
        let source = Source::new("c.toml", "url = \"http://me:pä/ss@x@host:1/\" # ok\nnext = 1");
        assert_eq!(source.text(), "url = \"http://***********@host:1/\" # ok\nnext = 1");
    }

    #[test]
    fn a_password_may_hold_anything_but_the_end_of_its_string() {
        assert_eq!(Source::new("c.toml", r#"a = "x://u:\"p w@h" # @"#).text(), r#"a = "x://*******@h" # @"#);
        assert_eq!(Source::new("c.toml", "a = \"x://u:\"pw@h\" # @").text(), "a = \"x://*****@h\" # @");
        assert_eq!(mask_sentence("`http://me:pa\"ss@h` is wrong"), "`http://********@h` is wrong");
    }

    #[test]
    fn values_of_keys_that_sound_secret_are_masked() {
        let source = Source::new("c.toml", "a = { Auth_Token = \"abc\" }\r\nb = 1\n");
        assert_eq!(source.text(), "a = { Auth_Token =********\r\nb = 1\n");
    }

    #[test]
    fn a_url_without_userinfo_stays_as_it_is() {
        let text = "url = \"http://host/\"\nmail = \"a@b\"\n";
        assert_eq!(Source::new("c.toml", text).text(), text);
    }

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source::new("c.toml", "# é\r\nä = \"ö\" x\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position("# é\r\n".len()), (2, 1));
        assert_eq!(source.position("# é\r\nä = \"ö\" ".len()), (2, 9));
    }
}
