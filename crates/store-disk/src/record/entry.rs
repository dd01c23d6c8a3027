//! The payload of an entry.
//!
//! ```text
//! u64 epoch · u64 number        the position in the log of invalidations from before its fetch; an epoch of 0 has none (selecting fields)
//! u8 form · u32 length, and the frame of `larder_store::codec`
//! form 0    the body, up to 256 KiB
//! form 1    the body's parts: u32 slot · u32 unit · u64 life · u32 payload, each
//! form 2    nothing: the frame names selecting fields
//! form 3    the body in one frame: compressed, sealed, or both (`larder_packing`)
//! form 4    as form 1, of parts whose chunks are such frames; with each place u32 count of its chunks
//! ```

use bytes::Bytes;
use larder_store::{Epoch, LogPosition};

use super::part::{MAX_CHUNKS, Table};
use super::reader::{Reader, take};

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// From before its fetch. Selecting fields have none: they say how to look, and answer nobody.
    pub(crate) position: Option<LogPosition>,
    /// The head, as `larder_store::codec` frames it.
    pub(crate) frame: Bytes,
    pub(crate) body: Body,
}

/// The body of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Behind the frame.
    Inline(Bytes),
    /// The same in a frame.
    Framed(Bytes),
    /// In records of its own.
    Parts(Vec<PartPlace>),
    /// There is none: the frame is one of selecting fields.
    Selecting,
}

/// Where a part of a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartPlace {
    pub(crate) slot: u32,
    pub(crate) unit: u32,
    pub(crate) life: u64,
    /// Bytes of its payload.
    pub(crate) length: u32,
    /// How many framed chunks it has; 0 where they are plain, and their number follows from the length.
    pub(crate) frames: u32,
}

const PART_PLACE: usize = 20;
const FRAMED_PLACE: usize = PART_PLACE + 4;

impl Entry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let inline = if let Body::Inline(body) | Body::Framed(body) = &self.body { body.len() } else { 0 };
        let mut out = Vec::with_capacity(64 + self.frame.len() + inline);
        out.extend_from_slice(&self.position.map_or(0, |position| position.epoch.to_bits()).to_le_bytes());
        out.extend_from_slice(&self.position.map_or(0, |position| position.number).to_le_bytes());
        out.push(match &self.body {
            Body::Inline(_) => 0,
            Body::Parts(parts) if parts.iter().all(|part| !part.is_framed()) => 1,
            Body::Selecting => 2,
            Body::Framed(_) => 3,
            Body::Parts(_) => 4,
        });
        out.extend_from_slice(&(self.frame.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.frame);
        match &self.body {
            Body::Inline(body) | Body::Framed(body) => out.extend_from_slice(body),
            Body::Parts(parts) => parts.iter().for_each(|part| part.encode(&mut out)),
            Body::Selecting => {}
        }
        out
    }

    /// Of a payload whose checksum has been compared. Frame and body share its memory.
    pub(crate) fn decode(mut payload: Bytes) -> Option<Self> {
        const FIXED: usize = 21;
        let fixed = take(&mut payload, FIXED)?;
        let mut reader = Reader::new(&fixed);
        let (epoch, number) = (reader.u64()?, reader.u64()?);
        let (form, length) = (reader.u8()?, reader.u32()?);
        let frame = take(&mut payload, length as usize)?;
        let position = Epoch::from_bits(epoch).map(|epoch| LogPosition { epoch, number });
        let body = match form {
            0 => Body::Inline(payload),
            1 => Body::Parts(parts(&payload, PART_PLACE)?),
            2 if payload.is_empty() => Body::Selecting,
            3 => Body::Framed(payload),
            4 => Body::Parts(parts(&payload, FRAMED_PLACE)?),
            _ => return None,
        };
        Some(Self { position, frame, body })
    }
}

fn parts(bytes: &[u8], size: usize) -> Option<Vec<PartPlace>> {
    let places = bytes.chunks(size).map(|bytes| {
        let mut reader = Reader::new(bytes);
        let (slot, unit, life, length) = (reader.u32()?, reader.u32()?, reader.u64()?, reader.u32()?);
        let frames = if size == FRAMED_PLACE { Some(reader.u32()?).filter(|frames| *frames > 0)? } else { 0 };
        Some(PartPlace { slot, unit, life, length, frames })
    });
    places.collect()
}

impl PartPlace {
    /// Whether its chunks are framed.
    pub(crate) fn is_framed(&self) -> bool {
        self.frames > 0
    }

    /// How many chunks it has. `None`: no part has such a payload.
    pub(crate) fn chunks(&self) -> Option<usize> {
        let chunks = if self.is_framed() { self.frames as usize } else { Table::chunks(self.length)? };
        (chunks <= MAX_CHUNKS).then_some(chunks)
    }

    /// Bytes of the table before its chunks. `None`: no part has such a payload.
    pub(crate) fn table_length(&self) -> Option<usize> {
        self.chunks().map(|chunks| Table::length(chunks, self.is_framed()))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.slot.to_le_bytes());
        out.extend_from_slice(&self.unit.to_le_bytes());
        out.extend_from_slice(&self.life.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        if self.is_framed() {
            out.extend_from_slice(&self.frames.to_le_bytes());
        }
    }
}
