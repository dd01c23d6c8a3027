//! Answers whose content coding was changed on their way.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::snapshot::LabelledCount;

/// The change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recoded {
    /// It was packed on its way into the cache.
    Packed,
    /// It was unpacked for a client that does not accept its coding.
    Unpacked,
    /// It could not be unpacked, so the request was asked once more as its client had sent it.
    AskedAgain,
}

/// How often each was done, since the start.
#[derive(Debug, Default)]
pub(super) struct Recodings([AtomicU64; 3]);

impl Recodings {
    pub(super) fn count(&self, how: Recoded) {
        self.0[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Vec<LabelledCount> {
        let labels = ["packed", "unpacked", "asked-again"];
        labels.into_iter().zip(&self.0).map(|(label, count)| LabelledCount { label, count: count.load(Ordering::Relaxed) }).collect()
    }
}
