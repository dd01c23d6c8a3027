//! The library's frames on their way to the client, between which frames of our own are put.

use std::io::IoSlice;

use bytes::BytesMut;

use super::settings::PeerSettings;
use super::window::Windows;
use crate::http2::frames::{Frame, FrameHead, Frames, HEAD, flag, kind};

/// Where the library stands with the client.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) settings: PeerSettings,
    pub(super) windows: Windows,
    /// A block of fields has begun, and no other frame may come before its end (RFC 9113 §4.3).
    is_in_block: bool,
    /// The server's own SETTINGS, which come before everything else (RFC 9113 §3.4), have been sent.
    has_begun: bool,
    /// Of GOAWAY: no stream is answered here any more.
    is_leaving: bool,
    /// To be added to the library's window of the connection.
    pub(super) window_due: u32,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            settings: PeerSettings::new(),
            windows: Windows::new(),
            is_in_block: false,
            has_begun: false,
            is_leaving: false,
            window_due: 0,
        }
    }

    /// The library sends this frame.
    pub(super) fn sends(&mut self, frame: &Frame) {
        match frame.kind {
            kind::DATA => self.window_due += self.windows.sent_by_library(frame.length),
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => {
                self.is_in_block = frame.flags & flag::END_HEADERS == 0;
                self.settings.block_sent();
            }
            kind::SETTINGS if frame.flags & flag::ACK != 0 => self.settings.acknowledged(),
            kind::SETTINGS => self.has_begun = true,
            kind::GOAWAY => self.is_leaving = true,
            _ => {}
        }
    }

    /// Whether a whole answer may stand behind what the library has sent so far.
    pub(super) fn allows_answer(&self, sent: &Frames) -> bool {
        self.has_begun && !self.is_leaving && !self.is_in_block && sent.is_between_frames() && self.settings.allow_block()
    }
}

/// Where in these bytes, which come behind `sent`, the first GOAWAY begins.
pub(crate) fn find_goaway(sent: &Frames, bufs: &[IoSlice<'_>]) -> Option<usize> {
    let mut frames = sent.clone();
    let mut before = 0;
    for buf in bufs {
        // Its head is in one piece: the library writes frames that are no DATA into one buffer.
        let mut rest: &[u8] = buf;
        while !rest.is_empty() {
            if frames.is_between_frames()
                && let Some(head) = FrameHead::of(rest)
                && head.kind == kind::GOAWAY
            {
                return Some(before + buf.len() - rest.len());
            }
            let step = frames.to_skip().clamp(1, rest.len());
            frames.read(&rest[..step], |_| None::<()>);
            rest = &rest[step..];
        }
        before += buf.len();
    }
    None
}

/// Appends the GOAWAY that these bytes begin with. Its last stream is at least `answered`, for that one was answered (RFC 9113 §6.8). Returns its
/// bytes.
pub(crate) fn put_goaway(out: &mut BytesMut, bufs: &[IoSlice<'_>], answered: u32) -> usize {
    let Some(buf) = bufs.iter().find(|buf| !buf.is_empty()) else { return 0 };
    let length = FrameHead::of(buf).map_or(0, |head| HEAD + head.length).min(buf.len());
    let start = out.len();
    out.extend_from_slice(&buf[..length]);
    if let Some(last) = out[start..].get_mut(HEAD..HEAD + 4) {
        let known = u32::from_be_bytes([last[0], last[1], last[2], last[3]]);
        last.copy_from_slice(&known.max(answered).to_be_bytes());
    }
    length
}
