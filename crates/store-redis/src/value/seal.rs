//! Heads and bodies that only those can read, and make, who have the key: AES-256-GCM.
//!
//! ```text
//! u8  form (0xe1)     4 bytes  which key     12 bytes  random nonce            the ciphertext     16 bytes  tag
//! ```
//!
//! The name of the value in Redis goes into the key that seals it, so that what is moved to another place does not open there, and so
//! that the limit on random nonces (2^32 under one key) is one for each name.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use bytes::Bytes;
use larder_redis_options::{SealKey, SealKeys};
use larder_store::RemoteError;

const FORM: u8 = 0xe1;
const NAME: usize = 4;
const BEFORE: usize = 1 + NAME + NONCE_LEN;

/// What tells a key from others, and nothing of it.
fn name(key: &SealKey) -> [u8; NAME] {
    let hash = blake3::derive_key("larder 2026 name of a store key", key.bytes());
    [hash[0], hash[1], hash[2], hash[3]]
}

/// The key for one place.
fn key_at(key: &SealKey, place: &str) -> Option<LessSafeKey> {
    let key = blake3::keyed_hash(key.bytes(), place.as_bytes());
    UnboundKey::new(&AES_256_GCM, key.as_bytes()).ok().map(LessSafeKey::new)
}

/// What to store at this place for `content`; `None` where there is no randomness to be had.
fn seal_now(keys: &SealKeys, place: &str, content: &[u8]) -> Option<Bytes> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).ok()?;
    seal_with(keys, nonce, place, content)
}

fn seal_with(keys: &SealKeys, nonce: [u8; NONCE_LEN], place: &str, content: &[u8]) -> Option<Bytes> {
    let mut sealed = Vec::with_capacity(BEFORE + content.len() + AES_256_GCM.tag_len());
    sealed.push(FORM);
    sealed.extend_from_slice(&name(&keys.key));
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(content);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key_at(&keys.key, place)?.seal_in_place_separate_tag(nonce, Aad::empty(), &mut sealed[BEFORE..]).ok()?;
    sealed.extend_from_slice(tag.as_ref());
    Some(Bytes::from(sealed))
}

/// What was sealed at this place; `None` if that was done with a key that is not here, or not at all.
fn open_with(keys: &SealKeys, place: &str, sealed: Vec<u8>) -> Option<Bytes> {
    let named = &sealed.get(..BEFORE).filter(|before| before[0] == FORM)?[1..1 + NAME];
    let key = std::iter::once(&keys.key).chain(&keys.old_keys).find(|key| name(key) == named)?;
    let key = key_at(key, place)?;
    let nonce = Nonce::try_assume_unique_for_key(&sealed[1 + NAME..BEFORE]).ok()?;
    let mut sealed = sealed;
    let length = key.open_in_place(nonce, Aad::empty(), &mut sealed[BEFORE..]).ok()?.len();
    Some(Bytes::from(sealed).slice(BEFORE..BEFORE + length))
}

/// Seals a value for this place where there are keys.
pub(crate) fn seal(keys: Option<&SealKeys>, place: &str, content: Bytes) -> Result<Bytes, RemoteError> {
    match keys {
        Some(keys) => seal_now(keys, place, &content).ok_or(RemoteError::Refused),
        None => Ok(content),
    }
}

/// Opens a value of this place; `None` if none of the keys opens it. With keys, a value that is not sealed is refused.
pub(crate) fn open(keys: Option<&SealKeys>, place: &str, stored: Bytes) -> Option<Bytes> {
    match keys {
        Some(keys) => open_with(keys, place, stored.into()),
        None => Some(stored),
    }
}

/// Whether a head could only be read with a key: no frame begins so.
pub(crate) fn is_sealed(head: &[u8]) -> bool {
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
    fn what_is_sealed_opens_at_its_place_with_its_key_and_nowhere_else() {
        let sealed = seal_now(&keys(1, &[]), "a", b"hello").unwrap().to_vec();
        let opens = |keys: SealKeys, place: &str, sealed: &[u8]| open_with(&keys, place, sealed.to_vec()).map(|bytes| bytes.to_vec());
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
        assert_ne!(seal_now(&keys, "a", b"hello"), seal_now(&keys, "a", b"hello"));
        assert!(is_sealed(&seal_now(&keys, "a", b"").unwrap()));
        assert_eq!(open_with(&keys, "a", seal_now(&keys, "a", b"").unwrap().to_vec()).as_deref(), Some(&b""[..]));
    }

    /// Bytes that a released version has stored.
    #[test]
    fn golden_form() {
        let sealed = seal_with(&keys(7, &[]), [9; NONCE_LEN], "larder:{00}", b"hello").unwrap();
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("golden/sealed-1.hex").trim());
        assert_eq!(open_with(&keys(7, &[]), "larder:{00}", sealed.to_vec()).as_deref(), Some(&b"hello"[..]));
    }
}
