//! Limits of what an HTTP/2 client may send besides requests (RFC 9113 §10.5), looked at where its bytes are read.
//!
//! The HTTP/2 library answers each control frame, and bounds what it keeps for them, but not how often they come; and what it refuses by
//! itself nobody hears of. So the heads of all frames are read here, both ways:
//!
//! 1. Frames that cost the server and bring the client nothing have a number that is allowed between two ticks of the server: resets
//!    (CVE-2023-44487), PING and SETTINGS (CVE-2019-9512, 9515), PRIORITY, and frames without content (CVE-2019-9518). CONTINUATION
//!    (CVE-2024-27316) has one for each block of fields, which is the library's, a frame earlier.
//! 2. A client over it gets GOAWAY with ENHANCE_YOUR_CALM, and its connection ends.
//! 3. Streams beyond `max_streams`, which the library refuses one by one, are counted by its answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::http2::frames::{FULL_FRAME, Frame, Frames, flag, kind};

/// Error codes (RFC 9113 §7).
const REFUSED_STREAM: u32 = 0x7;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// GOAWAY with ENHANCE_YOUR_CALM. The last stream that was taken is not known here, so it is the highest there is: no request is
/// said to be safe to repeat.
pub(crate) const CALM_DOWN: [u8; 17] = [0, 0, 8, kind::GOAWAY, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0xb];

/// A limit that a client has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    RstStream,
    Ping,
    Settings,
    Priority,
    Empty,
    Continuation,
    /// Of streams at a time: only the stream is refused.
    Streams,
    /// One of the library's own, for which it ends the connection.
    Library,
}

impl Limit {
    const ALL: [(Self, &'static str); 8] = [
        (Self::RstStream, "rst_stream"),
        (Self::Ping, "ping"),
        (Self::Settings, "settings"),
        (Self::Priority, "priority"),
        (Self::Empty, "empty"),
        (Self::Continuation, "continuation"),
        (Self::Streams, "streams"),
        (Self::Library, "library"),
    ];
    /// Those that are counted between two ticks.
    const PACED: usize = 5;

    /// So many frames may come between two ticks, which are seconds apart. Browsers reset what they asked for when a page is left, a
    /// hundred streams at once; gRPC's clients ping once a round trip while data flows, and set another window as often as they double it.
    const fn allowed(self) -> u32 {
        match self {
            Self::RstStream => 500,
            Self::Ping => 10_000,
            Self::Settings | Self::Empty => 100,
            Self::Priority => 2_000,
            Self::Continuation | Self::Streams | Self::Library => u32::MAX,
        }
    }
}

/// Counts the limits that clients have reached.
#[derive(Clone, Debug, Default)]
pub struct Http2Limits(Arc<[AtomicU64; Limit::ALL.len()]>);

impl Http2Limits {
    fn count(&self, limit: Limit) {
        self.0[limit as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Every limit with how often it was reached.
    pub fn by_limit(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Limit::ALL.into_iter().map(|(limit, name)| (name, self.0[limit as usize].load(Ordering::Relaxed)))
    }
}

/// Looks at the frames of one connection.
#[derive(Debug)]
pub(crate) struct FrameLimits {
    counts: Http2Limits,
    /// Those of the server. What is allowed is allowed anew after each.
    ticks: Arc<AtomicU32>,
    seen_tick: u32,
    left: [u32; Limit::PACED],
    max_continuations: u32,
    continuations: u32,
    received: Frames,
    sent: Frames,
}

impl FrameLimits {
    /// `max_fields` is the most bytes of fields that the library takes.
    pub(crate) fn new(max_fields: usize, ticks: Arc<AtomicU32>, counts: Http2Limits) -> Self {
        // As the library reckons it, so that this limit is reached first and told.
        let full = u32::try_from(max_fields / FULL_FRAME).unwrap_or(u32::MAX).max(1);
        let max_continuations = full.saturating_add(full / 4).max(5);
        Self {
            counts,
            ticks,
            seen_tick: 0,
            left: ALLOWED,
            max_continuations,
            continuations: 0,
            received: Frames::of_client(),
            sent: Frames::default(),
        }
    }

    /// Looks at bytes that have arrived.
    ///
    /// # Errors
    /// The limit that the client has reached: the connection has to end.
    pub(crate) fn received(&mut self, bytes: &[u8]) -> Result<(), Limit> {
        let tick = self.ticks.load(Ordering::Relaxed);
        if tick != self.seen_tick {
            (self.seen_tick, self.left) = (tick, ALLOWED);
        }
        let Self { left, continuations, max_continuations, .. } = self;
        let reached = self.received.read(bytes, |frame| {
            *continuations = if frame.kind == kind::CONTINUATION { continuations.saturating_add(1) } else { 0 };
            if *continuations > *max_continuations {
                return Some(Limit::Continuation);
            }
            let paced = paced_limit(frame)?;
            let left = &mut left[paced as usize];
            *left = left.saturating_sub(1);
            (*left == 0).then_some(paced)
        });
        match reached {
            Some(limit) => {
                self.counts.count(limit);
                Err(limit)
            }
            None => Ok(()),
        }
    }

    /// Looks at bytes that the library sends: they tell what it refuses. The last limit that the client has reached. `also` sees each frame.
    pub(crate) fn sent(&mut self, bytes: &[u8], mut also: impl FnMut(&Frame)) -> Option<Limit> {
        let (counts, mut reached) = (&self.counts, None);
        self.sent.read(bytes, |frame| {
            also(frame);
            let limit = match frame.kind {
                kind::RST_STREAM if frame.number(0) == REFUSED_STREAM => Limit::Streams,
                kind::GOAWAY if frame.number(1) == ENHANCE_YOUR_CALM => Limit::Library,
                _ => return None::<()>,
            };
            counts.count(limit);
            reached = Some(limit);
            None
        });
        reached
    }

    /// The frames that the library has sent, as far as they are written.
    pub(crate) fn sent_frames(&self) -> &Frames {
        &self.sent
    }
}

const ALLOWED: [u32; Limit::PACED] = {
    let mut allowed = [0; Limit::PACED];
    let mut index = 0;
    while index < Limit::PACED {
        allowed[index] = Limit::ALL[index].0.allowed() + 1;
        index += 1;
    }
    allowed
};

/// The limit that it counts against.
fn paced_limit(frame: &Frame) -> Option<Limit> {
    let has_first_flag = frame.flags & flag::ACK != 0;
    match frame.kind {
        kind::RST_STREAM => Some(Limit::RstStream),
        kind::PING if !has_first_flag => Some(Limit::Ping),
        kind::SETTINGS if !has_first_flag => Some(Limit::Settings),
        kind::PRIORITY => Some(Limit::Priority),
        kind::DATA if frame.length == 0 && !has_first_flag => Some(Limit::Empty),
        kind::HEADERS | kind::CONTINUATION if frame.length == 0 => Some(Limit::Empty),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> FrameLimits {
        FrameLimits::new(128 * 1024, Arc::default(), Http2Limits::default())
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn after_preface() -> FrameLimits {
        let mut limits = limits();
        assert_eq!(limits.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Ok(()));
        limits
    }

    fn counts(limits: &FrameLimits) -> Vec<(&'static str, u64)> {
        limits.counts.by_limit().filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn each_kind_of_frame_that_only_costs_has_a_limit_of_its_own() {
        let cases = [
            (Limit::RstStream, frame(kind::RST_STREAM, 0, &[0, 0, 0, 8])),
            (Limit::Ping, frame(kind::PING, 0, &[0; 8])),
            (Limit::Settings, frame(kind::SETTINGS, 0, b"")),
            (Limit::Priority, frame(kind::PRIORITY, 0, &[0; 5])),
            (Limit::Empty, frame(kind::DATA, 0, b"")),
            (Limit::Empty, frame(kind::HEADERS, 0, b"")),
        ];
        for (limit, bytes) in cases {
            let mut limits = after_preface();
            for _ in 0..limit.allowed() {
                assert_eq!(limits.received(&bytes), Ok(()), "{limit:?}");
            }
            assert_eq!(limits.received(&bytes), Err(limit));
            assert_eq!(counts(&limits), [(Limit::ALL[limit as usize].1, 1)]);
        }
    }

    #[test]
    fn answers_and_ends_of_bodies_count_against_nothing() {
        let mut limits = after_preface();
        for bytes in [frame(kind::PING, 1, &[0; 8]), frame(kind::SETTINGS, 1, b""), frame(kind::DATA, 1, b""), frame(kind::DATA, 0, b"x")] {
            assert!((0..20_000).all(|_| limits.received(&bytes).is_ok()), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_allowed_is_allowed_anew_after_a_tick() {
        let mut limits = after_preface();
        let settings = frame(kind::SETTINGS, 0, b"");
        for _ in 0..3 {
            assert!((0..Limit::Settings.allowed()).all(|_| limits.received(&settings).is_ok()));
            limits.ticks.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(counts(&limits), []);
    }

    #[test]
    fn a_block_of_fields_comes_in_so_many_frames() {
        let mut limits = after_preface();
        let continuation = frame(kind::CONTINUATION, 0, b"x");
        assert!((0..10).all(|_| limits.received(&continuation).is_ok()));
        assert_eq!(limits.received(&frame(kind::HEADERS, 4, b"x")), Ok(()), "another block");
        assert!((0..10).all(|_| limits.received(&continuation).is_ok()));
        assert_eq!(limits.received(&continuation), Err(Limit::Continuation));
    }

    #[test]
    fn frames_are_found_in_pieces_of_any_size() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let frames = [frame(kind::DATA, 0, &[kind::PING; 300]), frame(kind::RST_STREAM, 0, &[0, 0, 0, 8]), frame(kind::PING, 0, &[0; 8])];
        let bytes = [preface, frames.concat()].concat();
        for size in 1..40 {
            let mut limits = limits();
            assert!(bytes.chunks(size).all(|piece| limits.received(piece).is_ok()));
            let used: Vec<u32> = ALLOWED.iter().zip(limits.left).map(|(allowed, left)| allowed - left).collect();
            assert_eq!(used, [1, 1, 0, 0, 0], "pieces of {size}");
        }
    }

    #[test]
    fn what_the_library_refuses_is_counted_by_its_answers() {
        let mut limits = limits();
        let refused = frame(kind::RST_STREAM, 0, &REFUSED_STREAM.to_be_bytes());
        let cancelled = frame(kind::RST_STREAM, 0, &[0, 0, 0, 8]);
        let calm = frame(kind::GOAWAY, 0, &[0, 0, 0, 9, 0, 0, 0, 0xb, b'x', b'y']);
        let farewell = frame(kind::GOAWAY, 0, &[0, 0, 0, 9, 0, 0, 0, 0]);
        let bytes = [refused, cancelled, calm, farewell, CALM_DOWN.to_vec()].concat();
        let reached: Vec<_> = bytes.chunks(3).filter_map(|piece| limits.sent(piece, |_| ())).collect();
        assert_eq!(reached, [Limit::Streams, Limit::Library, Limit::Library]);
        assert_eq!(counts(&limits), [("streams", 1), ("library", 2)]);
    }
}
