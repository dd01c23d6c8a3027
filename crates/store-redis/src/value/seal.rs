//! Heads and bodies that only those can read, and make, who have the key: AES-256-GCM.
//!
//! ```text
//! u8  form (0xe1)     4 bytes  which key     12 bytes  nonce, drawn by lot     the ciphertext     16 bytes  tag
//! ```
//!
//! The name of the value in Redis goes into the key that seals it, so that what is moved to another place does not open there, and so
//! that the limit on nonces drawn by lot (2^32 under one key) is one for each name.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use larder_store::RemoteError;

const FORM: u8 = 0xe1;
const KEY: usize = 32;
const NAME: usize = 4;
const BEFORE: usize = 1 + NAME + NONCE_LEN;

/// A key that is none. Says nothing of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSealKey {
    /// Neither hexadecimal nor base64.
    #[error("the key is neither hexadecimal nor base64")]
    Text,
    /// Of another length.
    #[error("the key has {0} bytes, and needs 32")]
    Length(usize),
}

/// 32 bytes that nobody else knows.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; KEY]);

/// The key to seal with, and those that open as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealKeys {
    /// Seals and opens.
    pub key: SealKey,
    /// Open only: those that were used before.
    pub old_keys: Vec<SealKey>,
}

impl SealKey {
    /// From 64 hexadecimal digits, or from base64 in any of its alphabets.
    pub fn parse(text: &str) -> Result<Self, InvalidSealKey> {
        let bytes = unhex(text)
            .or_else(|| [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|alphabet| alphabet.decode(text).ok()));
        let bytes = bytes.ok_or(InvalidSealKey::Text)?;
        bytes.as_slice().try_into().map(Self).map_err(|_| InvalidSealKey::Length(bytes.len()))
    }

    /// What tells it from others, and nothing of it.
    fn name(&self) -> [u8; NAME] {
        let hash = blake3::derive_key("larder 2026 name of a store key", &self.0);
        [hash[0], hash[1], hash[2], hash[3]]
    }

    fn at(&self, place: &str) -> Option<LessSafeKey> {
        let key = blake3::keyed_hash(&self.0, place.as_bytes());
        UnboundKey::new(&AES_256_GCM, key.as_bytes()).ok().map(LessSafeKey::new)
    }
}

impl SealKeys {
    /// What to store at this place for `content`; `None` where there is no randomness to be had.
    pub(crate) fn seal(&self, place: &str, content: &[u8]) -> Option<Bytes> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        self.seal_with(nonce, place, content)
    }

    fn seal_with(&self, nonce: [u8; NONCE_LEN], place: &str, content: &[u8]) -> Option<Bytes> {
        let mut sealed = Vec::with_capacity(BEFORE + content.len() + AES_256_GCM.tag_len());
        sealed.push(FORM);
        sealed.extend_from_slice(&self.key.name());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(content);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.at(place)?.seal_in_place_separate_tag(nonce, Aad::empty(), &mut sealed[BEFORE..]).ok()?;
        sealed.extend_from_slice(tag.as_ref());
        Some(Bytes::from(sealed))
    }

    /// What was sealed at this place; `None` if that was done with a key that is not here, or not at all.
    pub(crate) fn open(&self, place: &str, sealed: Vec<u8>) -> Option<Bytes> {
        let name = &sealed.get(..BEFORE).filter(|before| before[0] == FORM)?[1..1 + NAME];
        let key = std::iter::once(&self.key).chain(&self.old_keys).find(|key| key.name() == name)?.at(place)?;
        let nonce = Nonce::try_assume_unique_for_key(&sealed[1 + NAME..BEFORE]).ok()?;
        let mut sealed = sealed;
        let length = key.open_in_place(nonce, Aad::empty(), &mut sealed[BEFORE..]).ok()?.len();
        Some(Bytes::from(sealed).slice(BEFORE..BEFORE + length))
    }
}

/// What to store at this place: sealed where there are keys.
pub(crate) fn seal(keys: Option<&SealKeys>, place: &str, content: Bytes) -> Result<Bytes, RemoteError> {
    match keys {
        Some(keys) => keys.seal(place, &content).ok_or(RemoteError::Refused),
        None => Ok(content),
    }
}

/// What was stored at this place; `None` if none of the keys opens it. With keys, what is not sealed is nobody's.
pub(crate) fn open(keys: Option<&SealKeys>, place: &str, stored: Bytes) -> Option<Bytes> {
    match keys {
        Some(keys) => keys.open(place, stored.into()),
        None => Some(stored),
    }
}

/// Whether a head could only be read with a key: no frame begins so.
pub(crate) fn is_sealed(head: &[u8]) -> bool {
    head.first() == Some(&FORM)
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

    fn key(byte: u8) -> SealKey {
        SealKey([byte; KEY])
    }

    fn keys(byte: u8, old: &[u8]) -> SealKeys {
        SealKeys { key: key(byte), old_keys: old.iter().map(|byte| key(*byte)).collect() }
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_with_its_key_and_nowhere_else() {
        let sealed = keys(1, &[]).seal("a", b"hello").unwrap().to_vec();
        let opens = |keys: SealKeys, place: &str, sealed: &[u8]| keys.open(place, sealed.to_vec()).map(|bytes| bytes.to_vec());
        assert_eq!(opens(keys(1, &[]), "a", &sealed).as_deref(), Some(&b"hello"[..]));
        assert_eq!(opens(keys(2, &[1]), "a", &sealed).as_deref(), Some(&b"hello"[..]), "rotated");
        assert_eq!(opens(keys(2, &[3]), "a", &sealed), None);
        assert_eq!(opens(keys(1, &[]), "b", &sealed), None, "moved");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(opens(keys(1, &[]), "a", &changed), None, "byte {at}");
            assert_eq!(opens(keys(1, &[]), "a", &sealed[..at]), None, "cut off at {at}");
        }
        assert_eq!(opens(keys(1, &[]), "a", b"hello"), None, "never sealed");
    }

    #[test]
    fn nothing_is_sealed_the_same_way_twice() {
        let keys = keys(1, &[]);
        assert_ne!(keys.seal("a", b"hello"), keys.seal("a", b"hello"));
        assert!(is_sealed(&keys.seal("a", b"").unwrap()));
        assert_eq!(keys.open("a", keys.seal("a", b"").unwrap().to_vec()).as_deref(), Some(&b""[..]));
    }

    /// Bytes that a released version has stored.
    #[test]
    fn golden_form() {
        let sealed = keys(7, &[]).seal_with([9; NONCE_LEN], "larder:{00}", b"hello").unwrap();
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("golden/sealed-1.hex").trim());
        assert_eq!(keys(7, &[]).open("larder:{00}", sealed.to_vec()).as_deref(), Some(&b"hello"[..]));
    }

    #[test]
    fn a_key_is_32_bytes_in_hexadecimal_or_base64() {
        for text in ["07".repeat(32), STANDARD.encode([7; KEY]), URL_SAFE_NO_PAD.encode([7; KEY])] {
            assert_eq!(SealKey::parse(&text).unwrap(), key(7), "{text}");
        }
        assert_eq!(SealKey::parse("0707"), Err(InvalidSealKey::Length(2)));
        assert_eq!(SealKey::parse(""), Err(InvalidSealKey::Length(0)));
        assert_eq!(SealKey::parse("no key!"), Err(InvalidSealKey::Text));
        assert_eq!(format!("{:?}", keys(7, &[8])), "SealKeys { key: ***, old_keys: [***] }");
    }
}
