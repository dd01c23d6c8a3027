//! Deadlines of request heads and idle connections on HTTP/1.1, without a timer a request.
//!
//! hyper can time heads, but arms a timer for each: an allocation, a look at the clock, and two visits to the runtime's timers, a tenth of
//! what a hit costs. A deadline of half a minute can be kept more coarsely. The server ticks for all connections at once,
//! [`TICKS_PER_DEADLINE`] times in the shorter of the two deadlines. A connection that has waited for its client for more ticks than its
//! deadline has is closed. It counts as idle until the first byte of a head arrives.
//!
//! The same state says whether hyper or a handler is writing: see [`crate::http1::refusal`].

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use larder_config::ServerOptions;
use pin_project_lite::pin_project;

use crate::connection::peer::Peer;

/// Ticks in the shorter of both deadlines. A client is answered with 408 after its deadline and before one tick more.
pub(crate) const TICKS_PER_DEADLINE: u32 = 4;

/// The deadlines of a connection that waits for its client, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// From the first byte of a head to its end.
    pub(crate) head: u32,
    /// From the last byte of a response, once it is written, to the first byte of the next head.
    pub(crate) idle: u32,
}

/// The time between two ticks that these deadlines need.
pub(crate) fn tick_interval(options: &ServerOptions) -> Duration {
    options.header_read_timeout.min(options.idle_timeout) / TICKS_PER_DEADLINE
}

impl Deadlines {
    /// `tick` is the time between two ticks.
    pub(crate) fn of(options: &ServerOptions, tick: Duration) -> Self {
        let tick = tick.as_nanos().max(1);
        let ticks = |time: Duration| u32::try_from(time.as_nanos().div_ceil(tick)).unwrap_or(u32::MAX);
        Self { head: ticks(options.header_read_timeout), idle: ticks(options.idle_timeout) }
    }
}

/// A request is being answered, which has no deadline here.
const RESPONDING: u32 = 0;
/// The connection has begun to wait for its client.
const WAITING: u32 = 1;

/// How long a connection has waited for its client.
#[derive(Debug)]
pub(crate) struct ActivityTimer {
    /// Ticks since the last response ended, counted from [`WAITING`]; [`RESPONDING`] while a request is answered.
    ticks: AtomicU32,
    /// The first byte of the next head has arrived.
    head_begun: AtomicBool,
    /// Every byte of the last response has been written.
    is_flushed: AtomicBool,
}

impl ActivityTimer {
    /// For a new connection. The bytes that tell its protocol have arrived, so its first head has begun.
    pub(crate) fn new() -> Self {
        Self { ticks: AtomicU32::new(WAITING), head_begun: AtomicBool::new(true), is_flushed: AtomicBool::new(true) }
    }

    /// A byte has arrived. If it is the first of a head, the deadline of heads begins.
    pub(crate) fn byte_received(&self) {
        if self.ticks.load(Ordering::Relaxed) != RESPONDING && !self.head_begun.swap(true, Ordering::Relaxed) {
            self.ticks.store(WAITING, Ordering::Relaxed);
        }
    }

    /// A head is complete.
    pub(crate) fn request_begun(&self) {
        self.ticks.store(RESPONDING, Ordering::Relaxed);
        self.is_flushed.store(false, Ordering::Relaxed);
    }

    /// The response has been handed over completely, or was given up. The idle deadline begins once it is written.
    pub(crate) fn response_ended(&self) {
        self.head_begun.store(false, Ordering::Relaxed);
        self.ticks.store(WAITING, Ordering::Relaxed);
    }

    /// Nothing is left to write. The client's time begins.
    pub(crate) fn flushed(&self) {
        if self.ticks.load(Ordering::Relaxed) != RESPONDING && !self.is_flushed.load(Ordering::Relaxed) {
            self.is_flushed.store(true, Ordering::Relaxed);
            self.ticks.store(WAITING, Ordering::Relaxed);
        }
    }

    /// Whether no request is being answered and every byte of the last response has been written.
    pub(crate) fn is_between_responses(&self) -> bool {
        self.is_flushed.load(Ordering::Relaxed)
    }

    /// Counts a tick. Whether the deadline has passed.
    pub(crate) fn tick(&self, deadlines: Deadlines) -> bool {
        // Only the connection's own task changes the count, so a load and a store are enough.
        match self.ticks.load(Ordering::Relaxed) {
            RESPONDING => false,
            // hyper holds the end of a response, which a slow client takes bit by bit: a write that waits has a deadline of its own.
            _ if !self.is_flushed.load(Ordering::Relaxed) => false,
            ticks => {
                self.ticks.store(ticks + 1, Ordering::Relaxed);
                ticks > if self.head_begun.load(Ordering::Relaxed) { deadlines.head } else { deadlines.idle }
            }
        }
    }
}

pin_project! {
    /// The body of a response, which starts the idle deadline when it has been sent or given up.
    pub(crate) struct TimedBody<B> {
        #[pin]
        body: B,
        peer: Option<Peer>,
    }

    impl<B> PinnedDrop for TimedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(peer) = this.project().peer {
                peer.activity().response_ended();
            }
        }
    }
}

impl<B> TimedBody<B> {
    pub(crate) fn new(body: B, peer: Peer) -> Self {
        Self { body, peer: Some(peer) }
    }

    /// The last body of HTTP on this connection, which has no idle deadline: another protocol follows (RFC 9110 §7.8).
    pub(crate) fn untimed(body: B) -> Self {
        Self { body, peer: None }
    }
}

impl<B: Body> Body for TimedBody<B> {
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

    const DEADLINES: Deadlines = Deadlines { head: TICKS_PER_DEADLINE, idle: 3 * TICKS_PER_DEADLINE };

    /// Asserts that the client is late after so many ticks and not before. The first may come at once.
    fn assert_late_after(timer: &ActivityTimer, ticks: u32) {
        assert!((0..ticks).all(|_| !timer.tick(DEADLINES)));
        assert!(timer.tick(DEADLINES));
    }

    #[test]
    fn deadlines_are_counted_in_ticks_of_the_shorter_one() {
        let deadlines = |head, idle| {
            let options = ServerOptions {
                header_read_timeout: Duration::from_secs(head),
                idle_timeout: Duration::from_secs(idle),
                ..ServerOptions::default()
            };
            (tick_interval(&options), Deadlines::of(&options, tick_interval(&options)))
        };
        assert_eq!(deadlines(10, 75), (Duration::from_millis(2500), Deadlines { head: TICKS_PER_DEADLINE, idle: 30 }));
        assert_eq!(deadlines(30, 2), (Duration::from_millis(500), Deadlines { head: 60, idle: TICKS_PER_DEADLINE }));
        let (_, endless) = deadlines(1, u64::MAX);
        assert_eq!(endless, Deadlines { head: TICKS_PER_DEADLINE, idle: u32::MAX });
    }

    #[test]
    fn a_client_is_late_after_its_timeout_and_not_before() {
        assert_late_after(&ActivityTimer::new(), DEADLINES.head);
    }

    #[test]
    fn a_connection_is_idle_until_the_first_byte_of_a_head() {
        let timer = ActivityTimer::new();
        timer.request_begun();
        timer.response_ended();
        timer.flushed();
        assert_late_after(&timer, DEADLINES.idle);
        timer.request_begun();
        timer.response_ended();
        timer.flushed();
        assert!((0..DEADLINES.idle).all(|_| !timer.tick(DEADLINES)));
        timer.byte_received();
        timer.byte_received();
        assert_late_after(&timer, DEADLINES.head);
    }

    #[test]
    fn a_byte_that_arrives_during_a_response_begins_no_head() {
        let timer = ActivityTimer::new();
        timer.request_begun();
        timer.byte_received();
        assert!((0..100).all(|_| !timer.tick(DEADLINES)));
        timer.response_ended();
        timer.flushed();
        assert_late_after(&timer, DEADLINES.idle);
    }

    #[test]
    fn no_client_is_late_while_the_end_of_a_response_is_written_to_it() {
        let timer = ActivityTimer::new();
        timer.request_begun();
        timer.response_ended();
        assert!((0..100).all(|_| !timer.tick(DEADLINES)), "the idle time has not begun");
        timer.flushed();
        assert_late_after(&timer, DEADLINES.idle);
        timer.request_begun();
        timer.response_ended();
        timer.byte_received();
        assert!((0..100).all(|_| !timer.tick(DEADLINES)), "nor has the time of the head that follows");
        timer.flushed();
        timer.flushed();
        assert_late_after(&timer, DEADLINES.head);
    }

    #[test]
    fn a_connection_is_between_responses_once_the_last_one_is_written() {
        let timer = ActivityTimer::new();
        assert!(timer.is_between_responses());
        timer.request_begun();
        timer.flushed();
        assert!(!timer.is_between_responses(), "only its beginning has been written, or an informational response");
        timer.response_ended();
        assert!(!timer.is_between_responses(), "its end waits to be written");
        timer.flushed();
        assert!(timer.is_between_responses());
    }

    #[test]
    fn no_client_is_late_while_its_request_is_answered() {
        let timer = ActivityTimer::new();
        timer.request_begun();
        assert!((0..100).all(|_| !timer.tick(DEADLINES)));
    }
}
