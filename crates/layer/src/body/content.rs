//! The content of a request, read before the request is looked up, since it is a part of the key.

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
    let (mut body, mut data) = (Box::pin(body), Data::default());
    if body.size_hint().lower() > max_length as u64 {
        return ReadContent::Other(Unread::of(data, None, Some(body), held));
    }
    let deadline = timer_now() + MAX_WAIT;
    loop {
        let frame = match tokio::time::timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return ReadContent::Other(Unread::of(data, Some(Err(error.into())), None, held)),
            Ok(None) => break,
            Err(_) => return ReadContent::Other(Unread::of(data, None, Some(body), held)),
        };
        match frame.into_data() {
            Ok(piece) => {
                held.add(piece.len());
                data.push(piece);
            }
            Err(trailers) => return ReadContent::Other(Unread::of(data, Some(Ok(trailers)), Some(body), held)),
        }
        if held.bytes > max_length as u64 || in_flight.stays_full() {
            return ReadContent::Other(Unread::of(data, None, Some(body), held));
        }
    }
    ReadContent::Whole(Content { bytes: data.into_bytes(), asked: Asked::Other, _held: held })
}

/// Data in one piece, however small the frames were that it came in: each would take a hundred bytes besides, which no budget counts. A single
/// frame, which most contents are, is not copied.
#[derive(Default)]
struct Data {
    first: Bytes,
    /// All of it, once there was a second frame.
    joined: BytesMut,
}

impl Data {
    fn push(&mut self, piece: Bytes) {
        if self.joined.is_empty() {
            if self.first.is_empty() {
                self.first = piece;
                return;
            }
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

/// Bytes that are passed on at a time, and counted until then.
const PASSED_ON: usize = 64 * 1024;

/// A body whose beginning was read, as it came.
pub(crate) struct Unread<R> {
    data: Bytes,
    /// The trailers behind the data, or the error that it broke off with.
    last: Option<Result<Frame<Bytes>, BoxError>>,
    /// `None` once it has ended or failed.
    rest: Option<Pin<Box<R>>>,
    held: Held,
}

impl<R> Unread<R> {
    fn of(data: Data, last: Option<Result<Frame<Bytes>, BoxError>>, rest: Option<Pin<Box<R>>>, held: Held) -> Self {
        Self { data: data.into_bytes(), last, rest, held }
    }
}

impl<R: ClientBody> Body for Unread<R> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.data.is_empty() {
            let length = self.data.len().min(PASSED_ON);
            self.held.take_off(length);
            return Poll::Ready(Some(Ok(Frame::data(self.data.split_to(length)))));
        }
        if let Some(last) = self.last.take() {
            return Poll::Ready(Some(last));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let frame = ready!(rest.as_mut().poll_frame(cx)).map(|frame| frame.map_err(Into::into));
        if matches!(frame, None | Some(Err(_))) {
            self.rest = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.last.is_none() && self.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.data.len() as u64;
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
    use std::collections::VecDeque;

    use http::HeaderMap;
    use larder_testkit::alloc::{CountingAllocator, held};

    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAllocator = CountingAllocator;

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

    /// A body of so many frames of one byte.
    struct Dripping(usize);

    impl Body for Dripping {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            let left = self.0.checked_sub(1);
            self.0 = left.unwrap_or_default();
            Poll::Ready(left.map(|_| Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[tokio::test]
    async fn a_content_in_tiny_frames_takes_no_more_than_twice_what_is_counted_of_it() {
        const FRAMES: usize = 100_000;
        let in_flight = Arc::new(InFlight::new(1 << 30));
        for (max_length, counted) in [(FRAMES, FRAMES), (FRAMES / 2, FRAMES / 2 + 1)] {
            let before = held();
            let content = read(Dripping(FRAMES), max_length, &in_flight).await;
            let taken = usize::try_from(held() - before).expect("more than before");
            assert_eq!(in_flight.held(), counted as u64);
            assert!(taken <= 2 * counted + 4096, "{taken} bytes for {counted}");
            match content {
                ReadContent::Whole(content) => assert_eq!(content.bytes().len(), FRAMES),
                other => assert_eq!(passed(other).await, ("x".repeat(FRAMES), true)),
            }
        }
        assert_eq!(in_flight.held(), 0);
    }

    #[tokio::test]
    async fn nothing_is_held_beyond_the_budget() {
        let in_flight = Arc::new(InFlight::new(2));
        assert_eq!(passed(read(body(vec![data("ab"), data("c")]), 100, &in_flight).await).await, ("abc".to_owned(), true));
        assert_eq!(in_flight.held(), 0);
    }
}
