//! Maps by tag.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64;

use crate::ledger::tag::Tag;

/// Values by tag.
pub(super) type TagMap<V> = HashMap<Tag, V, BuildHasherDefault<PassThroughHasher>>;

/// Tags are hashes already.
#[derive(Debug, Default)]
pub(super) struct PassThroughHasher(u64);

impl Hasher for PassThroughHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, tag: u64) {
        self.0 = tag;
    }
}
