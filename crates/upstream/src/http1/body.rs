//! A response's body. Its reader drives the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use larder_tower::BoxError;
use tokio::io::WriteHalf;

use super::Incomplete;
use super::chunked::Next;
use super::connection::{Connection, Sending};
use super::framing::Framing;
use super::pool::Pool;
use super::remaining::Remaining;
use super::response::Head;
use super::upload::{SendError, Upload};
use crate::connect::UpstreamStream;
use crate::request::content::Progress;

/// Gives its connection back at its end. Dropped before, it ends the connection.
pub(crate) struct ResponseBody {
    state: State,
    /// Of the request's content, where that was still being sent when the response began.
    content: Option<Arc<Progress>>,
}

enum State {
    /// The last bytes are here.
    Here(Bytes),
    Arriving(Box<Arriving>),
    Over,
}

struct Arriving {
    connection: Connection,
    content: Remaining,
    /// Whether the connection is meant to go on.
    persists: bool,
    sending: Option<Sending>,
    /// The other end of the connection, once everything has been sent.
    sent: Option<WriteHalf<Box<UpstreamStream>>>,
    pool: Pool,
}

impl ResponseBody {
    /// The body behind a head that was just read. `upload` is what of the request has not been sent yet.
    pub(crate) fn new(head: &Head, mut connection: Connection, upload: Upload, pool: &Pool) -> Self {
        let (mut sending, mut content) = (None, None);
        if !upload.is_done() {
            content = upload.progress().cloned();
            (connection, sending) = connection.send_aside(upload);
        }
        let here = match head.framing {
            // Bytes that are here need not be asked for.
            Framing::Length(length) => usize::try_from(length).ok().filter(|length| *length <= connection.input.len()),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let remaining = Remaining::new(head.framing);
        let bytes = here.map(|length| connection.input.split_to(length).freeze());
        let persists = head.persists && head.framing != Framing::UntilClose;
        let arriving = Arriving { connection, content: remaining, persists, sending, sent: None, pool: pool.clone() };
        let state = match bytes {
            Some(bytes) => {
                arriving.release(content.as_deref());
                if bytes.is_empty() { State::Over } else { State::Here(bytes) }
            }
            None => State::Arriving(Box::new(arriving)),
        };
        Self { state, content }
    }

    /// How far the request's content is, where that was still being sent when the response began.
    pub(crate) fn content(&self) -> Option<&Progress> {
        self.content.as_deref()
    }
}

impl Arriving {
    /// The body has been read to its end, and `content` may not be sent to its own yet.
    fn release(self, content: Option<&Progress>) {
        content.into_iter().for_each(Progress::answered);
        let Self { mut connection, persists, sending, sent, pool, .. } = self;
        if !persists || !connection.input.is_empty() {
            return sending.iter().for_each(Sending::abort);
        }
        if let Some(sent) = sent {
            connection = connection.rejoin(sent);
        }
        match sending {
            None if connection.is_clean() => pool.put(connection),
            None => {}
            // An early answer: the rest of the request is still wanted.
            Some(sending) => drop(tokio::spawn(async move {
                if let Ok(Ok(sent)) = sending.await {
                    pool.put(connection.rejoin(sent));
                }
            })),
        }
    }

    /// Content that fails while its response arrives breaks the exchange: the origin will wait for the rest of it.
    fn poll_sending(&mut self, cx: &mut Context<'_>) -> Result<(), BoxError> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let Poll::Ready(done) = Pin::new(sending).poll(cx) else { return Ok(()) };
        self.sending = None;
        match done {
            Ok(Err(SendError::Content(error))) => return Err(error.into()),
            Ok(Ok(sent)) => self.sent = Some(sent),
            // It does not listen any more; what it says may be whole all the same.
            Ok(Err(SendError::Connection)) | Err(_) => {}
        }
        Ok(())
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BoxError>> {
        loop {
            match self.content.next(&mut self.connection.input)? {
                Next::Data(data) => return Poll::Ready(Ok(Some(Frame::data(data)))),
                Next::Trailers(trailers) => return Poll::Ready(Ok(Some(Frame::trailers(trailers)))),
                Next::End => return Poll::Ready(Ok(None)),
                Next::Unknown => {}
            }
            self.poll_sending(cx)?;
            if ready!(self.connection.poll_fill(cx))? == 0 {
                return Poll::Ready(if self.content.ends_with_connection() { Ok(None) } else { Err(Incomplete.into()) });
            }
        }
    }
}

impl Drop for ResponseBody {
    /// The response is not read to its end, so the rest of the request is not sent.
    fn drop(&mut self) {
        if let State::Arriving(arriving) = &mut self.state
            && let Some(sending) = arriving.sending.take()
        {
            sending.abort();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = match &mut self.state {
            State::Arriving(arriving) => ready!(arriving.poll_frame(cx)),
            State::Here(_) | State::Over => {
                let here = std::mem::replace(&mut self.state, State::Over);
                let State::Here(bytes) = here else { return Poll::Ready(None) };
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        };
        let over = match (&polled, &self.state) {
            (Ok(Some(_)), State::Arriving(arriving)) => arriving.content.is_over(),
            _ => true,
        };
        if over && let State::Arriving(mut arriving) = std::mem::replace(&mut self.state, State::Over) {
            match &polled {
                Ok(_) => arriving.release(self.content.as_deref()),
                Err(_) => arriving.sending.take().iter().for_each(Sending::abort),
            }
        }
        Poll::Ready(polled.transpose())
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Here(bytes) => SizeHint::with_exact(bytes.len() as u64),
            State::Over => SizeHint::with_exact(0),
            State::Arriving(arriving) => arriving.content.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
