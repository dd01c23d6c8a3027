//! Whose turn it is on an HTTP/1.1 connection, and for how long: the deadline of request heads, without a timer a request.
//!
//! hyper can time heads, but arms a timer for each: an allocation, a look at the clock, and two visits to the runtime's timers, a tenth of
//! what a hit costs. A deadline of half a minute can be kept more coarsely. The server beats [`BEATS`] times in the shorter of the two
//! deadlines, that of a head and that of an idle connection, and a connection that has waited for more beats than its deadline has is late.
//! It is idle until the first byte of a head has come.
//!
//! Whose turn it is also tells whose word is being written: see [`crate::http1::refusal`].

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use larder_config::ServerOptions;
use pin_project_lite::pin_project;

use crate::connection::peer::Peer;

/// Beats in the shorter of both deadlines. A late client is told so after its deadline, and before one beat more.
pub(crate) const BEATS: u32 = 4;

/// The deadlines of a connection that waits for its client, in beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// Of a head whose first byte has come.
    pub(crate) head: u32,
    /// Of a connection on which nothing has come since the last answer.
    pub(crate) idle: u32,
}

/// The time between two beats.
pub(crate) fn beat_interval(options: &ServerOptions) -> Duration {
    options.header_read_timeout.min(options.idle_timeout) / BEATS
}

impl Deadlines {
    pub(crate) fn of(options: &ServerOptions) -> Self {
        let beat = beat_interval(options).as_nanos().max(1);
        let beats = |time: Duration| u32::try_from(time.as_nanos().div_ceil(beat)).unwrap_or(u32::MAX);
        Self { head: beats(options.header_read_timeout), idle: beats(options.idle_timeout) }
    }
}

const OURS: u32 = 0;
const THEIRS: u32 = 1;

#[derive(Debug)]
pub(crate) struct Turn {
    /// Since it became the client's turn, counted from [`THEIRS`]; [`OURS`] while a request is answered.
    beats: AtomicU32,
    /// A byte of the next head has come.
    begun: AtomicBool,
    /// Every byte of the last answer has been written.
    is_said: AtomicBool,
}

impl Turn {
    /// A connection's first: what its protocol is known by has come already.
    pub(crate) fn theirs() -> Self {
        Self { beats: AtomicU32::new(THEIRS), begun: AtomicBool::new(true), is_said: AtomicBool::new(true) }
    }

    /// A byte has come. If it is the first of the next head, its time begins.
    pub(crate) fn begin(&self) {
        if self.beats.load(Ordering::Relaxed) != OURS && !self.begun.swap(true, Ordering::Relaxed) {
            self.beats.store(THEIRS, Ordering::Relaxed);
        }
    }

    /// A head is complete.
    pub(crate) fn take(&self) {
        self.beats.store(OURS, Ordering::Relaxed);
        self.is_said.store(false, Ordering::Relaxed);
    }

    /// The answer has been sent, or given up.
    pub(crate) fn give(&self) {
        self.begun.store(false, Ordering::Relaxed);
        self.beats.store(THEIRS, Ordering::Relaxed);
    }

    /// There is nothing left to write.
    pub(crate) fn flushed(&self) {
        if self.beats.load(Ordering::Relaxed) != OURS {
            self.is_said.store(true, Ordering::Relaxed);
        }
    }

    /// Nothing of ours is under way or still to be written.
    pub(crate) fn is_between_answers(&self) -> bool {
        self.is_said.load(Ordering::Relaxed)
    }

    /// Counts a beat. Whether the client has let too many pass.
    pub(crate) fn beat(&self, deadlines: Deadlines) -> bool {
        // Only the connection's own task gets here, and it hands the turn to and fro itself.
        match self.beats.load(Ordering::Relaxed) {
            OURS => false,
            beats => {
                self.beats.store(beats + 1, Ordering::Relaxed);
                beats > if self.begun.load(Ordering::Relaxed) { deadlines.head } else { deadlines.idle }
            }
        }
    }
}

pin_project! {
    /// The body of an answer: when it has been sent or given up, it is the client's turn again, unless there are no more turns.
    pub(crate) struct Answering<B> {
        #[pin]
        body: B,
        peer: Option<Peer>,
    }

    impl<B> PinnedDrop for Answering<B> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(peer) = this.project().peer {
                peer.turn().give();
            }
        }
    }
}

impl<B> Answering<B> {
    pub(crate) fn new(body: B, peer: Peer) -> Self {
        Self { body, peer: Some(peer) }
    }

    /// The last body of HTTP on this connection: what comes behind it is in another protocol (RFC 9110 §7.8).
    pub(crate) fn last(body: B) -> Self {
        Self { body, peer: None }
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

    const DEADLINES: Deadlines = Deadlines { head: BEATS, idle: 3 * BEATS };

    /// Asserts that the client is late after so many beats and not before. The first may come at once.
    fn assert_late_after(turn: &Turn, beats: u32) {
        assert!((0..beats).all(|_| !turn.beat(DEADLINES)));
        assert!(turn.beat(DEADLINES));
    }

    #[test]
    fn deadlines_are_counted_in_beats_of_the_shorter_one() {
        let deadlines = |head, idle| {
            let options = ServerOptions {
                header_read_timeout: Duration::from_secs(head),
                idle_timeout: Duration::from_secs(idle),
                ..ServerOptions::default()
            };
            (beat_interval(&options), Deadlines::of(&options))
        };
        assert_eq!(deadlines(10, 75), (Duration::from_millis(2500), Deadlines { head: BEATS, idle: 30 }));
        assert_eq!(deadlines(30, 2), (Duration::from_millis(500), Deadlines { head: 60, idle: BEATS }));
        let (_, endless) = deadlines(1, u64::MAX);
        assert_eq!(endless, Deadlines { head: BEATS, idle: u32::MAX });
    }

    #[test]
    fn a_client_is_late_after_its_timeout_and_not_before() {
        assert_late_after(&Turn::theirs(), DEADLINES.head);
    }

    #[test]
    fn a_connection_is_idle_until_the_first_byte_of_a_head() {
        let turn = Turn::theirs();
        turn.take();
        turn.give();
        assert_late_after(&turn, DEADLINES.idle);
        turn.take();
        turn.give();
        assert!((0..DEADLINES.idle).all(|_| !turn.beat(DEADLINES)));
        turn.begin();
        turn.begin();
        assert_late_after(&turn, DEADLINES.head);
    }

    #[test]
    fn a_byte_that_comes_during_an_answer_begins_no_head() {
        let turn = Turn::theirs();
        turn.take();
        turn.begin();
        assert!((0..100).all(|_| !turn.beat(DEADLINES)));
        turn.give();
        assert_late_after(&turn, DEADLINES.idle);
    }

    #[test]
    fn between_answers_is_where_all_of_the_last_one_has_been_written() {
        let turn = Turn::theirs();
        assert!(turn.is_between_answers());
        turn.take();
        turn.flushed();
        assert!(!turn.is_between_answers(), "its beginning has been written, or an informational response");
        turn.give();
        assert!(!turn.is_between_answers(), "its end waits to be written");
        turn.flushed();
        assert!(turn.is_between_answers());
    }

    #[test]
    fn nobody_is_late_while_a_request_is_answered() {
        let turn = Turn::theirs();
        turn.take();
        assert!((0..100).all(|_| !turn.beat(DEADLINES)));
    }
}
