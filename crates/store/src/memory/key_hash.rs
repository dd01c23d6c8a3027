//! Hashes of keys, by which slots are found.

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// The hash of a key. It only finds the slot: the full text is compared on every hit, so a collision is a miss.
pub type KeyHash = u64;

/// A primary key with its hash.
#[derive(Clone, Copy, Debug)]
pub struct SlotKey<'a> {
    /// The key's text.
    pub text: &'a str,
    /// Its hash.
    pub hash: KeyHash,
}

/// Hashes keys with a seed of the process, so that no client can choose keys that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyHasher {
    seed: u64,
}

impl KeyHasher {
    pub(crate) fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self { seed: RandomState::new().hash_one(0u64) }
    }

    pub(crate) fn of_text(&self, text: &[u8]) -> KeyHash {
        xxh3_64_with_seed(text, self.seed)
    }

    pub(crate) fn variant(&self, primary: KeyHash, secondary: &str) -> KeyHash {
        let mut hasher = Xxh3::with_seed(self.seed);
        hasher.update(&primary.to_le_bytes());
        hasher.update(secondary.as_bytes());
        hasher.digest()
    }
}
