//! Primary keys that stay.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;
use std::{fmt, str};

use bytes::Bytes;

use super::IDENTITY;

/// A primary key that stays: by itself, or as a part of the block of what is stored under it. Cheap to clone.
#[derive(Clone)]
pub struct PrimaryKey(Text);

#[derive(Clone)]
enum Text {
    Alone(Arc<str>),
    Part(Bytes),
}

impl PrimaryKey {
    /// The key whose text these bytes are; clones keep alive whatever they are a part of.
    pub fn part_of(block: Bytes) -> Self {
        Self(Text::Part(block))
    }

    /// The whole key.
    pub fn text(&self) -> &str {
        match &self.0 {
            Text::Alone(text) => text,
            Text::Part(bytes) => text_of(bytes),
        }
    }

    /// The bytes of [`Self::text`].
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Alone(text) => text.as_bytes(),
            Text::Part(bytes) => bytes,
        }
    }

    /// The URL part.
    pub fn url(&self) -> &str {
        url_of(self.as_bytes())
    }

    /// Who it is for, as it stands in the key: what an invalidation by identity names. `None` where it is for anyone.
    pub fn identity(&self) -> Option<&str> {
        let bytes = self.as_bytes();
        // Most keys end with their URL, which has none.
        if !bytes.contains(&b'#') {
            return None;
        }
        let parts = text_of(&bytes[url_place(bytes).end..]);
        // It stands last.
        parts.rfind(IDENTITY).map(|start| &parts[start + IDENTITY.len()..])
    }
}

/// The URL part of a key with this text.
pub fn url_of(key: &[u8]) -> &str {
    text_of(&key[url_place(key)])
}

/// Behind the third colon, for neither version nor namespace has one of its own; up to the first part behind it, where there is one.
fn url_place(key: &[u8]) -> Range<usize> {
    let colon = |from: usize| key[from..].iter().position(|&byte| byte == b':').map_or(key.len(), |index| from + index + 1);
    let start = colon(colon(colon(0)));
    let end = key[start..].windows(2).position(|two| two == b" #").map_or(key.len(), |mark| start + mark);
    start..end
}

/// It was text when it was written.
fn text_of(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

impl From<&str> for PrimaryKey {
    fn from(text: &str) -> Self {
        Self(Text::Alone(text.into()))
    }
}

impl PartialEq for PrimaryKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PrimaryKey {}

impl Hash for PrimaryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for PrimaryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}
