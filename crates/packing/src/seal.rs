//! Encrypted heads and bodies: without the key they can neither be read nor made (AES-256-GCM).
//!
//! ```text
//! u8  form (0xe1)     4 bytes  which key     12 bytes  random nonce            the ciphertext     16 bytes  tag
//! ```
//!
//! The key that seals a value is derived from the value's name in its store. So a value that was moved to another name does not open there, and the limit
//! on random nonces (2^32 under one key) holds for each name by itself.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use bytes::Bytes;
use larder_store::RemoteError;

use crate::keys::{SealKey, SealKeys};

const FORM: u8 = 0xe1;
const NAME: usize = 4;
const BEFORE: usize = 1 + NAME + NONCE_LEN;

/// Identifies a key without revealing it.
fn name(key: &SealKey) -> [u8; NAME] {
    let hash = blake3::derive_key("larder 2026 name of a store key", key.bytes());
    [hash[0], hash[1], hash[2], hash[3]]
}

/// The key for one name.
fn key_at(key: &SealKey, location: &str) -> Option<LessSafeKey> {
    let key = blake3::keyed_hash(key.bytes(), location.as_bytes());
    UnboundKey::new(&AES_256_GCM, key.as_bytes()).ok().map(LessSafeKey::new)
}

/// `content` sealed for this name; `None` if the system has no randomness.
fn seal_now(keys: &SealKeys, location: &str, content: &[u8]) -> Option<Bytes> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).ok()?;
    seal_with(keys, nonce, location, content)
}

fn seal_with(keys: &SealKeys, nonce: [u8; NONCE_LEN], location: &str, content: &[u8]) -> Option<Bytes> {
    let mut sealed = Vec::with_capacity(BEFORE + content.len() + AES_256_GCM.tag_len());
    sealed.push(FORM);
    sealed.extend_from_slice(&name(&keys.key));
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(content);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key_at(&keys.key, location)?.seal_in_place_separate_tag(nonce, Aad::empty(), &mut sealed[BEFORE..]).ok()?;
    sealed.extend_from_slice(tag.as_ref());
    Some(Bytes::from(sealed))
}

/// The content of a value that was sealed for this name; `None` if it was sealed with a key that is not here, or not at all.
fn open_with(keys: &SealKeys, location: &str, sealed: Vec<u8>) -> Option<Bytes> {
    let named = &sealed.get(..BEFORE).filter(|before| before[0] == FORM)?[1..1 + NAME];
    let key = std::iter::once(&keys.key).chain(&keys.old_keys).find(|key| name(key) == named)?;
    let key = key_at(key, location)?;
    let nonce = Nonce::try_assume_unique_for_key(&sealed[1 + NAME..BEFORE]).ok()?;
    let mut sealed = sealed;
    let length = key.open_in_place(nonce, Aad::empty(), &mut sealed[BEFORE..]).ok()?.len();
    Some(Bytes::from(sealed).slice(BEFORE..BEFORE + length))
}

/// Seals a value for this name, if there are keys.
pub fn seal(keys: Option<&SealKeys>, location: &str, content: Bytes) -> Result<Bytes, RemoteError> {
    match keys {
        Some(keys) => seal_now(keys, location, &content).ok_or(RemoteError::Refused),
        None => Ok(content),
    }
}

/// Opens a value of this name; `None` if none of the keys opens it. With keys, a value that is not sealed is refused.
pub fn open(keys: Option<&SealKeys>, location: &str, stored: Bytes) -> Option<Bytes> {
    match keys {
        Some(keys) => open_with(keys, location, stored.into()),
        None => Some(stored),
    }
}

/// Whether a head is sealed: no frame begins with that byte.
pub fn is_sealed(head: &[u8]) -> bool {
    head.first() == Some(&FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealKey {
        SealKey::new([byte; 32])
    }

    fn keys(byte: u8, old: &[u8]) -> SealKeys {
        SealKeys { key: key(byte), old_keys: old.iter().map(|byte| key(*byte)).collect() }
    }

    #[test]
    fn a_sealed_value_opens_under_its_name_with_its_key_only() {
        let sealed = seal_now(&keys(1, &[]), "a", b"hello").unwrap().to_vec();
        let opens = |keys: SealKeys, location: &str, sealed: &[u8]| open_with(&keys, location, sealed.to_vec()).map(|bytes| bytes.to_vec());
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
    fn the_same_content_is_sealed_differently_each_time() {
        let keys = keys(1, &[]);
        assert_ne!(seal_now(&keys, "a", b"hello"), seal_now(&keys, "a", b"hello"));
        assert!(is_sealed(&seal_now(&keys, "a", b"").unwrap()));
        assert_eq!(open_with(&keys, "a", seal_now(&keys, "a", b"").unwrap().to_vec()).as_deref(), Some(&b""[..]));
    }

    /// Bytes that an earlier version stored.
    #[test]
    fn golden_form() {
        let sealed = seal_with(&keys(7, &[]), [9; NONCE_LEN], "larder:{00}", b"hello").unwrap();
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("golden/sealed-1.hex").trim());
        assert_eq!(open_with(&keys(7, &[]), "larder:{00}", sealed.to_vec()).as_deref(), Some(&b"hello"[..]));
    }
}
