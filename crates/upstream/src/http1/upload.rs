//! A request on its way to an origin: its head as text, and its content as it arrives.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::TRAILER;
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame};
use larder_tower::BoxError;
use tokio::io::AsyncWrite;

use super::request::{Content, HeadWriter, write_field};
use crate::request::content::{Progress, WatchedBody};
use crate::request::pace::{HeadTimeout, sent_in_time};

/// Content is taken from the client while less than this is waiting to be written, in bytes.
const AHEAD: usize = 64 * 1024;

/// A request on its way to an origin.
pub(crate) struct Upload {
    /// Bytes to write. Without content this is the whole request, so that it can be sent once more.
    text: Vec<u8>,
    written: usize,
    content: Option<Outstanding>,
    /// Of content, as long as this lives: what the exchange holds goes with it.
    progress: Option<Arc<Progress>>,
    limits: Option<HeadTimeout>,
}

/// Content that has not all been taken from its source.
struct Outstanding {
    body: WatchedBody,
    framing: Content,
    /// The fields that `Trailer` names: those may be sent behind the content.
    trailers: Vec<HeaderName>,
}

/// Why nothing more can be sent.
pub(super) enum SendError {
    /// The content is not what was announced, or its source failed.
    Content(ContentFailed),
    /// The origin does not take any more. What it says, or that it says nothing, tells why.
    Connection,
}

/// The content of a request could not be sent as announced.
#[derive(Debug, thiserror::Error)]
#[error("the request's content failed: {0}")]
pub(crate) struct ContentFailed(#[source] BoxError);

impl Upload {
    /// A request with this head, and with the content that its `fields` tell of.
    pub(crate) fn new(head: HeadWriter, fields: &HeaderMap, body: WatchedBody) -> Self {
        let framing = if body.is_end_stream() { Content::None } else { Content::announced(fields, body.size_hint().exact()) };
        let progress = body.progress();
        let content = (framing != Content::None).then(|| Outstanding { body, framing, trailers: named_trailers(fields) });
        Self { text: head.end(framing), written: 0, content, progress, limits: None }
    }

    /// How long the content may stand still.
    pub(crate) fn keep_to(&mut self, limits: HeadTimeout) {
        self.limits = Some(limits);
    }

    /// How far the content is.
    pub(super) fn progress(&self) -> Option<&Arc<Progress>> {
        self.progress.as_ref()
    }

    /// Whether all of it is in the buffer: it has no content.
    pub(crate) fn is_text(&self) -> bool {
        self.content.is_none()
    }

    /// Starts writing again. Only a request without content can be sent twice.
    pub(crate) fn rewind(&mut self) {
        self.written = 0;
    }

    /// Whether all of it has been written.
    pub(super) fn is_done(&self) -> bool {
        self.content.is_none() && self.written == self.text.len()
    }

    /// Sends the rest while the response is read, in the time that content has.
    pub(super) async fn send_rest(mut self, stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), SendError> {
        let (limits, progress) = (self.limits, self.progress.clone());
        let mut sending = pin!(poll_fn(|cx| self.poll_send(stream, cx)));
        match limits.zip(progress.as_deref()) {
            None => sending.await,
            Some((limits, progress)) => match sent_in_time(limits, progress, sending.as_mut()).await {
                Ok(sent) => sent,
                Err(stalled) => Err(SendError::Content(ContentFailed(stalled.into()))),
            },
        }
    }

    /// Writes what there is; ready when all of it has been written.
    pub(super) fn poll_send(&mut self, stream: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        loop {
            let more = self.poll_take(cx).map_err(SendError::Content)?;
            while self.written < self.text.len() {
                let polled = Pin::new(&mut *stream).poll_write(cx, &self.text[self.written..]);
                match ready!(polled).map_err(|_| SendError::Connection)? {
                    0 => return Poll::Ready(Err(SendError::Connection)),
                    written => self.written += written,
                }
            }
            // Encrypted bytes may still lie in a buffer.
            ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(|_| SendError::Connection)?;
            if self.content.is_none() {
                return Poll::Ready(Ok(()));
            }
            ready!(more);
        }
    }

    /// Takes what content there is, as long as it can be written soon. Ready unless its source has to be waited for.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ContentFailed>> {
        while let Some(content) = &mut self.content {
            if self.written == self.text.len() {
                self.text.clear();
                self.written = 0;
            }
            if self.text.len() - self.written >= AHEAD {
                break;
            }
            let frame = ready!(Pin::new(&mut content.body).poll_frame(cx)).transpose().map_err(ContentFailed)?;
            if content.take(frame, &mut self.text).map_err(|why| ContentFailed(why.into()))? {
                self.content = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Outstanding {
    /// Frames the next piece; whether it was the last.
    fn take(&mut self, frame: Option<Frame<Bytes>>, text: &mut Vec<u8>) -> Result<bool, &'static str> {
        match (&mut self.framing, frame.map(Frame::into_data)) {
            (Content::Length(left), Some(Ok(data))) => {
                *left = left.checked_sub(data.len() as u64).ok_or("there is more of it than was announced")?;
                text.extend_from_slice(&data);
                Ok(*left == 0 && self.body.is_end_stream())
            }
            (Content::Length(0), None) => Ok(true),
            (Content::Length(_), None) => Err("there is less of it than was announced"),
            // An empty chunk would be the last one.
            (Content::Chunked, Some(Ok(data))) if data.is_empty() => Ok(false),
            (Content::Chunked, Some(Ok(data))) => {
                text.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                text.extend_from_slice(&data);
                text.extend_from_slice(b"\r\n");
                Ok(false)
            }
            (Content::Chunked, Some(Err(frame))) => {
                text.extend_from_slice(b"0\r\n");
                for (name, value) in frame.trailers_ref().into_iter().flatten().filter(|(name, _)| self.trailers.contains(name)) {
                    write_field(name.as_str(), value.as_bytes(), text);
                }
                text.extend_from_slice(b"\r\n");
                Ok(true)
            }
            (Content::Chunked, None) => {
                text.extend_from_slice(b"0\r\n\r\n");
                Ok(true)
            }
            // Where its length was announced, there is no place for trailers (RFC 9112 §7.1.2).
            (Content::Length(_), Some(Err(_))) => Ok(false),
            (Content::None, _) => Ok(true),
        }
    }
}

fn named_trailers(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(TRAILER).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}
