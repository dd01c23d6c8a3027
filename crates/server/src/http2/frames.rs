//! The frames of HTTP/2 (RFC 9113 §4.1), found in bytes that come in pieces of any size.

/// The bytes with which a client begins (RFC 9113 §3.4).
pub(crate) const PREFACE: usize = 24;
/// Bytes of a frame's head (RFC 9113 §4.1).
pub(crate) const HEAD: usize = 9;
/// The most bytes of a payload that every peer takes (RFC 9113 §6.5.2).
pub(crate) const FULL_FRAME: usize = 16 * 1024;
/// The most bytes of a payload that are looked at: two numbers.
const LOOKED_AT: usize = 8;

/// Kinds of frames (RFC 9113 §6).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Flags of frames (RFC 9113 §6).
pub(crate) mod flag {
    /// Of DATA and HEADERS.
    pub(crate) const END_STREAM: u8 = 0x1;
    /// Of SETTINGS and PING.
    pub(crate) const ACK: u8 = 0x1;
    /// Of HEADERS, PUSH_PROMISE and CONTINUATION.
    pub(crate) const END_HEADERS: u8 = 0x4;
    /// Of DATA and HEADERS.
    pub(crate) const PADDED: u8 = 0x8;
    /// Of HEADERS.
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) length: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl FrameHead {
    /// The head that these bytes begin with; `None` where it is not whole.
    #[inline]
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, d, e, f, g] = bytes.first_chunk::<HEAD>()?;
        // The reserved bit is ignored.
        let stream = u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff;
        Some(Self { length: u32::from_be_bytes([0, a, b, c]) as usize, kind, flags, stream })
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The bytes of the head.
    #[inline]
    pub(crate) fn bytes(&self) -> [u8; HEAD] {
        let ([_, a, b, c], [d, e, f, g]) = ((self.length as u32).to_be_bytes(), self.stream.to_be_bytes());
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }
}

/// One frame, with the beginning of its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) length: u32,
    payload: [u8; LOOKED_AT],
}

impl Frame {
    /// The number at this place of the payload; 0 where it is shorter.
    pub(crate) fn number(&self, place: usize) -> u32 {
        let bytes = self.payload.chunks_exact(4).nth(place).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    }
}

/// Finds the frames in bytes that come in pieces of any size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    /// Bytes that are of no interest, before the next head.
    skip: u32,
    /// The head and the beginning of the payload, as far as they have come.
    begun: [u8; HEAD + LOOKED_AT],
    filled: usize,
}

impl Frames {
    /// Those of a client, behind what it begins with.
    pub(crate) fn of_client() -> Self {
        Self { skip: PREFACE as u32, ..Self::default() }
    }

    /// Whether the next byte begins a frame.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.skip == 0 && self.filled == 0
    }

    /// Bytes that are of no interest, before the next head.
    pub(crate) fn to_skip(&self) -> usize {
        self.skip as usize
    }

    /// Shows each frame to `look`, once as much of it is there as is looked at, until it says something.
    pub(crate) fn read<T>(&mut self, mut bytes: &[u8], mut look: impl FnMut(&Frame) -> Option<T>) -> Option<T> {
        loop {
            let skipped = bytes.len().min(self.skip as usize);
            bytes = &bytes[skipped..];
            self.skip -= u32::try_from(skipped).unwrap_or(self.skip);
            if bytes.is_empty() {
                return None;
            }
            let wanted = self.wanted();
            let taken = bytes.len().min(wanted - self.filled);
            self.begun[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            (self.filled, bytes) = (self.filled + taken, &bytes[taken..]);
            if self.filled < self.wanted() {
                continue;
            }
            let frame = self.frame();
            self.skip = frame.length - u32::try_from(self.filled - HEAD).unwrap_or_default();
            self.filled = 0;
            if let Some(said) = look(&frame) {
                return Some(said);
            }
        }
    }

    /// Bytes of the frame under way that are looked at. Payloads are those of resets and farewells only.
    fn wanted(&self) -> usize {
        if self.filled < HEAD {
            return HEAD;
        }
        let looked_at = if matches!(self.begun[3], kind::RST_STREAM | kind::GOAWAY) { LOOKED_AT } else { 0 };
        HEAD + looked_at.min(self.length() as usize)
    }

    fn length(&self) -> u32 {
        let [a, b, c, ..] = self.begun;
        u32::from_be_bytes([0, a, b, c])
    }

    fn frame(&self) -> Frame {
        let mut payload = [0; LOOKED_AT];
        payload[..self.filled - HEAD].copy_from_slice(&self.begun[HEAD..self.filled]);
        Frame { kind: self.begun[3], flags: self.begun[4], length: self.length(), payload }
    }
}
