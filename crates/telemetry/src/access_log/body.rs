//! A response body that ends its log line.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use larder_tower::CacheResult;
use pin_project_lite::pin_project;

use super::Entry;
use super::line::Transfer;
use crate::metrics::Metrics;
use crate::traces::RequestSpan;

pin_project! {
    /// Counts the bytes of `B` and has the line written when it ends, fails or is dropped.
    #[derive(Debug)]
    pub struct LoggedBody<B> {
        #[pin]
        body: B,
        entry: Entry,
        announced: Option<u64>,
        // Rare, and small where it is not there: each answer moves this.
        uncounted: Option<Box<Uncounted>>,
        // Ends with the body.
        span: Option<Box<RequestSpan>>,
    }
}

/// Counts the bytes of a body whose length was not known beforehand, when it ends.
#[derive(Debug)]
pub struct Uncounted {
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
    /// Of which route's response.
    pub route: Option<usize>,
    /// The result of its request.
    pub result: CacheResult,
    /// Bytes so far.
    pub bytes: u64,
    /// Is told of them too.
    pub charged: Option<Box<dyn ByteObserver>>,
}

/// Is told how long a body was, once it has ended.
pub trait ByteObserver: std::fmt::Debug + Send + Sync {
    /// It had so many bytes.
    fn ended(&self, bytes: u64);
}

impl Drop for Uncounted {
    fn drop(&mut self) {
        self.metrics.bytes(self.route, self.result, self.bytes);
        self.charged.iter().for_each(|charged| charged.ended(self.bytes));
    }
}

impl<B: Body> LoggedBody<B> {
    /// The body of an answer that the line has been told of.
    pub fn new(body: B, mut entry: Entry, uncounted: Option<Box<Uncounted>>, span: Option<Box<RequestSpan>>) -> Self {
        let mut announced = None;
        if entry.is_on() {
            announced = body.size_hint().exact();
            // A server never polls the body of a 304 or of a response to HEAD, nor one that is empty.
            if entry.is_whole(announced) || body.is_end_stream() {
                entry.end(Transfer::Complete);
            }
        }
        Self { body, entry, announced, uncounted, span }
    }
}

impl<B: Body> Body for LoggedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(context);
        if let (Some(uncounted), Poll::Ready(Some(Ok(frame)))) = (this.uncounted.as_mut(), &polled)
            && let Some(data) = frame.data_ref()
        {
            uncounted.bytes += bytes::Buf::remaining(data) as u64;
        }
        if !this.entry.is_on() {
            return polled;
        }
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.entry.sent_data(data);
                }
                // A server does not poll for the end of a body whose length it knows.
                if this.entry.is_whole(*this.announced) || this.body.is_end_stream() {
                    this.entry.end(Transfer::Complete);
                }
            }
            Poll::Ready(Some(Err(_))) => this.entry.end(Transfer::Aborted),
            Poll::Ready(None) => this.entry.end(Transfer::Complete),
            Poll::Pending => {}
        }
        polled
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
    use std::collections::VecDeque;
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Method, Request, Response, StatusCode};
    use larder_semantics::Timestamp;
    use serde_json::Value;

    use larder_config::{AccessLog as Form, Log, LogField};

    use super::super::{AccessLog, ResponseRecord};
    use super::*;

    /// Yields its frames, then `None`; never says by itself that it has ended.
    struct Frames {
        frames: VecDeque<Result<Bytes, &'static str>>,
        announced: Option<u64>,
    }

    impl Body for Frames {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(self.frames.pop_front().map(|frame| frame.map(Frame::data)))
        }

        fn size_hint(&self) -> SizeHint {
            self.announced.map_or_else(SizeHint::default, SizeHint::with_exact)
        }
    }

    /// The bytes and the transfer that are logged when `polls` frames of `body` were asked for.
    fn logged(method: Method, status: StatusCode, body: Frames, polls: usize) -> (Value, Value) {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (log, writer) = AccessLog::start(&Log { access: Form::Json, ..Log::default() }, Lines(sender)).unwrap();
        let request = Request::builder().method(method).uri("/").body(()).unwrap();
        let entry = log.begin(&request, None, Timestamp::default);
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let mut body = entry.respond(response, &ResponseRecord::default()).into_body();
        for _ in 0..polls {
            let mut context = Context::from_waker(std::task::Waker::noop());
            let _frame = Pin::new(&mut body).poll_frame(&mut context);
        }
        drop(body);
        assert!(writer.stop(Duration::from_secs(10)));
        let line: Value = serde_json::from_slice(&receiver.into_iter().flatten().collect::<Vec<_>>()).unwrap();
        (line["bytes"].clone(), line["transfer"].clone())
    }

    struct Lines(std::sync::mpsc::Sender<Vec<u8>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.send(bytes.to_vec()).map(|()| bytes.len()).map_err(std::io::Error::other)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn frames(frames: impl IntoIterator<Item = Result<&'static str, &'static str>>, announced: Option<u64>) -> Frames {
        Frames { frames: frames.into_iter().map(|frame| frame.map(Bytes::from)).collect(), announced }
    }

    #[test]
    fn a_body_read_to_its_end_is_complete() {
        let body = frames([Ok("abc"), Ok("de")], None);
        assert_eq!(logged(Method::GET, StatusCode::OK, body, 3), (5.into(), "complete".into()));
    }

    #[test]
    fn a_body_of_known_length_is_complete_at_its_last_byte() {
        let body = frames([Ok("abc"), Ok("de")], Some(5));
        assert_eq!(logged(Method::GET, StatusCode::OK, body, 2), (5.into(), "complete".into()));
    }

    #[test]
    fn a_body_dropped_midway_is_aborted() {
        let body = frames([Ok("abc"), Ok("de")], Some(5));
        assert_eq!(logged(Method::GET, StatusCode::OK, body, 1), (3.into(), "aborted".into()));
    }

    #[test]
    fn a_body_that_fails_is_aborted() {
        let body = frames([Ok("abc"), Err("broken")], None);
        assert_eq!(logged(Method::GET, StatusCode::OK, body, 2), (3.into(), "aborted".into()));
    }

    #[test]
    fn responses_without_a_body_are_complete_without_a_poll() {
        for (method, status) in [(Method::HEAD, StatusCode::OK), (Method::GET, StatusCode::NOT_MODIFIED)] {
            let body = frames([Ok("abc")], Some(3));
            assert_eq!(logged(method, status, body, 0), (0.into(), "complete".into()));
        }
    }

    /// The hash that is logged of a GET with this result, of whose body so many frames are asked for.
    fn hash(result: CacheResult, status: StatusCode, polls: usize) -> Value {
        let (sender, receiver) = std::sync::mpsc::channel();
        let fields = Some(vec![LogField::BodyHash]);
        let (log, writer) = AccessLog::start(&Log { access: Form::Json, fields, ..Log::default() }, Lines(sender)).unwrap();
        let mut response = Response::new(frames([Ok("abc"), Ok("de")], Some(5)));
        *response.status_mut() = status;
        let record = ResponseRecord { result: Some(result), ..ResponseRecord::default() };
        let mut body = log.begin(&Request::new(()), None, Timestamp::default).respond(response, &record).into_body();
        for _ in 0..polls {
            let _frame = Pin::new(&mut body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()));
        }
        drop(body);
        assert!(writer.stop(Duration::from_secs(10)));
        let line: Value = serde_json::from_slice(&receiver.into_iter().flatten().collect::<Vec<_>>()).unwrap();
        line["body_hash"].clone()
    }

    #[test]
    fn the_whole_body_of_an_origin_is_hashed_however_it_is_cut_where_that_is_wanted() {
        let whole = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(b"abcde"));
        for result in [CacheResult::Miss, CacheResult::Bypass, CacheResult::Revalidated] {
            assert_eq!(hash(result, StatusCode::OK, 2), *whole, "{result:?}");
        }
        assert_eq!(hash(CacheResult::Miss, StatusCode::OK, 1), Value::Null, "its client left");
        assert_eq!(hash(CacheResult::Hit, StatusCode::OK, 2), Value::Null, "the origin was not asked");
        assert_eq!(hash(CacheResult::Miss, StatusCode::NOT_FOUND, 2), Value::Null, "it is no representation");
    }

    #[test]
    fn the_length_seen_by_the_server_is_that_of_the_body() {
        let entry = AccessLog::off().begin(&Request::new(()), None, Timestamp::default);
        let response = Response::new(http_body_util::Full::<Bytes>::from("abc"));
        let body = entry.respond(response, &ResponseRecord::default()).into_body();
        assert_eq!(body.size_hint().exact(), Some(3));
        assert!(!body.is_end_stream());
    }
}
