//! A map of bounded size that forgets what was not used for longest, roughly.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Two generations: what is used moves into the younger one, and when that is full the older one is forgotten.
#[derive(Debug)]
pub(crate) struct Bounded<V> {
    young: HashMap<u64, V, BuildHasherDefault<Hashed>>,
    old: HashMap<u64, V, BuildHasherDefault<Hashed>>,
    max: usize,
}

/// Keys are hashes already.
#[derive(Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

impl<V> Bounded<V> {
    /// For at most twice `max` values.
    pub(crate) fn new(max: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), max }
    }

    /// A value, which counts as used.
    pub(crate) fn get(&mut self, key: u64) -> Option<&mut V> {
        if let Some(value) = self.old.remove(&key) {
            self.put(key, value);
        }
        self.young.get_mut(&key)
    }

    /// Puts a value in the place of what was there.
    pub(crate) fn put(&mut self, key: u64, value: V) {
        if self.young.len() >= self.max && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// The hash of several texts, each kept apart from the next.
pub(crate) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3Default::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_size_is_bounded() {
        let mut map = Bounded::new(10);
        map.put(0, 0);
        for key in 1..1000 {
            map.put(key, key);
            assert_eq!(map.get(0), Some(&mut 0), "it is used all the time");
            assert!(map.young.len() + map.old.len() <= 20);
        }
        assert_eq!(map.get(1), None, "forgotten long since");
    }

    #[test]
    fn parts_of_a_hash_are_kept_apart() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }
}
