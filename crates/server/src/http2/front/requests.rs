//! Whole blocks of fields: requests that are answered, and everything that goes on.

use std::io;
use std::task::{Context, Poll};

use http::Request;

use super::answer::{put_answer, put_fields, put_frame};
use super::incoming::{Front, PRIORITY};
use crate::connection::handler::Handler;
use crate::connection::hsts;
use crate::http2::frames::{FrameHead, flag, kind};
use crate::http2::hpack::decode::DecodeError;
use crate::http2::hpack::encode::put_again;
use crate::http2::kept_back::MAX_CORKED;
use crate::http2::limits::Limit;
use crate::http2::socket::CorkedSocket;
use crate::request::client_certificate;
use crate::request::faults::FramingFaults;
use crate::request::guard::Verdict;

/// Bytes of a body that is copied behind its head. A larger one is the library's, which writes it from where it lies.
const MAX_BODY: i64 = MAX_CORKED as i64;
/// A block of fields that no decoder takes: the index 0 (RFC 7541 §6.1).
const BROKEN_BLOCK: [u8; 1] = [0x80];

impl<H: Handler> Front<H> {
    /// A whole block of fields: a request is answered or goes on, trailers go on.
    pub(super) fn fields(
        &mut self,
        head: FrameHead,
        priority: Option<[u8; PRIORITY]>,
        block: &[u8],
        socket: &mut CorkedSocket,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        match self.decoder.decode(block, &mut self.fields) {
            Ok(()) => {}
            Err(DecodeError::Broken) => {
                put_frame(&mut self.queued, kind::HEADERS, flag::END_HEADERS, head.stream, &BROKEN_BLOCK);
                self.is_over = true;
                return Ok(());
            }
            Err(DecodeError::TooLarge) => return Err(socket.calm_down(Limit::Library)),
        }
        let is_clients = head.stream % 2 == 1;
        let is_new = head.stream > self.highest;
        // A stream that depends on itself is an error of the library's.
        let is_odd = priority.is_some_and(|[a, b, c, d, _]| u32::from_be_bytes([a & 0x7f, b, c, d]) == head.stream);
        if is_clients && is_new && !is_odd && head.has(flag::END_STREAM) && self.answer(head.stream, socket, cx) {
            self.highest = head.stream;
            self.answered = head.stream;
            return Ok(());
        }
        let mut stream = head.stream;
        if is_clients && is_new {
            (self.highest, self.highest_passed) = (stream, stream);
        } else if stream > self.highest_passed {
            // It was answered here, or skipped, and the library would take it for a new one. No request comes on the stream 0.
            stream = 0;
        }
        let flags = head.flags & flag::END_STREAM | if priority.is_some() { flag::PRIORITY } else { 0 };
        put_fields(&mut self.queued, stream, flags, |out| {
            out.extend_from_slice(priority.as_ref().map_or(&[], |priority| &priority[..]));
            self.fields.iter().for_each(|field| put_again(out, field));
        });
        Ok(())
    }

    /// Answers the request that was decoded. Whether it could.
    fn answer(&mut self, stream: u32, socket: &mut CorkedSocket, cx: &mut Context<'_>) -> bool {
        if !self.outgoing.allows_answer(socket.sent_frames()) || !has_room(socket, cx) {
            return false;
        }
        let filled = self.request.fill(&mut self.fields);
        let max = i64::from(self.outgoing.settings.window()).min(self.outgoing.windows.ours()).min(MAX_BODY);
        let body = filled.and_then(|()| self.ask(u64::try_from(max).unwrap_or(0)));
        self.request.release();
        let Some(body) = body else { return false };
        if let Some(policy) = self.peer.tls().and_then(|tls| tls.hsts.as_ref()) {
            hsts::put_line(&mut self.head, policy);
        }
        let sent = put_answer(socket.kept_back(), stream, &self.head, body);
        self.outgoing.windows.sent(sent);
        self.streams.answered();
        self.left -= 1;
        true
    }

    /// The handler's answer to the request, with a body of at most so many bytes.
    fn ask(&mut self, max: u64) -> Option<H::Body> {
        let request: &mut Request<()> = self.request.get();
        // What is refused, or answered here, is logged on the way through the library.
        if !matches!(self.peer.door().judge(request, FramingFaults::default(), self.limits), Verdict::Pass) {
            return None;
        }
        let shown = self.peer.tls().and_then(|tls| tls.client_certificate.as_ref());
        client_certificate::put(request.headers_mut(), shown, || self.handler.believes_client_cert(&self.peer));
        self.head.clear();
        self.handler.answer_stored(request, &self.peer, &mut self.head, max)
    }
}

/// Whether an answer may be kept back. A client that does not take what it asked for has its further requests dealt with by the library,
/// which does not answer more of them than it may keep.
fn has_room(socket: &mut CorkedSocket, cx: &mut Context<'_>) -> bool {
    socket.kept_back().len() < MAX_CORKED || matches!(socket.poll_uncork(cx), Poll::Ready(()))
}
