//! Plain requests on HTTP/1.1, answered where their heads are read, before hyper sees them.
//!
//! 1. [`ClientStream::poll_answers`] reads heads, and asks the handler for an answer to each plain one.
//! 2. A response that needs no waiting is written at once, which is a hit.
//! 3. Any other is waited for here ([`ClientStream::poll_waiting`]), and given up when its client leaves.
//! 4. A response of announced length to a GET is written here as well. Whatever else has come goes to hyper with its head ([`Handover`]).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Response};
use hyper::body::Body;
use larder_message::http1::{is_bodiless, put_answer_head, put_fields};
use larder_semantics::fields::drop_nominated;
use tokio_util::io::poll_read_buf;

use crate::connection::handler::{Handler, PlainAnswer};
use crate::connection::hsts;
use crate::http1::head::HeadKind;
use crate::http1::stream::{ClientStream, Reader};
use crate::request::client_certificate;
use crate::request::faults::FramingFaults;
use crate::request::guard::Verdict;

/// Heads that are looked at in one poll. Then other connections have theirs, and this one sees whether the server shuts down, however many
/// requests its client sends.
const MAX_HEADS_PER_POLL: usize = 32;

/// A response that is there before hyper has read its request, on its way to the service that hyper calls.
#[derive(Debug)]
pub(crate) struct Handover<B>(Arc<Mutex<Option<Response<B>>>>);

impl<B> Handover<B> {
    fn put(&self, response: Response<B>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
    }

    /// The response to the request that hyper has just read, if there is one already.
    pub(crate) fn take(&self) -> Option<Response<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<B> Clone for Handover<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> Default for Handover<B> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<H: Handler> ClientStream<H> {
    /// Reads into the buffer of heads. Returns zero at the end.
    pub(crate) fn poll_read_heads(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(socket) = self.socket.as_mut() else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let read = ready!(poll_read_buf(Pin::new(socket), cx, self.heads.room()))?;
        if read > 0 {
            self.unanswered = true;
            self.peer.activity().byte_received();
        }
        Poll::Ready(Ok(read))
    }

    /// Answers plain requests until there is something for hyper, or nothing more to read.
    pub(crate) fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..MAX_HEADS_PER_POLL {
            ready!(self.poll_response(cx))?;
            if self.waiting.is_some() {
                ready!(self.poll_waiting(cx))?;
            } else if self.peer.is_drained() {
                self.reader = Reader::Nobody;
            } else {
                ready!(self.poll_head(cx))?;
            }
            if self.reader != Reader::Here {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Looks at the next head, or reads some of it.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.heads.next_head() {
            HeadKind::Partial => {
                if !self.heads.is_empty() {
                    // These bytes may have arrived behind the request before.
                    self.peer.activity().byte_received();
                }
                if ready!(self.poll_read_heads(cx))? == 0 {
                    self.reader = Reader::Hyper;
                }
            }
            HeadKind::Plain => match self.answer() {
                Some(PlainAnswer::Written(body)) => {
                    self.peer.activity().request_begun();
                    self.begin_body(body);
                }
                Some(PlainAnswer::Waiting(answer)) => {
                    self.peer.activity().request_begun();
                    self.peer.set_answering(true);
                    self.waiting = Some(answer);
                }
                None => {
                    self.heads.release();
                    self.reader = Reader::HyperFor { content: 0 };
                }
            },
            HeadKind::Other { content } => self.reader = Reader::HyperFor { content },
            HeadKind::Unclear => self.reader = Reader::Hyper,
        }
        Poll::Ready(Ok(()))
    }

    /// The handler's answer to the request that was read.
    fn answer(&mut self) -> Option<PlainAnswer<H::Body, H::Waiting>> {
        let is_too_large = self.heads.pending().len() > self.limits.fields;
        // Others are hyper's: its response says what is wrong, or that the connection closes.
        if is_too_large
            || self.peer.closes_after_response()
            || !matches!(self.peer.door().judge(self.heads.request(), FramingFaults::default(), self.limits), Verdict::Pass)
        {
            return None;
        }
        let headers = self.heads.request_mut().headers_mut();
        drop_nominated(headers);
        let shown = self.peer.tls().and_then(|tls| tls.client_certificate.as_ref());
        client_certificate::put(headers, shown, || self.handler.believes_client_cert(&self.peer));
        self.is_get = *self.heads.request().method() == Method::GET;
        self.handler.answer_plain(self.heads.request_mut(), &self.peer, self.direct.head())
    }

    /// The head of a response is queued, and this is its body.
    fn begin_body(&mut self, body: H::Body) {
        if let Some(policy) = self.peer.tls().and_then(|tls| tls.hsts.as_ref()) {
            hsts::put_line(self.direct.head(), policy);
        }
        self.direct.queue_body(body);
        self.heads.drop_request();
        (self.unanswered, self.answering) = (!self.heads.is_empty(), true);
    }

    /// Waits for a response. It is queued, or goes to hyper.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(waiting) = &mut self.waiting else { return Poll::Ready(Ok(())) };
        let Poll::Ready(response) = Pin::new(waiting).poll(cx) else {
            self.peer.outbox().wait(cx.waker());
            return self.poll_whether_left(cx);
        };
        self.waiting = None;
        let is_plain = self.is_get && !self.peer.closes_after_response();
        let Some(length) = plain_length(&response).filter(|_| is_plain) else {
            self.peer.set_answering(false);
            self.handover.put(response);
            self.reader = Reader::HyperFor { content: 0 };
            return Poll::Ready(Ok(()));
        };
        let interim = self.peer.outbox().take();
        self.peer.outbox().end();
        let head = self.direct.head();
        head.extend_from_slice(&interim);
        put_answer_head(head, &Method::GET, response.status(), length, |head| {
            put_fields(head, response.headers());
            response.headers().contains_key(CONTENT_LENGTH)
        });
        self.begin_body(response.into_body());
        Poll::Ready(Ok(()))
    }

    /// Writes what is queued. A response whose client leaves while its body is waited for ends with the connection.
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.poll_direct(cx)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if self.direct.waits_for_body() { self.poll_whether_left(cx) } else { Poll::Pending }
    }

    /// An error once the client has left. Bytes that it sends meanwhile wait in the buffer; behind some of them its end is not seen, as hyper
    /// has it.
    fn poll_whether_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.heads.is_empty() {
            return Poll::Pending;
        }
        match ready!(self.poll_read_heads(cx)) {
            Ok(1..) => Poll::Pending,
            left => {
                self.give_up();
                Poll::Ready(Err(left.err().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into())))
            }
        }
    }
}

/// The length of a response that is written as it is. `None` where hyper knows better: without a length or a date, without a body or a
/// phrase, and with fields of the connection's.
fn plain_length<B: Body>(response: &Response<B>) -> Option<u64> {
    let length = response.body().size_hint().exact()?;
    let (status, fields) = (response.status(), response.headers());
    let is_plain = status.canonical_reason().is_some() && !is_bodiless(status) && are_plain(fields, length);
    is_plain.then_some(length)
}

fn are_plain(fields: &HeaderMap, length: u64) -> bool {
    let (mut lengths, mut dates) = (0, 0);
    for (name, value) in fields {
        match *name {
            CONNECTION | TRANSFER_ENCODING | UPGRADE => return false,
            CONTENT_LENGTH if value.to_str().ok().and_then(|value| value.parse().ok()) != Some(length) => return false,
            CONTENT_LENGTH => lengths += 1,
            DATE => dates += 1,
            _ => {}
        }
    }
    lengths <= 1 && dates == 1
}
