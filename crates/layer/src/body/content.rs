//! The content of a request, read before the request is looked up, since it is a part of the key.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use larder_semantics::content::Asked;

use super::log::InFlight;
use super::request::{ClientBody, RequestBody};
use crate::clock::timer_now;
use crate::error::BoxError;

/// A content that was read to its end. Its bytes count in the budget for bodies in flight for as long as the request is under way.
pub(crate) struct Content {
    bytes: Bytes,
    /// What is asked for.
    pub(crate) asked: Asked,
    _held: Held,
}

impl Content {
    /// A content that is there already.
    pub(crate) fn of(bytes: Bytes, in_flight: &Arc<InFlight>) -> Self {
        let mut held = Held { in_flight: Arc::clone(in_flight), bytes: 0 };
        held.add(bytes.len());
        Self { bytes, asked: Asked::Other, _held: held }
    }

    /// The same as a request that asks for this.
    pub(crate) fn asking(self, asked: Asked) -> Self {
        Self { asked, ..self }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// As the body of a request to the inner service.
    pub(crate) fn to_body(&self) -> RequestBody {
        RequestBody::new(Full::new(self.bytes.clone()))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("length", &self.bytes.len()).finish()
    }
}

/// All frames of a body in one piece.
pub(crate) fn joined<'a>(mut frames: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let (Some(first), second) = (frames.next(), frames.next()) else { return Bytes::new() };
    let Some(second) = second else { return first.clone() };
    let mut whole = BytesMut::from(&first[..]);
    std::iter::once(second).chain(frames).for_each(|frame| whole.extend_from_slice(frame));
    whole.freeze()
}

/// How long the content may take to arrive. A client that takes longer is the inner service's to wait for, which has its own deadlines for
/// those that stop sending: what is held here while they do so is nobody else's any more.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Bytes that count in the budget.
struct Held {
    in_flight: Arc<InFlight>,
    bytes: u64,
}

impl Held {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.in_flight.add(bytes as u64);
    }

    fn take_off(&mut self, bytes: usize) {
        self.bytes -= bytes as u64;
        self.in_flight.take_off(bytes as u64);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_flight.take_off(self.bytes);
    }
}

/// The outcome of reading.
pub(crate) enum ReadContent<R> {
    /// All of it, in no more than the permitted length.
    Whole(Content),
    /// It is too long or too slow, breaks off, has trailers, or the budget is used up: the body as it came, to be passed on.
    Other(Unread<R>),
}

/// Reads `body` to its end, for [`MAX_WAIT`] at most, or until it is longer than `max_length` bytes. With a length that is announced and too long, nothing is read.
pub(crate) async fn read<R: ClientBody>(body: R, max_length: usize, in_flight: &Arc<InFlight>) -> ReadContent<R> {
    let mut held = Held { in_flight: Arc::clone(in_flight), bytes: 0 };
    let mut body = Box::pin(body);
    let mut frames = VecDeque::new();
    if body.size_hint().lower() > max_length as u64 {
        return ReadContent::Other(Unread { frames, rest: Some(body), held });
    }
    let deadline = timer_now() + MAX_WAIT;
    loop {
        let frame = match tokio::time::timeout_at(deadline, body.frame()).await {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(_) => return ReadContent::Other(Unread { frames, rest: Some(body), held }),
        };
        let data = match &frame {
            Ok(frame) => frame.data_ref().map(Bytes::len),
            Err(_) => None,
        };
        held.add(data.unwrap_or_default());
        frames.push_back(frame.map_err(Into::into));
        if data.is_none() || held.bytes > max_length as u64 || in_flight.stays_full() {
            return ReadContent::Other(Unread { frames, rest: Some(body), held });
        }
    }
    let mut pieces = frames.into_iter().filter_map(|frame| frame.ok()?.into_data().ok());
    let bytes = match (pieces.next(), pieces.next()) {
        (None, _) => Bytes::new(),
        (Some(only), None) => only,
        (Some(first), Some(second)) => {
            let mut whole = BytesMut::with_capacity(usize::try_from(held.bytes).unwrap_or_default());
            [first, second].into_iter().chain(pieces).for_each(|piece| whole.extend_from_slice(&piece));
            whole.freeze()
        }
    };
    ReadContent::Whole(Content { bytes, asked: Asked::Other, _held: held })
}

/// A body whose beginning was read, as it came.
pub(crate) struct Unread<R> {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    /// `None` once it has ended or failed.
    rest: Option<Pin<Box<R>>>,
    held: Held,
}

impl<R: ClientBody> Body for Unread<R> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(frame) = self.frames.pop_front() {
            match &frame {
                Ok(frame) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    self.held.take_off(bytes);
                }
                Err(_) => self.rest = None,
            }
            return Poll::Ready(Some(frame));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let frame = ready!(rest.as_mut().poll_frame(cx)).map(|frame| frame.map_err(Into::into));
        if matches!(frame, None | Some(Err(_))) {
            self.rest = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let read: u64 = self.frames.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref()).map(|data| data.len() as u64).sum();
        let rest = self.rest.as_ref().map_or(SizeHint::with_exact(0), |rest| rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(read.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(read.saturating_add(upper));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    /// A body of these frames, without a length.
    struct Frames(VecDeque<Result<Frame<Bytes>, std::io::Error>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            Poll::Ready(self.0.pop_front())
        }
    }

    fn body(frames: Vec<Result<Frame<Bytes>, std::io::Error>>) -> Frames {
        Frames(frames.into())
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, std::io::Error> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    async fn passed<R: ClientBody>(read: ReadContent<R>) -> (String, bool) {
        let ReadContent::Other(body) = read else { panic!("it was kept") };
        let (mut text, mut body) = (String::new(), Box::pin(body));
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => text.extend(frame.data_ref().map(|data| String::from_utf8_lossy(data).into_owned())),
                Err(_) => return (text, false),
            }
        }
        (text, true)
    }

    #[tokio::test]
    async fn a_content_is_read_to_its_end_and_counted_while_it_is_there() {
        let in_flight = Arc::new(InFlight::new(1 << 20));
        let ReadContent::Whole(content) = read(body(vec![data("ab"), data(""), data("c")]), 3, &in_flight).await else { panic!("passed") };
        assert_eq!((&content.bytes()[..], in_flight.held()), (&b"abc"[..], 3));
        assert_eq!(content.to_body().collect().await.expect("whole").to_bytes(), "abc");
        drop(content);
        assert_eq!(in_flight.held(), 0);
    }

    #[tokio::test]
    async fn what_is_too_long_breaks_off_or_has_trailers_goes_on_as_it_came() {
        let in_flight = Arc::new(InFlight::new(1 << 20));
        let broken = || Err(std::io::Error::other("gone"));
        let trailers = || Ok(Frame::trailers(HeaderMap::new()));
        for (frames, expected) in [
            (vec![data("ab"), data("cd"), data("ef")], ("abcdef", true)),
            (vec![data("a"), broken(), data("b")], ("a", false)),
            (vec![data("a"), trailers()], ("a", true)),
        ] {
            let (text, is_whole) = passed(read(body(frames), 3, &in_flight).await).await;
            assert_eq!((text.as_str(), is_whole), expected);
        }
        let announced = Full::new(Bytes::from_static(b"abcd"));
        assert_eq!(passed(read(announced, 3, &in_flight).await).await, ("abcd".to_owned(), true));
        assert_eq!(in_flight.held(), 0);
    }

    /// A body that stops in its middle.
    struct Stalled(Option<Bytes>);

    impl Body for Stalled {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            self.0.take().map_or(Poll::Pending, |data| Poll::Ready(Some(Ok(Frame::data(data)))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_sending_is_waited_for_elsewhere_and_holds_nothing_here() {
        let (in_flight, start) = (Arc::new(InFlight::new(1 << 20)), timer_now());
        let ReadContent::Other(body) = read(Stalled(Some(Bytes::from_static(b"ab"))), 100, &in_flight).await else { panic!("it was kept") };
        assert_eq!((timer_now() - start, in_flight.held()), (MAX_WAIT, 2));
        let mut body = Box::pin(body);
        let first = body.frame().await.expect("a frame").expect("whole").into_data().expect("data");
        assert_eq!((&first[..], in_flight.held()), (&b"ab"[..], 0));
    }

    #[tokio::test]
    async fn nothing_is_held_beyond_the_budget() {
        let in_flight = Arc::new(InFlight::new(2));
        assert_eq!(passed(read(body(vec![data("ab"), data("c")]), 100, &in_flight).await).await, ("abc".to_owned(), true));
        assert_eq!(in_flight.held(), 0);
    }
}
