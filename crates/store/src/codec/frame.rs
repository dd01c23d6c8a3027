//! Numbers and lengths in a row, with a checksum at the end.

use bytes::{Buf, Bytes};

use super::Unreadable;

const CHECKSUM: usize = size_of::<u32>();

pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(format: u8, kind: u8) -> Self {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend_from_slice(&[format, kind]);
        Self(bytes)
    }

    pub(super) fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub(super) fn u16(&mut self, number: u16) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let sum = crc32fast::hash(&self.0);
        self.u32(sum);
        self.0
    }
}

/// Never reads past the end, whatever the lengths say.
pub(super) struct Reader(Bytes);

impl Reader {
    /// The frame from behind its format byte. Its checksum has been compared.
    pub(super) fn new(frame: Bytes, format: u8) -> Result<Self, Unreadable> {
        Self::one_of(frame, &[format]).map(|(reader, _)| reader)
    }

    /// As [`Self::new`], with the format, which is one of these.
    pub(super) fn one_of(mut frame: Bytes, formats: &[u8]) -> Result<(Self, u8), Unreadable> {
        let end = frame.len().checked_sub(CHECKSUM).ok_or(Unreadable::Damaged)?;
        let mut sum = frame.split_off(end);
        if crc32fast::hash(&frame) != sum.get_u32_le() {
            return Err(Unreadable::Damaged);
        }
        let mut reader = Self(frame);
        let format = reader.u8()?;
        if formats.contains(&format) { Ok((reader, format)) } else { Err(Unreadable::OtherFormat) }
    }

    pub(super) fn u8(&mut self) -> Result<u8, Unreadable> {
        self.0.try_get_u8().map_err(|_| Unreadable::Damaged)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Unreadable> {
        self.0.try_get_u16_le().map_err(|_| Unreadable::Damaged)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Unreadable> {
        self.0.try_get_u32_le().map_err(|_| Unreadable::Damaged)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Unreadable> {
        self.0.try_get_u64_le().map_err(|_| Unreadable::Damaged)
    }

    pub(super) fn text(&mut self) -> Result<Bytes, Unreadable> {
        self.bytes()
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, Unreadable> {
        let length = self.u32()? as usize;
        if length > self.0.len() {
            return Err(Unreadable::Damaged);
        }
        Ok(self.0.split_to(length))
    }

    /// As [`Self::bytes`], copied, so that they do not keep the frame in memory.
    pub(super) fn own_bytes(&mut self) -> Result<Bytes, Unreadable> {
        self.bytes().map(|bytes| Bytes::copy_from_slice(&bytes))
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Result<(), Unreadable> {
        if self.0.is_empty() { Ok(()) } else { Err(Unreadable::Damaged) }
    }
}
