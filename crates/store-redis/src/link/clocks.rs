//! The clocks that the tier goes by.

use std::time::Instant;

use larder_semantics::Timestamp;

/// Handed in, so that tests can hand in their own.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The monotonic clock.
    pub monotonic: fn() -> Instant,
    /// The clock by which heads are dated and look-ups are made. With it a response's age is handed on by Redis' clock, whatever time
    /// replicas believe it is, and a process that stood still knows for how long before it serves anything.
    pub wall: Option<fn() -> Timestamp>,
}
