//! Which life each segment has, and who reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One for each segment.
#[derive(Debug)]
pub(crate) struct Slots(Box<[Slot]>);

#[derive(Debug, Default)]
struct Slot {
    /// 0: nothing in it may be read.
    life: AtomicU64,
    pins: AtomicU32,
}

/// While it lives, its segment is not written anew.
#[derive(Debug)]
pub(crate) struct Pin {
    slots: Arc<Slots>,
    slot: u32,
}

impl Slots {
    pub(crate) fn new(count: u32) -> Self {
        Self((0..count).map(|_| Slot::default()).collect())
    }

    /// The segment's records may be read.
    pub(crate) fn begin(&self, slot: u32, life: u64) {
        self.0[slot as usize].life.store(life, Ordering::SeqCst);
    }

    /// No further reader may begin. Its life until now.
    pub(crate) fn retire(&self, slot: u32) -> u64 {
        self.0[slot as usize].life.swap(0, Ordering::SeqCst)
    }

    /// Whether a reader is still in it. To be asked after [`Self::retire`]: a reader either sees that, or is seen here.
    pub(crate) fn is_pinned(&self, slot: u32) -> bool {
        self.0[slot as usize].pins.load(Ordering::SeqCst) > 0
    }

    /// `None`: the segment has no life.
    pub(crate) fn life(&self, slot: u32) -> Option<u64> {
        self.0.get(slot as usize).map(|slot| slot.life.load(Ordering::SeqCst)).filter(|life| *life != 0)
    }

    /// Begins to read a segment: its life, for as long as the pin lives.
    pub(crate) fn pin(self: &Arc<Self>, slot: u32) -> Option<(Pin, u64)> {
        self.0.get(slot as usize)?.pins.fetch_add(1, Ordering::SeqCst);
        let pin = Pin { slots: Arc::clone(self), slot };
        // After the pin: from here on the segment stays as it is.
        self.life(slot).map(|life| (pin, life))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.slots.0[self.slot as usize].pins.fetch_sub(1, Ordering::SeqCst);
    }
}
