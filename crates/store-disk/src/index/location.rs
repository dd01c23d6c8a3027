//! Where an entry is, in eight bytes.
//!
//! ```text
//! 2 bits uses · 4 unused · 14 segment · 22 unit · 22 units
//! ```

use std::num::NonZeroU64;

/// Segments that can be told apart.
const MAX_SEGMENTS: u32 = 1 << 14;

const UNIT_BITS: u32 = 22;
const UNIT_MASK: u64 = (1 << UNIT_BITS) - 1;
const USES_AT: u32 = 62;
const MAX_USES: u64 = 3;

/// The place of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location(NonZeroU64);

impl Location {
    /// Nobody has used it yet.
    pub(crate) fn new(slot: u32, unit: u32, units: u32) -> Self {
        let bits = u64::from(slot) << (2 * UNIT_BITS) | (u64::from(unit) & UNIT_MASK) << UNIT_BITS | u64::from(units) & UNIT_MASK;
        // No record is where a segment has its header, and none takes no unit.
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    pub(crate) fn slot(self) -> u32 {
        (self.0.get() >> (2 * UNIT_BITS)) as u32 & (MAX_SEGMENTS - 1)
    }

    pub(crate) fn unit(self) -> u32 {
        (self.0.get() >> UNIT_BITS & UNIT_MASK) as u32
    }

    pub(crate) fn units(self) -> u32 {
        (self.0.get() & UNIT_MASK) as u32
    }

    /// As it is after one more use.
    pub(crate) fn used(self) -> Self {
        if self.0.get() >> USES_AT < MAX_USES { Self(self.0.saturating_add(1 << USES_AT)) } else { self }
    }

    /// Whether it was used since it was written here.
    pub(crate) fn is_hot(self) -> bool {
        self.0.get() >> USES_AT > 0
    }

    /// Whether it is the same place, however often it was used.
    pub(crate) fn is_at(self, other: Self) -> bool {
        (self.0.get() ^ other.0.get()) << 2 == 0
    }
}
