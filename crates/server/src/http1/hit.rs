//! Hits on HTTP/1.1, answered where their heads are read, before hyper sees them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use larder_semantics::fields::drop_nominated;
use tokio_util::io::poll_read_buf;

use crate::connection::handler::Handler;
use crate::connection::hsts;
use crate::http1::head::HeadKind;
use crate::http1::stream::{ClientStream, Reader};
use crate::request::client_certificate;
use crate::request::faults::FramingFaults;
use crate::request::guard::Verdict;

/// Heads that are looked at in one poll. Then other connections have theirs, and this one sees whether the server shuts down, however many
/// requests its client sends.
const MAX_HEADS_PER_POLL: usize = 32;

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

    /// Answers hits until there is something for hyper, or nothing more to read.
    pub(crate) fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..MAX_HEADS_PER_POLL {
            ready!(self.poll_direct(cx))?;
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
                    Some(()) => {
                        self.heads.drop_request();
                        (self.unanswered, self.answering) = (!self.heads.is_empty(), true);
                        self.peer.activity().request_begun();
                    }
                    None => {
                        self.heads.release();
                        self.reader = Reader::HyperFor { content: 0 };
                    }
                },
                HeadKind::Other { content } => self.reader = Reader::HyperFor { content },
                HeadKind::Unclear => self.reader = Reader::Hyper,
            }
            if self.reader != Reader::Here {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Queues the response to the request that was read, if it is a hit.
    fn answer(&mut self) -> Option<()> {
        let is_too_large = self.heads.pending().len() > self.limits.fields;
        // Others are hyper's: its response says what is wrong, or that the connection closes.
        if is_too_large
            || self.peer.closes_after_response()
            || !matches!(self.peer.door().judge(self.heads.request(), FramingFaults::default(), self.limits), Verdict::Pass)
        {
            return None;
        }
        let tls = self.peer.tls();
        let headers = self.heads.request_mut().headers_mut();
        drop_nominated(headers);
        client_certificate::put(headers, tls.and_then(|tls| tls.client_certificate.as_ref()));
        self.direct.queue_response(|head| {
            let body = self.handler.hit(self.heads.request_mut(), &self.peer, head)?;
            if let Some(policy) = tls.and_then(|tls| tls.hsts.as_ref()) {
                hsts::put_line(head, policy);
            }
            Some(body)
        })
    }
}
