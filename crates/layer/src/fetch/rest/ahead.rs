//! Memory that is taken by what was fetched ahead.

use std::sync::Arc;

use crate::body::log::InFlight;

/// Bytes fetched ahead, counted with the bodies in flight.
pub(in crate::fetch) struct Ahead {
    in_flight: Arc<InFlight>,
    bytes: u64,
}

impl Ahead {
    pub(in crate::fetch) fn new(in_flight: &Arc<InFlight>) -> Self {
        Self { in_flight: Arc::clone(in_flight), bytes: 0 }
    }

    pub(in crate::fetch) fn set(&mut self, bytes: u64) {
        self.in_flight.add(bytes);
        self.in_flight.take_off(std::mem::replace(&mut self.bytes, bytes));
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.set(0);
    }
}
