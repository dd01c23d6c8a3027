//! The recording of a stream while it arrives.

use std::time::Duration;

use larder_store::{RecordedPiece, Recorder, Recording};
use tokio::time::Instant;

use crate::clock::timer_now;

/// Notes when each piece arrives.
pub(crate) struct Tape {
    recorder: Recorder,
    last: Instant,
}

impl Tape {
    /// The head is there.
    pub(crate) fn begin() -> Self {
        Self { recorder: Recorder::default(), last: timer_now() }
    }

    /// A piece is there. What of a millisecond is left counts for the next one, so that many short pauses add up.
    pub(crate) fn add(&mut self, piece: &[u8]) {
        let after = u64::try_from(timer_now().saturating_duration_since(self.last).as_millis()).unwrap_or(u64::MAX);
        self.last += Duration::from_millis(after);
        self.recorder.add(RecordedPiece { length: piece.len() as u64, after });
    }

    /// The recording.
    pub(crate) fn finish(self) -> Option<Recording> {
        self.recorder.finish()
    }
}
