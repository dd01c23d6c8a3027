//! Hits on HTTP/1.1, answered where their heads are read, before hyper sees them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use larder_semantics::fields::drop_nominated;
use tokio_util::io::poll_read_buf;

use crate::connection::handler::Handler;
use crate::http1::head::Seen;
use crate::http1::stream::{ClientStream, Reader};
use crate::request::guard::{Verdict, judge};
use crate::request::suspicion::Suspicion;

/// Heads looked at in one go. Then others have theirs, and the connection hears what the server tells all: a client that never stops asking
/// would keep it from that.
const TURNS: usize = 32;

impl<H: Handler> ClientStream<H> {
    /// Reads to where heads are looked at. Zero at the end.
    pub(crate) fn poll_heads(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(socket) = self.socket.as_mut() else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let read = ready!(poll_read_buf(Pin::new(socket), cx, self.heads.room()))?;
        if read > 0 {
            self.unanswered = true;
            self.peer.turn().begin();
        }
        Poll::Ready(Ok(read))
    }

    /// Answers what can be answered from here, until there is something for hyper, or nothing more.
    pub(crate) fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..TURNS {
            ready!(self.poll_own(cx))?;
            match self.heads.look() {
                Seen::Partial => {
                    if !self.heads.is_empty() {
                        // They may have come behind the request before.
                        self.peer.turn().begin();
                    }
                    if ready!(self.poll_heads(cx))? == 0 {
                        self.reader = Reader::Hyper;
                    }
                }
                Seen::Plain => match self.answer() {
                    Some(()) => {
                        self.heads.forget();
                        (self.unanswered, self.answering) = (!self.heads.is_empty(), true);
                        self.peer.turn().take();
                    }
                    None => {
                        self.heads.release();
                        self.reader = Reader::HyperFor { content: 0 };
                    }
                },
                Seen::Other { content } => self.reader = Reader::HyperFor { content },
                Seen::Unclear => self.reader = Reader::Hyper,
            }
            if self.reader != Reader::Here {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Begins the answer to the request at hand, if it is there to be written.
    fn answer(&mut self) -> Option<()> {
        let is_too_large = self.heads.at_hand().len() > self.limits.fields;
        // hyper says that it was the last one, or what is wrong with it.
        if is_too_large
            || self.peer.is_parting()
            || !matches!(judge(self.heads.request(), Suspicion::default(), self.limits), Verdict::Pass)
        {
            return None;
        }
        drop_nominated(self.heads.request_mut().headers_mut());
        self.own.answer(|head| self.handler.hit(self.heads.request(), &self.peer, head))
    }
}
