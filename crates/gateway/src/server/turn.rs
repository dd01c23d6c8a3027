//! Whose turn it is on an HTTP/1.1 connection, and for how long: the deadline of request heads, without a timer a request.
//!
//! hyper can time heads, but arms a timer for each: an allocation, a look at the clock, and two visits to the runtime's timers, a tenth of
//! what a hit costs. A deadline of half a minute can be kept more coarsely. The server beats [`BEATS`] times in it, and a connection that
//! has waited for a head since more beats than that is late.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::peer::Peer;

/// Beats in one `header_read_timeout`. A late client is told so after the timeout, and before one beat more.
pub(super) const BEATS: u32 = 4;

const OURS: u32 = 0;
const THEIRS: u32 = 1;

/// Beats since it became the client's turn, counted from [`THEIRS`]; [`OURS`] while a request is answered.
#[derive(Debug)]
pub(super) struct Turn(AtomicU32);

impl Turn {
    pub(super) fn theirs() -> Self {
        Self(AtomicU32::new(THEIRS))
    }

    /// A head is complete.
    pub(super) fn take(&self) {
        self.0.store(OURS, Ordering::Relaxed);
    }

    fn give(&self) {
        self.0.store(THEIRS, Ordering::Relaxed);
    }

    /// Counts a beat. Whether the client has let too many pass.
    pub(super) fn beat(&self) -> bool {
        // Only the connection's own task gets here, and it hands the turn to and fro itself.
        match self.0.load(Ordering::Relaxed) {
            OURS => false,
            beats => {
                self.0.store(beats + 1, Ordering::Relaxed);
                beats > BEATS
            }
        }
    }
}

pin_project! {
    /// The body of an answer: when it has been sent or given up, it is the client's turn again.
    pub(super) struct Answering<B> {
        #[pin]
        body: B,
        peer: Peer,
    }

    impl<B> PinnedDrop for Answering<B> {
        fn drop(this: Pin<&mut Self>) {
            this.project().peer.turn().give();
        }
    }
}

impl<B> Answering<B> {
    pub(super) fn new(body: B, peer: Peer) -> Self {
        Self { body, peer }
    }
}

impl<B: Body> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_late_after_its_timeout_and_not_before() {
        let turn = Turn::theirs();
        // The first beat may come at once.
        assert!((0..BEATS).all(|_| !turn.beat()));
        assert!(turn.beat());
    }

    #[test]
    fn nobody_is_late_while_a_request_is_answered() {
        let turn = Turn::theirs();
        turn.take();
        assert!((0..100).all(|_| !turn.beat()));
        turn.give();
        assert!((0..BEATS).all(|_| !turn.beat()));
        assert!(turn.beat());
    }
}
