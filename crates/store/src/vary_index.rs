//! The selecting fields of a resource with variants.

use larder_semantics::{PrimaryKey, VarySpec};

use crate::slot::KeyHash;

/// Variants kept per resource; the oldest goes first. Variant explosion is the field's standing complaint.
pub const MAX_VARIANTS: usize = 64;

/// Different sets of selecting fields kept per resource: an origin may answer with several (RFC 9111 §4.1).
const MAX_SPECS: usize = 4;

/// What stands in a resource's primary slot when its responses carry `Vary`: which fields select, and where the variants lie.
#[derive(Clone, Debug)]
pub struct VaryIndex {
    key: PrimaryKey,
    /// The most recently seen set first.
    specs: Vec<VarySpec>,
    /// Placements of the variants, oldest first.
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

    /// With one more variant. Returns the variants that have to go.
    pub(crate) fn add(&mut self, spec: &VarySpec, variant: KeyHash, fetch: u64) -> Vec<KeyHash> {
        self.specs.retain(|known| known != spec);
        self.specs.insert(0, spec.clone());
        self.specs.truncate(MAX_SPECS);
        self.variants.retain(|known| *known != variant);
        self.variants.push(variant);
        self.fetch = self.fetch.max(fetch);
        let over = self.variants.len().saturating_sub(MAX_VARIANTS);
        self.variants.drain(..over).collect()
    }

    pub(crate) fn weight(&self) -> usize {
        let names = self.specs.iter().map(|spec| size_of::<VarySpec>() + size_of_val(spec.names())).sum::<usize>();
        size_of::<Self>() + self.key.text().len() + names + size_of_val::<[_]>(&self.variants)
    }
}
