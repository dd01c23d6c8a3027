//! Slots: the values in the table of the memory tier.

use std::sync::Arc;

use larder_semantics::{PrimaryKey, Timestamp};

use super::vary_index::VaryIndex;
use crate::entry::{StoredPart, StoredResponse, Variant};
use crate::ledger::Ledger;
use crate::weight::allocated;

/// The value under a key.
#[derive(Clone, Debug)]
pub enum Slot {
    /// A stored response: the only one without `Vary`, or one variant.
    Response(Arc<StoredResponse>),
    /// A part of one, under the same key.
    Partial(Arc<StoredPart>),
    /// The selecting fields of a resource with variants, which have slots of their own.
    Vary(Arc<VaryIndex>),
    /// Known not to be worth waiting for.
    HitForMiss(Arc<HitForMiss>),
}

impl Slot {
    /// The text of the primary key it is for.
    pub fn key_bytes(&self) -> &[u8] {
        match self {
            Self::Response(response) => response.key_bytes(),
            Self::Partial(part) => part.key.as_bytes(),
            Self::Vary(index) => index.key().as_bytes(),
            Self::HitForMiss(mark) => mark.key.as_bytes(),
        }
    }

    /// Which requests it is for, where it is one of several variants.
    pub fn variant(&self) -> Option<&Variant> {
        match self {
            Self::Response(response) => response.variant(),
            Self::Partial(part) => part.variant.as_ref(),
            Self::Vary(_) | Self::HitForMiss(_) => None,
        }
    }

    /// When its representation was made, where it is one.
    pub(crate) fn date(&self) -> Option<Timestamp> {
        match self {
            Self::Response(response) => Some(response.head.date()),
            Self::Partial(part) => Some(part.meta.head.date()),
            Self::Vary(_) | Self::HitForMiss(_) => None,
        }
    }

    /// Whether it is a representation that an invalidation concerns.
    pub(crate) fn is_invalid(&self, ledger: &Ledger) -> bool {
        match self {
            Self::Response(response) => !response.is_valid(ledger),
            Self::Partial(part) => !part.is_valid(ledger),
            Self::Vary(_) | Self::HitForMiss(_) => false,
        }
    }

    /// The fetch it came from.
    pub fn fetch(&self) -> u64 {
        match self {
            Self::Response(response) => response.fetch,
            Self::Partial(part) => part.fetch,
            Self::Vary(index) => index.fetch(),
            Self::HitForMiss(mark) => mark.fetch,
        }
    }

    /// Bytes of memory it holds, without the map's own bookkeeping.
    pub fn weight(&self) -> usize {
        /// How many share it.
        const COUNTS: usize = 2 * size_of::<usize>();
        match self {
            Self::Response(response) => response.weight(),
            Self::Partial(part) => part.weight(),
            Self::Vary(index) => index.weight(),
            Self::HitForMiss(mark) => allocated(COUNTS + size_of::<HitForMiss>()) + allocated(COUNTS + mark.key.as_bytes().len()),
        }
    }
}

/// A key whose answers cannot be shared: its requests are not made to wait for each other (Varnish's hit-for-miss).
#[derive(Debug)]
pub struct HitForMiss {
    /// The key.
    pub key: PrimaryKey,
    /// When it is forgotten.
    pub until: Timestamp,
    /// Whether it is only for their size: parts of them may be kept.
    pub too_large: bool,
    /// Whether it came with credentials that are not part of the key: then it replaces nothing that other clients get.
    pub of_credentials: bool,
    /// The fetch that showed it.
    pub fetch: u64,
}
