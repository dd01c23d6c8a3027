//! One connection to an origin.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http::{Method, StatusCode};
use larder_tower::BoxError;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use super::fields::Shape;
use super::response::{Head, MAX_HEAD, take_head};
use super::upload::{SendError, Upload};
use super::{Incomplete, Late, Malformed};
use crate::connect::UpstreamStream;
use crate::request::interim::InterimSink;

/// The first read takes so many bytes at most: a head and a small body.
const FIRST_READ: usize = 8 * 1024;

/// Room for a read grows to this while reads fill it.
const MAX_READ: usize = 128 * 1024;

/// An open connection, for one exchange at a time. Dropped, it is closed.
pub(crate) struct Connection {
    stream: Stream,
    /// Bytes that have arrived and are not parsed yet.
    pub(super) input: BytesMut,
    room: usize,
    /// Of the last head that came on it.
    shape: Shape,
    /// Whether it has answered a request before: only then may its end have been coming before the request was sent.
    answered: bool,
    /// Of the last exchange that had a deadline. To move a timer on costs a fraction of what a new one does.
    timer: Option<Pin<Box<Sleep>>>,
}

enum Stream {
    Whole(Box<UpstreamStream>),
    /// A task still sends a request's content.
    Reading(ReadHalf<Box<UpstreamStream>>),
}

/// The task that sends the rest of a request's content while its response is read, and brings back its end of the connection.
pub(super) type Sending = JoinHandle<Result<WriteHalf<Box<UpstreamStream>>, SendError>>;

/// The bytes that the origin has sent in answer to one request.
#[derive(Default)]
struct Received {
    anything: bool,
    /// Bytes of informational heads.
    interim: usize,
}

/// Why there is no response.
pub(crate) struct Lost {
    pub(crate) error: BoxError,
    /// Whether the connection had been used before, and ended without a single byte in answer to this request.
    pub(crate) died_idle: bool,
}

impl Connection {
    pub(crate) fn new(stream: UpstreamStream) -> Self {
        Self {
            stream: Stream::Whole(Box::new(stream)),
            input: BytesMut::new(),
            room: FIRST_READ,
            shape: Shape::default(),
            answered: false,
            timer: None,
        }
    }

    /// Whether the origin has closed it, or has sent bytes that no request asked for: then it is not known which request its next response answers.
    pub(crate) fn has_ended(&mut self, cx: &mut Context<'_>) -> bool {
        self.poll_fill(cx).is_ready()
    }

    /// Sends a request and waits for the head of its final response, until the `deadline` at most. Interim ones go to `interim`.
    pub(crate) async fn ask(
        &mut self,
        method: &Method,
        upload: &mut Upload,
        interim: &InterimSink,
        deadline: Option<Instant>,
    ) -> Result<Head, Lost> {
        let (mut received, mut sending, mut is_late) = (Received::default(), true, false);
        let answer = poll_fn(|cx| {
            if sending {
                sending = match self.poll_send(upload, cx) {
                    Poll::Pending => true,
                    Poll::Ready(Ok(())) => false,
                    Poll::Ready(Err(SendError::Content(error))) => return Poll::Ready(Err(error.into())),
                    // It may have answered before it stopped listening.
                    Poll::Ready(Err(SendError::Connection)) => false,
                };
            }
            let polled = self.poll_head(method, interim, &mut received, cx);
            is_late = polled.is_pending() && self.poll_deadline(deadline, cx).is_ready();
            if is_late { Poll::Ready(Err(Late.into())) } else { polled }
        })
        .await;
        let died_idle = self.answered && !received.anything && !is_late;
        self.answered = true;
        answer.map_err(|error| Lost { error, died_idle })
    }

    /// Ready once the deadline has passed.
    fn poll_deadline(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }

    fn poll_send(&mut self, upload: &mut Upload, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        match &mut self.stream {
            Stream::Whole(stream) => upload.poll_send(stream, cx),
            Stream::Reading(_) => Poll::Ready(Err(SendError::Connection)),
        }
    }

    fn poll_head(
        &mut self,
        method: &Method,
        interim: &InterimSink,
        received: &mut Received,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, BoxError>> {
        let mut seen = self.input.len();
        loop {
            // Without a new end of line the head cannot be complete.
            if memchr::memchr(b'\n', &self.input[seen..]).is_some() || self.input.len() >= MAX_HEAD {
                let before = self.input.len();
                match take_head(&mut self.input, method, &mut self.shape)? {
                    Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => return Poll::Ready(Err(Malformed::Switched.into())),
                    Some(head) if head.status.is_informational() => {
                        received.interim += before - self.input.len();
                        if received.interim > MAX_HEAD {
                            return Poll::Ready(Err(Malformed::EndlessInterim.into()));
                        }
                        interim.receive(head.status, &head.headers);
                        seen = 0;
                        continue;
                    }
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => {}
                }
            }
            seen = self.input.len();
            match ready!(self.poll_fill(cx))? {
                0 => return Poll::Ready(Err(Incomplete.into())),
                _ => received.anything = true,
            }
        }
    }

    /// Reads once; so many bytes, and none at the end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < self.room / 4 {
            self.input.reserve(self.room);
        }
        let room = self.input.capacity() - self.input.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        if read == room {
            self.room = (self.room * 2).min(MAX_READ);
        }
        Poll::Ready(Ok(read))
    }

    /// Before it waits for its next exchange: room that a long body has grown is given back, or each connection would keep the largest.
    pub(crate) fn rest(&mut self) {
        if self.room > FIRST_READ {
            // The rest of the buffer may be a small end of a large one.
            self.input = BytesMut::new();
            self.room = FIRST_READ;
        }
    }

    /// Bytes of its buffer, and the room that its next read gets.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> (usize, usize) {
        (self.input.capacity(), self.room)
    }

    /// Nothing of the last exchange is left on it.
    pub(super) fn is_clean(&self) -> bool {
        self.input.is_empty() && matches!(self.stream, Stream::Whole(_))
    }

    /// Leaves what is still to be sent to a task, so that sending does not depend on the response being read.
    pub(super) fn send_aside(self, upload: Upload) -> (Self, Option<Sending>) {
        let Self { stream, input, room, shape, answered, timer } = self;
        match stream {
            Stream::Reading(_) => (Self { stream, input, room, shape, answered, timer }, None),
            Stream::Whole(stream) => {
                let (read, mut write) = tokio::io::split(stream);
                let sending = tokio::spawn(async move {
                    upload.send_rest(&mut write).await?;
                    Ok(write)
                });
                (Self { stream: Stream::Reading(read), input, room, shape, answered, timer }, Some(sending))
            }
        }
    }

    /// Whole again, once everything has been sent.
    pub(super) fn rejoin(self, write: WriteHalf<Box<UpstreamStream>>) -> Self {
        let Self { stream, input, room, shape, answered, timer } = self;
        let stream = match stream {
            Stream::Reading(read) => Stream::Whole(read.unsplit(write)),
            whole @ Stream::Whole(_) => whole,
        };
        Self { stream, input, room, shape, answered, timer }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Whole(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Reading(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}
