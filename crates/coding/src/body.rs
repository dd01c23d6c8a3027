//! A body around another, packed or unpacked as it arrives.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use compression_codecs::core::util::WriteBuffer;
use http::HeaderMap;
use http_body::{Body, Frame};
use larder_semantics::coding::Coding;

use crate::codec::Codec;
use crate::head::without_claims_about_bytes;

/// Bytes that are written at a time.
pub(crate) const STEP: usize = 16 * 1024;

/// A body in another coding than the one it is made of. Its length is not known before its end.
///
/// It ends cleanly only where the other one does and, unpacked, where that was a whole stream of its coding.
#[derive(Debug)]
pub struct Coded<B> {
    inner: B,
    codec: Codec,
    input: Bytes,
    /// Whether something that was read may not have been written yet.
    holds: bool,
    /// Whether a flush has begun that has not written everything. It has to end before more is read.
    flushing: bool,
    progress: Progress,
    trailers: Option<HeaderMap>,
    room: Box<[u8]>,
}

/// How far a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The other body goes on.
    Arriving,
    /// The other body has ended.
    Arrived,
    /// The last bytes are written; trailers may follow.
    Written,
}

/// Why a coded body breaks off.
#[derive(Debug)]
pub enum CodingError<E> {
    /// The body that it is made of broke off.
    Inner(E),
    /// The bytes are none of the coding that was named, or not all of them.
    Malformed(std::io::Error),
}

impl<B> Coded<B> {
    /// Packs a body.
    pub fn packed(inner: B, coding: Coding) -> Self {
        Self::new(inner, Codec::packing(coding))
    }

    /// Unpacks a body.
    pub fn unpacked(inner: B, coding: Coding) -> Self {
        Self::new(inner, Codec::unpacking(coding))
    }

    fn new(inner: B, codec: Codec) -> Self {
        let room = vec![0; STEP].into_boxed_slice();
        Self { inner, codec, input: Bytes::new(), holds: false, flushing: false, progress: Progress::Arriving, trailers: None, room }
    }

    /// Does one step of work, and returns the bytes that came of it; `None`: more input is needed, or nothing is left to do.
    fn step(&mut self) -> std::io::Result<Option<Bytes>> {
        let mut output = WriteBuffer::new_initialized(&mut self.room);
        if !self.input.is_empty() {
            self.codec.run(&mut self.input, &mut output)?;
            self.holds = true;
        } else if self.flushing || (self.holds && (self.progress == Progress::Arriving || !self.codec.packs())) {
            self.flushing = !self.codec.flush(&mut output)?;
            self.holds = self.flushing;
        } else if self.progress == Progress::Arrived && self.codec.finish(&mut output)? {
            self.progress = Progress::Written;
        }
        let written = output.written();
        Ok((!written.is_empty()).then(|| Bytes::copy_from_slice(written)))
    }
}

impl<B> Body for Coded<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = CodingError<B::Error>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            let may_step = match this.progress {
                Progress::Written => return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
                Progress::Arrived => true,
                Progress::Arriving if !this.input.is_empty() || this.flushing => true,
                Progress::Arriving => match Pin::new(&mut this.inner).poll_frame(cx) {
                    // What has come goes on before more is waited for.
                    Poll::Pending if this.holds => true,
                    polled => {
                        match ready!(polled) {
                            None => this.progress = Progress::Arrived,
                            Some(Err(error)) => return this.fail(CodingError::Inner(error)),
                            Some(Ok(frame)) => this.take(frame),
                        }
                        false
                    }
                },
            };
            if may_step {
                match this.step() {
                    Ok(Some(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    Ok(None) => {}
                    Err(error) => return this.fail(CodingError::Malformed(error)),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.progress == Progress::Written && self.trailers.is_none()
    }
}

impl<B> Coded<B> {
    fn take(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(bytes) => self.input = bytes,
            Err(frame) => {
                self.trailers = frame.into_trailers().ok();
                self.trailers.iter_mut().for_each(without_claims_about_bytes);
                self.progress = Progress::Arrived;
            }
        }
    }

    fn fail<E>(&mut self, error: CodingError<E>) -> Poll<Option<Result<Frame<Bytes>, CodingError<E>>>> {
        (self.progress, self.input, self.trailers) = (Progress::Written, Bytes::new(), None);
        Poll::Ready(Some(Err(error)))
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> CodingError<E> {
    /// The error by which others know it: that of the inner body as it was.
    pub fn into_boxed(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::Inner(error) => error.into(),
            Self::Malformed(error) => Box::new(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Waker;

    use http_body_util::{BodyExt, Full, StreamBody};
    use proptest::prelude::*;

    use super::*;

    const CODINGS: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    async fn collected<B: Body<Data = Bytes> + Unpin>(body: B) -> Result<Bytes, B::Error> {
        Ok(body.collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn rfc9530_trailers_lose_digests_of_the_bytes_that_came() {
        let mut trailers = HeaderMap::new();
        for name in ["content-digest", "repr-digest", "x-cost"] {
            trailers.insert(name, http::HeaderValue::from_static("a"));
        }
        let frames = [Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"text"))), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let collected = Coded::packed(body, Coding::Gzip).collect().await.expect("whole");
        let names: Vec<_> = collected.trailers().expect("trailers").keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["x-cost"]);
    }

    async fn packed(bytes: &[u8], coding: Coding) -> Bytes {
        collected(Coded::packed(Full::new(Bytes::copy_from_slice(bytes)), coding)).await.expect("a whole body")
    }

    /// A body in pieces, which waits once before each.
    struct Halting(Vec<Bytes>, bool);

    impl Body for Halting {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.1 = !self.1;
            if self.1 && !self.0.is_empty() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let next = if self.0.is_empty() { None } else { Some(self.0.remove(0)) };
            Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    #[tokio::test]
    async fn text_becomes_smaller_and_comes_back() {
        let text = "{\"issue\":7,\"title\":\"compress me\"}".repeat(5000);
        for coding in CODINGS {
            let small = packed(text.as_bytes(), coding).await;
            assert!(small.len() * 20 < text.len(), "{coding:?}: {}", small.len());
            assert_eq!(collected(Coded::unpacked(Full::new(small), coding)).await.expect("whole"), text.as_bytes());
        }
    }

    #[tokio::test]
    async fn what_has_come_goes_on_before_more_is_waited_for() {
        for coding in CODINGS {
            let mut inner = Coded::packed(Halting(vec!["first".into(), "second".into()], true), coding);
            let mut unpacking = Coded::unpacked(StreamBody::new(Frames(Vec::new())), coding);
            let mut context = Context::from_waker(Waker::noop());
            let mut said = Vec::new();
            while said.len() < b"first".len()
                && let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut inner).poll_frame(&mut context)
            {
                unpacking.inner = StreamBody::new(Frames(vec![frame.into_data().expect("data")]));
                while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut unpacking).poll_frame(&mut context) {
                    said.extend(frame.into_data().expect("data"));
                }
            }
            assert_eq!((said.as_slice(), inner.inner.0.len()), (&b"first"[..], 1), "{coding:?}: the second piece has not come yet");
        }
    }

    /// Frames at hand, and then nothing for the time being.
    struct Frames(Vec<Bytes>);

    impl futures_util::Stream for Frames {
        type Item = Result<Frame<Bytes>, Infallible>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.pop().map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(Frame::data(bytes)))))
        }
    }

    #[tokio::test]
    async fn a_body_that_was_cut_is_a_break() {
        for coding in CODINGS {
            let whole = packed("text ".repeat(1000).as_bytes(), coding).await;
            for length in [1, 5, whole.len() / 2, whole.len() - 1] {
                let cut = Coded::unpacked(Full::new(whole.slice(..length)), coding);
                assert!(matches!(collected(cut).await, Err(CodingError::Malformed(_))), "{coding:?}: {length} of {}", whole.len());
            }
            let garbage = Coded::unpacked(Full::new(Bytes::from_static(b"<html>not packed</html>")), coding);
            assert!(collected(garbage).await.is_err(), "{coding:?}");
            let empty = Coded::unpacked(Full::new(Bytes::new()), coding);
            assert_eq!(collected(empty).await.expect("no stream").len(), 0);
        }
    }

    #[tokio::test]
    async fn rfc1952_2_2_rfc8878_3_several_streams_are_one_body() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let both = [packed(b"one", coding).await, packed(b" two", coding).await].concat();
            let body = Coded::unpacked(Full::new(Bytes::from(both)), coding);
            assert_eq!(collected(body).await.expect("whole"), &b"one two"[..], "{coding:?}");
        }
    }

    #[tokio::test]
    async fn no_step_gives_out_more_than_its_room() {
        let bomb = vec![0; 64 << 20];
        for coding in CODINGS {
            let small = packed(&bomb, coding).await;
            let mut body = Coded::unpacked(Full::new(small), coding);
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                let data = frame.expect("whole").into_data().expect("data");
                assert!(data.len() <= STEP);
                length += data.len();
            }
            assert_eq!(length, bomb.len(), "{coding:?}");
        }
    }

    #[tokio::test]
    async fn rfc9659_3_a_window_beyond_8_mib_is_refused() {
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x70, 0x01, 0x00, 0x00];
        let body = Coded::unpacked(Full::new(Bytes::from(frame.to_vec())), Coding::Zstd);
        assert!(collected(body).await.is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_body_comes_back_in_whatever_pieces_it_comes(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40_000), 0..6), size in 1_usize..5000) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            for coding in CODINGS {
                let frames: Vec<Bytes> = pieces.iter().cloned().map(Bytes::from).collect();
                let small = runtime.block_on(collected(Coded::packed(Halting(frames, false), coding))).expect("whole");
                let parts: Vec<Bytes> = small.chunks(size).map(Bytes::copy_from_slice).collect();
                let back = runtime.block_on(collected(Coded::unpacked(Halting(parts, false), coding)));
                prop_assert_eq!(&back.expect("whole")[..], &pieces.concat()[..]);
            }
        }
    }
}
