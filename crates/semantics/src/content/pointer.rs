//! JSON Pointer (RFC 6901): the name of a part of a JSON text.

use std::fmt;

/// A pointer, as `/messages/0/content`. The empty one is the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

/// A text that is no pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPointer;

impl Pointer {
    /// Reads `text`.
    ///
    /// # Errors
    /// Where it does not begin with `/`, or `~` is followed by something else than `0` and `1`.
    pub fn parse(text: &str) -> Result<Self, BadPointer> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let tokens = text.strip_prefix('/').ok_or(BadPointer)?.split('/');
        tokens.map(unescaped).collect::<Result<_, _>>().map(Self)
    }

    /// The member of this name of the whole text.
    pub(crate) fn member(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// The names of members, or the positions of items, from the whole text to the part.
    pub fn tokens(&self) -> &[String] {
        &self.0
    }
}

/// `~1` stands for `/` and `~0` for `~`.
fn unescaped(token: &str) -> Result<String, BadPointer> {
    let mut parts = token.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push(match part.as_bytes().first() {
            Some(b'0') => '~',
            Some(b'1') => '/',
            _ => return Err(BadPointer),
        });
        text.push_str(&part[1..]);
    }
    Ok(text)
}

impl fmt::Display for BadPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a JSON Pointer (RFC 6901)")
    }
}

impl std::error::Error for BadPointer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6901_4_escapes_are_resolved() {
        let tokens = |text: &str| Pointer::parse(text).map(|pointer| pointer.0);
        assert_eq!(tokens(""), Ok(Vec::new()));
        assert_eq!(tokens("/"), Ok(vec![String::new()]));
        assert_eq!(tokens("/a~1b/m~0n/0"), Ok(["a/b", "m~n", "0"].map(str::to_owned).to_vec()));
        assert_eq!(tokens("/~01"), Ok(vec!["~1".to_owned()]));
        for text in ["a", "a/b", "/~", "/~2", "/a~"] {
            assert_eq!(tokens(text), Err(BadPointer), "{text}");
        }
    }
}
