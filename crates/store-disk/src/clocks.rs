//! The clocks that the tier goes by.

use std::time::Instant;

use larder_semantics::Timestamp;

/// Handed in, so that tests can hand in their own.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The monotonic clock, for the breaker and the rate of writes.
    pub monotonic: fn() -> Instant,
    /// The clock by which responses are dated: what has expired by it is of no use. A clock that was wrong costs entries, and no more: whether one is
    /// fresh is judged where it is used.
    pub wall: fn() -> Timestamp,
}

impl Clocks {
    /// Seconds since 1970.
    pub(crate) fn now(&self) -> u32 {
        (self.wall)().as_secs()
    }
}
