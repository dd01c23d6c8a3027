//! A client's frames on their way to the library. See [the module's page](super).

use std::io;
use std::mem;
use std::task::Context;

use bytes::{Buf, BytesMut};
use tokio::io::ReadBuf;

use super::answer::put_frame;
use super::outgoing::Outgoing;
use super::request::PlainRequest;
use super::window::Overflow;
use crate::connection::handler::Handler;
use crate::connection::peer::Peer;
use crate::http2::frames::{FULL_FRAME, Frame, FrameHead, HEAD, PREFACE, flag, kind};
use crate::http2::hpack::decode::Decoder;
use crate::http2::hpack::fields::FieldList;
use crate::http2::socket::CorkedSocket;
use crate::http2::streams::Streams;
use crate::request::guard::HeadLimits;

/// Answers of one poll. Then other connections have theirs, however many requests this client sends.
const MAX_ANSWERS_PER_POLL: usize = 128;
/// Bytes that wait for the library. Fields that a client's encoder has made short are much longer when they are written again.
const MAX_QUEUED: usize = 64 * 1024;
/// Bytes of room that a connection keeps for the next time.
const KEPT_ROOM: usize = 4 * 1024;
/// Bytes that say which stream another one depends on (RFC 9113 §6.2).
pub(super) const PRIORITY: usize = 5;
const MAX_INCREMENT: u32 = (1 << 31) - 1;

/// See the module's page.
pub(crate) struct Front<H: Handler> {
    pub(super) handler: H,
    pub(super) peer: Peer,
    pub(super) streams: Streams,
    pub(super) limits: HeadLimits,
    pub(super) outgoing: Outgoing,
    /// Bytes that have come, and are neither answered nor handed on.
    input: Vec<u8>,
    /// Bytes for the library.
    pub(super) queued: BytesMut,
    /// Bytes that go on as they are, before the next frame.
    passing: usize,
    /// Everything goes on as it is.
    pub(super) is_over: bool,
    block: Option<Block>,
    pub(super) decoder: Decoder,
    pub(super) fields: FieldList,
    pub(super) request: PlainRequest,
    /// An answer's head, as the handler writes it.
    pub(super) head: Vec<u8>,
    /// The highest stream that the client has begun, that the library knows, and that was answered here.
    pub(super) highest: u32,
    pub(super) highest_passed: u32,
    pub(super) answered: u32,
    /// Answers that are left of this poll.
    pub(super) left: usize,
}

/// A block of fields whose end has not come.
struct Block {
    head: FrameHead,
    priority: Option<[u8; PRIORITY]>,
    bytes: Vec<u8>,
}

impl<H: Handler> Front<H> {
    /// `max_fields`: bytes of fields that the library takes.
    pub(crate) fn new(handler: H, peer: Peer, streams: Streams, limits: HeadLimits, max_fields: usize) -> Self {
        Self {
            handler,
            peer,
            streams,
            limits,
            outgoing: Outgoing::new(),
            input: Vec::new(),
            queued: BytesMut::new(),
            passing: PREFACE,
            is_over: false,
            block: None,
            decoder: Decoder::default(),
            fields: FieldList::new(max_fields),
            request: PlainRequest::new(),
            head: Vec::new(),
            highest: 0,
            highest_passed: 0,
            answered: 0,
            left: MAX_ANSWERS_PER_POLL,
        }
    }

    /// The highest stream that was answered here; 0 where there was none.
    pub(crate) fn answered(&self) -> u32 {
        self.answered
    }

    /// The library sends this frame.
    pub(crate) fn sends(&mut self, frame: &Frame) {
        self.outgoing.sends(frame);
    }

    /// Whether there is something for the library that does not come from the client.
    pub(crate) fn is_due(&self) -> bool {
        self.outgoing.window_due > 0
    }

    /// This poll ends.
    pub(crate) fn replenish(&mut self) {
        self.left = MAX_ANSWERS_PER_POLL;
    }

    /// Whether other connections are to have their turn.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.left == 0
    }

    /// Hands bytes on to the library. Whether there were any.
    pub(crate) fn hand_on(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let count = self.queued.len().min(buf.remaining());
        buf.put_slice(&self.queued[..count]);
        self.queued.advance(count);
        if self.queued.is_empty() && self.queued.capacity() > KEPT_ROOM {
            self.queued = BytesMut::new();
        }
        count > 0
    }

    /// Takes bytes that have come, and returns how many of them go on as they are, before anything else. Nothing is waiting for the library.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        if self.is_over {
            return bytes.len();
        }
        let mut passed = 0;
        while self.input.is_empty() {
            let step = self.passing.min(bytes.len() - passed);
            (passed, self.passing) = (passed + step, self.passing - step);
            match FrameHead::of(&bytes[passed..]) {
                Some(head) if self.passing == 0 && !self.concerns(head) => self.passing = HEAD + head.length,
                _ => break,
            }
        }
        self.input.extend_from_slice(&bytes[passed..]);
        passed
    }

    /// The client sends no more: what it has begun goes on as it is. Whether there is any of that.
    pub(crate) fn end(&mut self) -> bool {
        self.is_over = true;
        self.queued.extend_from_slice(&mem::take(&mut self.input));
        !self.queued.is_empty()
    }

    /// Answers what can be answered of what has come, and queues the rest.
    ///
    /// # Errors
    /// If the client means no good.
    pub(crate) fn work(&mut self, socket: &mut CorkedSocket, cx: &mut Context<'_>) -> io::Result<()> {
        if self.passing == 0 && !self.is_over && self.is_due() {
            let due = mem::take(&mut self.outgoing.window_due);
            self.tell_window(due);
        }
        if self.input.is_empty() {
            return Ok(());
        }
        let mut input = mem::take(&mut self.input);
        let mut done = 0;
        let result = loop {
            let rest = &input[done..];
            if rest.is_empty() || self.is_exhausted() || self.queued.len() >= MAX_QUEUED {
                break Ok(());
            }
            match self.step(rest, socket, cx) {
                Ok(0) => break Ok(()),
                Ok(step) => done += step,
                Err(error) => break Err(error),
            }
        };
        if done < input.len() {
            input.drain(..done);
            self.input = input;
        } else if input.capacity() <= KEPT_ROOM {
            input.clear();
            self.input = input;
        }
        result
    }

    /// Deals with the beginning of these bytes, and returns how long it is; 0 where more of them have to come.
    fn step(&mut self, bytes: &[u8], socket: &mut CorkedSocket, cx: &mut Context<'_>) -> io::Result<usize> {
        let passed = if self.is_over { bytes.len() } else { self.passing.min(bytes.len()) };
        if passed > 0 {
            self.queued.extend_from_slice(&bytes[..passed]);
            self.passing = self.passing.saturating_sub(passed);
            return Ok(passed);
        }
        let Some(head) = FrameHead::of(bytes) else { return Ok(0) };
        let continues = |block: &Block| head.kind == kind::CONTINUATION && head.stream == block.head.stream && head.length <= FULL_FRAME;
        if let Some(block) = self.block.take_if(|block| !continues(block)) {
            // Another frame within a block ends the connection. That the block has begun is all that the library has to know of it.
            put_frame(&mut self.queued, kind::HEADERS, 0, block.head.stream, &[]);
            self.is_over = true;
            return self.step(bytes, socket, cx);
        }
        if !self.concerns(head) {
            self.passing = HEAD + head.length;
            return self.step(bytes, socket, cx);
        }
        let Some(frame) = bytes.get(..HEAD + head.length) else { return Ok(0) };
        self.frame(head, frame, socket, cx)?;
        Ok(frame.len())
    }

    /// Whether a frame has to be whole before it goes on, if it does.
    fn concerns(&self, head: FrameHead) -> bool {
        let is_ours = head.stream > self.highest_passed && head.stream <= self.highest && head.stream % 2 == 1;
        match head.kind {
            _ if self.block.is_some() => true,
            _ if head.length > FULL_FRAME => false,
            kind::HEADERS => true,
            kind::SETTINGS => head.stream == 0 && !head.has(flag::ACK),
            kind::WINDOW_UPDATE => head.length == 4 && (head.stream == 0 || is_ours),
            kind::RST_STREAM => head.length == 4 && is_ours,
            _ => false,
        }
    }

    fn frame(&mut self, head: FrameHead, frame: &[u8], socket: &mut CorkedSocket, cx: &mut Context<'_>) -> io::Result<()> {
        let payload = &frame[HEAD..];
        match (head.kind, self.block.take()) {
            (_, Some(mut block)) => {
                block.bytes.extend_from_slice(payload);
                if !head.has(flag::END_HEADERS) {
                    self.block = Some(block);
                    return Ok(());
                }
                self.fields(block.head, block.priority, &block.bytes, socket, cx)
            }
            (kind::HEADERS, None) => match block_of(head, payload) {
                None => {
                    self.give_up(frame);
                    Ok(())
                }
                Some((priority, block)) if head.has(flag::END_HEADERS) => self.fields(head, priority, block, socket, cx),
                Some((priority, block)) => {
                    self.block = Some(Block { head, priority, bytes: block.to_vec() });
                    Ok(())
                }
            },
            (kind::SETTINGS, None) => {
                if self.outgoing.settings.received(payload) {
                    self.queued.extend_from_slice(frame);
                } else {
                    self.give_up(frame);
                }
                Ok(())
            }
            (kind::WINDOW_UPDATE, None) if head.stream == 0 => {
                self.window_update(frame);
                Ok(())
            }
            // About a stream that was answered here, and is closed.
            _ => Ok(()),
        }
    }

    /// The connection is at its end, and what is wrong is in these bytes: the library answers that.
    fn give_up(&mut self, frame: &[u8]) {
        self.queued.extend_from_slice(frame);
        self.is_over = true;
    }

    fn window_update(&mut self, frame: &[u8]) {
        let increment = frame[HEAD..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes) & MAX_INCREMENT);
        if increment == 0 {
            return self.give_up(frame);
        }
        match self.outgoing.windows.update(increment) {
            Ok(0) => {}
            Ok(told) => self.tell_window(told),
            Err(Overflow) => {
                // The library, which knows of a part of the window, is told of more than there can be.
                self.tell_window(MAX_INCREMENT);
                self.tell_window(MAX_INCREMENT);
                self.is_over = true;
            }
        }
    }

    fn tell_window(&mut self, increment: u32) {
        put_frame(&mut self.queued, kind::WINDOW_UPDATE, 0, 0, &increment.to_be_bytes());
    }
}

/// The block of fields in a HEADERS frame, and what stands before it (RFC 9113 §6.2). `None` where the frame is too short for what it says.
fn block_of(head: FrameHead, payload: &[u8]) -> Option<(Option<[u8; PRIORITY]>, &[u8])> {
    let (padding, rest) =
        if head.has(flag::PADDED) { payload.split_first().map(|(padding, rest)| (*padding, rest))? } else { (0, payload) };
    let (priority, rest) = if head.has(flag::PRIORITY) {
        let (priority, rest) = rest.split_first_chunk()?;
        (Some(*priority), rest)
    } else {
        (None, rest)
    };
    Some((priority, &rest[..rest.len().checked_sub(padding.into())?]))
}
