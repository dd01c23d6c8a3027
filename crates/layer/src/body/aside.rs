//! Memory that a body on its way takes beside its log: what was fetched ahead, and what is gathered.

use std::sync::Arc;

use larder_store::SEGMENT;

use crate::body::log::InFlight;

/// Bytes counted with the bodies in flight.
pub(crate) struct Aside {
    in_flight: Arc<InFlight>,
    bytes: u64,
}

impl Aside {
    pub(crate) fn new(in_flight: &Arc<InFlight>) -> Self {
        Self { in_flight: Arc::clone(in_flight), bytes: 0 }
    }

    pub(crate) fn set(&mut self, bytes: u64) {
        self.in_flight.add(bytes);
        self.in_flight.take_off(std::mem::replace(&mut self.bytes, bytes));
    }

    /// The most segments that may be taken here while the budget is kept.
    pub(crate) fn max_segments(&self) -> usize {
        ((self.in_flight.left() + self.bytes) / SEGMENT as u64) as usize
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.set(0);
    }
}
