//! Readers that are in what a tier has of the body, and their way into the pieces.

use std::sync::Arc;

use http::HeaderMap;

use super::{End, State};
use crate::body::log::remote::Remote;

impl State {
    pub(in super::super) fn of_remote(remote: Remote, trailers: Option<HeaderMap>) -> Self {
        Self { dropped: remote.length, end: Some(End::Complete(trailers.map(Arc::new))), remote: Some(remote), ..Self::default() }
    }

    /// A reader has taken so many bytes elsewhere.
    pub(in super::super) fn took(&mut self, slot: usize, bytes: u64) {
        if let Some(Some(position)) = self.readers.get_mut(slot) {
            position.taken += bytes;
            self.find(slot);
        }
    }

    /// Moves a reader anywhere in a stored body, or forward, as far as a tier has the body. Its place in bytes.
    pub(in super::super) fn seek(&mut self, slot: usize, offset: u64) -> u64 {
        let reach = if self.remote.is_some() { offset.min(self.dropped) } else { 0 };
        let is_stored = self.stored.is_some() && self.remote.is_none();
        // One that was cut off learns so when it reads on.
        let Some(Some(position)) = self.readers.get_mut(slot) else { return offset };
        if is_stored {
            position.taken = offset;
            return offset;
        }
        position.taken = position.taken.max(reach);
        let taken = position.taken;
        self.find(slot);
        taken
    }

    /// Finds the piece that a reader is at, unless it is before all of them.
    fn find(&mut self, slot: usize) {
        let Some(Some(position)) = self.readers.get_mut(slot) else { return };
        let Some(mut within) = position.taken.checked_sub(self.dropped) else { return };
        let mut next = self.first;
        for piece in &self.pieces {
            let length = piece.bytes().len() as u64;
            if within < length {
                break;
            }
            (within, next) = (within - length, next + 1);
        }
        (position.next, position.within) = (next, within as usize);
    }
}
