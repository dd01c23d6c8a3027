//! Keys with which stored heads and bodies are sealed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

const KEY: usize = 32;

/// A text that is no key. The message does not quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSealKey {
    /// It is neither hexadecimal nor base64.
    #[error("the key is neither hexadecimal nor base64")]
    Text,
    /// It does not have 32 bytes.
    #[error("the key has {0} bytes, and needs 32")]
    Length(usize),
}

/// 32 secret bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; KEY]);

/// The key to seal with, and those that open as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealKeys {
    /// Seals and opens.
    pub key: SealKey,
    /// Only open: keys from before a rotation.
    pub old_keys: Vec<SealKey>,
}

impl SealKey {
    /// Reads a key from 64 hexadecimal digits, or from base64 in any of its alphabets.
    pub fn parse(text: &str) -> Result<Self, InvalidSealKey> {
        let bytes = unhex(text)
            .or_else(|| [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|alphabet| alphabet.decode(text).ok()));
        let bytes = bytes.ok_or(InvalidSealKey::Text)?;
        bytes.as_slice().try_into().map(Self).map_err(|_| InvalidSealKey::Length(bytes.len()))
    }

    /// A key of these bytes.
    pub fn new(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }

    /// The secret bytes.
    pub fn bytes(&self) -> &[u8; KEY] {
        &self.0
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    rest.is_empty().then_some(())?;
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_in_hexadecimal_or_base64() {
        for text in ["07".repeat(32), STANDARD.encode([7; KEY]), URL_SAFE_NO_PAD.encode([7; KEY])] {
            assert_eq!(SealKey::parse(&text).unwrap(), SealKey::new([7; KEY]), "{text}");
        }
        assert_eq!(SealKey::parse("0707"), Err(InvalidSealKey::Length(2)));
        assert_eq!(SealKey::parse(""), Err(InvalidSealKey::Length(0)));
        assert_eq!(SealKey::parse("no key!"), Err(InvalidSealKey::Text));
        let keys = SealKeys { key: SealKey::new([7; KEY]), old_keys: vec![SealKey::new([8; KEY])] };
        assert_eq!(format!("{keys:?}"), "SealKeys { key: ***, old_keys: [***] }");
    }
}
