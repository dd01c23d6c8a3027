//! The selecting fields of a resource with variants.

use larder_semantics::{PrimaryKey, VarySpec};

use super::key_hash::KeyHash;
use crate::entry::MAX_USES;

/// Variants kept per resource; beyond, the least used go. Variant explosion is the field's standing complaint.
pub const MAX_VARIANTS: usize = 64;

/// Different sets of selecting fields kept per resource: an origin may answer with several (RFC 9111 §4.1).
const MAX_SPECS: usize = 4;

/// The value in a resource's primary slot when its responses carry `Vary`: which fields select, and the hashes of the variants.
#[derive(Clone, Debug)]
pub struct VaryIndex {
    key: PrimaryKey,
    /// The most recently seen set first.
    specs: Vec<VarySpec>,
    /// Hashes of the variants, in the order in which they are considered for eviction: in the order of arrival, but those that were used since
    /// last.
    variants: Vec<KeyHash>,
    fetch: u64,
}

impl VaryIndex {
    /// An index without variants, for the primary key with this text. The key is a copy: one that is a part of a variant would keep it.
    pub(crate) fn new(key: &[u8]) -> Self {
        let key = PrimaryKey::from(str::from_utf8(key).unwrap_or_default());
        Self { key, specs: Vec::new(), variants: Vec::new(), fetch: 0 }
    }

    /// The primary key.
    pub fn key(&self) -> &PrimaryKey {
        &self.key
    }

    /// The sets of selecting fields, the most recently seen first.
    pub fn specs(&self) -> &[VarySpec] {
        &self.specs
    }

    /// The newest fetch that added to it.
    pub fn fetch(&self) -> u64 {
        self.fetch
    }

    pub(crate) fn variants(&self) -> &[KeyHash] {
        &self.variants
    }

    /// With one more variant.
    pub(crate) fn add(&mut self, spec: &VarySpec, variant: KeyHash, fetch: u64) {
        let is_latest = fetch >= self.fetch;
        if is_latest || !self.specs.contains(spec) {
            self.specs.retain(|known| known != spec);
            // An earlier fetch that ends late does not say which fields select now.
            self.specs.insert(if is_latest { 0 } else { 1.min(self.specs.len()) }, spec.clone());
            self.specs.truncate(MAX_SPECS);
        }
        self.variants.retain(|known| *known != variant);
        self.variants.push(variant);
        self.fetch = self.fetch.max(fetch);
    }

    /// Takes a variant out where there are too many: the first that has no use left. `take_use` takes one use from a variant, and says
    /// whether it had any; that variant goes behind the others (the clock algorithm). The one that came last stays, for it had no chance
    /// yet.
    pub(crate) fn take_least_used(&mut self, take_use: impl Fn(KeyHash) -> bool) -> Option<KeyHash> {
        if self.variants.len() <= MAX_VARIANTS {
            return None;
        }
        let last = self.variants.pop()?;
        let mut next = 0;
        // Ends, for a variant has few uses; but readers may give it new ones meanwhile.
        for _ in 0..self.variants.len() * usize::from(MAX_USES) {
            if !take_use(self.variants[next]) {
                break;
            }
            next = (next + 1) % self.variants.len();
        }
        self.variants.rotate_left(next);
        let least_used = self.variants.remove(0);
        self.variants.push(last);
        Some(least_used)
    }

    pub(crate) fn weight(&self) -> usize {
        let names = self.specs.iter().map(|spec| size_of::<VarySpec>() + size_of_val(spec.names())).sum::<usize>();
        size_of::<Self>() + self.key.text().len() + names + size_of_val::<[_]>(&self.variants)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn full() -> VaryIndex {
        let mut index = VaryIndex::new(b"key");
        for variant in 0..=MAX_VARIANTS as u64 {
            index.add(&VarySpec::new(Vec::new()), variant, variant);
        }
        index
    }

    #[test]
    fn the_first_without_a_use_left_goes() {
        let uses = RefCell::new(std::collections::HashMap::from([(0, 2_u8), (1, 1), (3, 3)]));
        let take_use = |variant| match uses.borrow_mut().get_mut(&variant) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        };
        let mut index = full();
        assert_eq!(index.take_least_used(take_use), Some(2));
        assert_eq!(index.take_least_used(take_use), None, "they fit");
        // Those that were passed over have moved behind the others, but for the one that came last.
        assert_eq!(index.variants()[..2], [3, 4]);
        assert_eq!(index.variants()[MAX_VARIANTS - 3..], [0, 1, MAX_VARIANTS as u64]);
    }

    #[test]
    fn the_one_that_came_last_stays_though_all_others_are_in_use() {
        let last = MAX_VARIANTS as u64;
        let mut index = full();
        assert!(index.take_least_used(|variant| variant != last).is_some_and(|gone| gone != last));
        assert_eq!(index.variants().last(), Some(&last));
    }

    #[test]
    fn a_fetch_that_ends_late_does_not_say_what_selects_by_now() {
        let spec = |name: &'static str| VarySpec::new(vec![http::HeaderName::from_static(name)]);
        let mut index = VaryIndex::new(b"key");
        index.add(&spec("x-new"), 1, 5);
        index.add(&spec("x-old"), 2, 3);
        assert_eq!(index.specs(), [spec("x-new"), spec("x-old")]);
        index.add(&spec("x-old"), 3, 6);
        assert_eq!(index.specs(), [spec("x-old"), spec("x-new")]);
    }
}
