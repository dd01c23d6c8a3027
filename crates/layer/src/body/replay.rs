//! A stored stream as it arrived: piece by piece, at once or at the pace at which it was recorded.
//!
//! Due times count from the first look at the stream, so a client that reads slowly, or asks late for a piece, does not shift those behind it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use larder_semantics::Replay;
use larder_store::{Recording, SEGMENT};
use tokio::time::{Instant, Sleep};

use crate::clock::timer_now;
use crate::error::BodyError;

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// How far a stream was given again.
#[derive(Debug)]
pub(crate) struct Replayer {
    recording: Recording,
    /// The place of the next piece in it.
    place: usize,
    /// Bytes of the current piece that are still to come; `None` between two pieces, and behind the last.
    left: Option<u64>,
    /// What is there of the current piece.
    piece: BytesMut,
    /// What the body has brought beyond it.
    beyond: Bytes,
    /// Trailers that came before the recording was at its end.
    trailers: Option<Frame<Bytes>>,
    pace: Replay,
    /// Milliseconds from the beginning to the current piece.
    due: u64,
    begun: Option<Instant>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Replayer {
    /// Gives a body with this recording again, at once.
    pub(crate) fn new(recording: Recording) -> Self {
        Self {
            recording,
            place: 0,
            left: None,
            piece: BytesMut::new(),
            beyond: Bytes::new(),
            trailers: None,
            pace: Replay::Fast,
            due: 0,
            begun: None,
            pause: None,
        }
    }

    /// At this pace.
    pub(crate) fn set_pace(&mut self, pace: Replay) {
        self.pace = pace;
    }

    /// Whether it holds nothing that is still to be given.
    pub(crate) fn is_drained(&self) -> bool {
        self.beyond.is_empty() && self.piece.is_empty() && self.trailers.is_none()
    }

    /// The next piece of a body that brings its bytes by `poll_body`.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>, mut poll_body: impl FnMut(&mut Context<'_>) -> Polled) -> Polled {
        loop {
            ready!(self.poll_pause(cx));
            if self.left.is_none() && self.begin_piece() {
                continue;
            }
            if let Some(whole) = self.take_piece() {
                return Poll::Ready(Some(Ok(Frame::data(whole))));
            }
            if let Some(trailers) = self.trailers.take() {
                return Poll::Ready(Some(Ok(trailers)));
            }
            let frame = match ready!(poll_body(cx)) {
                Some(Ok(frame)) => frame,
                None if !self.piece.is_empty() => return Poll::Ready(Some(Ok(Frame::data(self.piece.split().freeze())))),
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.beyond = data,
                Err(trailers) => {
                    self.trailers = Some(trailers);
                    // A recording that says more than there is: what is there is all of the piece.
                    self.left = self.left.map(|_| 0);
                }
            }
        }
    }

    /// Waits until the current piece is due.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    /// Begins the next piece, and the pause before it; `false` behind the last.
    fn begin_piece(&mut self) -> bool {
        let piece = loop {
            let Some((piece, next)) = self.recording.piece(self.place) else { return false };
            self.place = next;
            self.due = self.due.saturating_add(piece.after);
            if piece.length > 0 {
                break piece;
            }
        };
        self.left = Some(piece.length);
        if let Some(millis) = self.pace.pause(self.due) {
            let begun = *self.begun.get_or_insert_with(timer_now);
            let due = begun.checked_add(Duration::from_millis(millis)).unwrap_or(begun);
            self.pause = (due > timer_now()).then(|| Box::pin(tokio::time::sleep_until(due)));
        }
        true
    }

    /// The current piece, once all of it is there, or as much as is given at once; behind the last one, whatever is there.
    fn take_piece(&mut self) -> Option<Bytes> {
        let Some(left) = self.left else {
            return Some(std::mem::take(&mut self.beyond)).filter(|rest| !rest.is_empty());
        };
        let taken = self.beyond.split_to(left.min(self.beyond.len() as u64) as usize);
        let left = left - taken.len() as u64;
        self.left = (left > 0).then_some(left);
        if left == 0 && self.piece.is_empty() {
            return Some(taken).filter(|piece| !piece.is_empty());
        }
        self.piece.extend_from_slice(&taken);
        let is_given = left == 0 || self.piece.len() >= SEGMENT;
        (is_given && !self.piece.is_empty()).then(|| self.piece.split().freeze())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;

    use http::HeaderMap;
    use larder_store::{RecordedPiece, Recorder};

    use super::*;

    fn recording(pieces: &[(u64, u64)]) -> Recording {
        let mut recorder = Recorder::default();
        pieces.iter().for_each(|(length, after)| recorder.add(RecordedPiece { length: *length, after: *after }));
        recorder.finish().expect("pieces")
    }

    /// What is given of a body in these frames, each with the milliseconds until it came; `-` stands for trailers.
    async fn replayed(pieces: &[(u64, u64)], frames: &[&'static str], pace: Replay) -> Vec<(String, u128)> {
        let mut replayer = Replayer::new(recording(pieces));
        replayer.set_pace(pace);
        let mut frames: VecDeque<&str> = frames.iter().copied().collect();
        let (mut all, begun) = (Vec::new(), timer_now());
        let next = |frame: &'static str| Ok(if frame == "-" { Frame::trailers(HeaderMap::new()) } else { Frame::data(frame.into()) });
        while let Some(frame) = poll_fn(|cx| replayer.poll_piece(cx, |_| Poll::Ready(frames.pop_front().map(next)))).await {
            let text = frame.expect("no error").into_data().map_or("-".to_owned(), |data| String::from_utf8_lossy(&data).into_owned());
            all.push((text, begun.elapsed().as_millis()));
        }
        assert!(replayer.is_drained());
        all
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_comes_in_the_pieces_in_which_it_arrived() {
        let pieces = [(2, 100), (0, 1), (3, 50), (1, 0)];
        for (frames, expected) in [
            (&["abcdef"][..], &["ab", "cde", "f"][..]),
            (&["a", "bcd", "ef", "-"], &["ab", "cde", "f", "-"]),
            (&["abcdefgh", "ij"], &["ab", "cde", "f", "gh", "ij"]),
            (&["abc"], &["ab", "c"]),
            (&["abc", "-"], &["ab", "c", "-"]),
            (&[], &[]),
            (&["abcde", "", "f"], &["ab", "cde", "f"]),
        ] {
            let texts: Vec<String> = replayed(&pieces, frames, Replay::Fast).await.into_iter().map(|(text, _)| text).collect();
            assert_eq!(texts, expected, "{frames:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_comes_when_it_came_or_a_fraction_of_that_after() {
        let pieces = [(1, 80), (1, 160), (1, 0)];
        for (pace, times) in
            [(Replay::Fast, [0, 0, 0]), (Replay::Paced { speed: 1 }, [80, 240, 240]), (Replay::Paced { speed: 8 }, [10, 30, 30])]
        {
            let came: Vec<u128> = replayed(&pieces, &["abc"], pace).await.into_iter().map(|(_, after)| after).collect();
            assert_eq!(came, times, "{pace:?}");
        }
    }
}
