//! The stored form of a response outside this process.
//!
//! The head is one frame, framed by hand: half the time and a third of the allocations of any serialisation crate that was measured.
//! The body follows in its own values: as one, in chunks ([`encode_chunk`]), or
//! in pieces while it arrives ([`encode_piece`]). All numbers are little-endian; `text` and `bytes` are a `u32`
//! length and that many bytes.
//!
//! ```text
//! u8  format (1, or 2)              u8  kind: 0 a response · 1 selecting fields
//! text  primary key                 selecting fields: u16 count, text each
//!                                   (and here a frame of kind 1 goes to its checksum)
//! text  secondary key, empty without selecting fields
//! u16 status · u64 response time · u32 initial age · u32 lifetime · u8 its source
//! u32 stale-while-revalidate · u32 stale-if-error · u8 flags · u64 date
//! fields: u16 count, text and bytes each
//! bytes? ETag · bytes? Last-Modified · bytes? origin's Cache-Control · bytes? origin's Expires    (bytes?: a u8 1, or 0 and nothing)
//! tags: u16 count, u64 each
//! u64 position · u64 fetch · u64 body's fetch
//! u64 body length · u32 body's CRC-32 · u8 has trailers, then fields
//! bytes recording, in format 2 only: it is that of streams that were recorded ([`Recording`])
//! u32 CRC-32 of all before it
//! ```
//!
//! A frame that does not decode is a miss, and no error. A newer format gets a new first byte, and the golden bytes of this one
//! stay in the tests.

mod chunk;
mod frame;
mod head;
mod piece;

use std::iter;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use larder_semantics::{PrimaryKey, StoredHead, Timestamp, VarySpec};

use crate::entry::{Recording, StoredBody, StoredResponse, Variant};
use crate::ledger::{Position, Tag, Tags};
pub use chunk::{BodyProof, BodySum, BodySummer, Coding, decode_chunk, encode_chunk};
use frame::{Reader, Writer};
pub use piece::{RelayPiece, decode_piece, encode_piece};

const FORMAT: u8 = 1;
/// The format of responses with a recording: all others stay readable for earlier versions.
const RECORDED: u8 = 2;
const RESPONSE: u8 = 0;
const SELECTING: u8 = 1;

/// Why a frame is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Cut off, changed, or never a frame.
    #[error("the stored form is damaged")]
    Damaged,
    /// A format that this version does not know.
    #[error("the stored form is of another version")]
    OtherFormat,
    /// A valid frame, for another key with the same hash, or for another variant.
    #[error("the stored form is another key's")]
    OtherKey,
}

/// The content of a frame.
#[derive(Debug)]
pub enum Record {
    /// A response, without its body.
    Response(Box<ResponseRecord>),
    /// The selecting fields of a resource whose variants are kept each by itself.
    Selecting(VarySpec),
}

/// A response whose body is still to come.
#[derive(Debug)]
pub struct ResponseRecord {
    key: PrimaryKey,
    variant: Option<Variant>,
    head: Arc<StoredHead>,
    tags: Tags,
    position: Position,
    fetch: u64,
    body_fetch: u64,
    body: BodySum,
    trailers: Option<HeaderMap>,
    recording: Option<Recording>,
}

/// The frame of a response. `position` stands in for its own, which may mean something in this process only.
pub fn encode(response: &StoredResponse, position: Position) -> Vec<u8> {
    let body = response.body();
    frame_of(&Framed {
        key: response.key_bytes(),
        variant: response.variant(),
        head: &response.head,
        tags: &iter::once(Tag::url(response.subject().url)).chain(response.tags().iter()).collect::<Vec<_>>(),
        position,
        fetch: response.fetch,
        body_fetch: response.body_fetch(),
        body: BodySum::of(&body),
        trailers: body.trailers(),
        recording: body.recording(),
    })
}

/// As [`encode()`], of a response whose body is elsewhere.
pub fn encode_record(record: &ResponseRecord, position: Position) -> Vec<u8> {
    frame_of(&Framed {
        key: record.key.as_bytes(),
        variant: record.variant.as_ref(),
        head: &record.head,
        tags: &iter::once(Tag::url(record.key.url())).chain(record.tags.iter().copied()).collect::<Vec<_>>(),
        position,
        fetch: record.fetch,
        body_fetch: record.body_fetch,
        body: record.body,
        trailers: record.trailers.as_ref(),
        recording: record.recording.as_ref(),
    })
}

/// The content of the frame of a response, in its order.
struct Framed<'a> {
    key: &'a [u8],
    variant: Option<&'a Variant>,
    head: &'a StoredHead,
    tags: &'a [Tag],
    position: Position,
    fetch: u64,
    body_fetch: u64,
    body: BodySum,
    trailers: Option<&'a HeaderMap>,
    recording: Option<&'a Recording>,
}

fn frame_of(response: &Framed<'_>) -> Vec<u8> {
    let mut out = Writer::new(if response.recording.is_some() { RECORDED } else { FORMAT }, RESPONSE);
    out.bytes(response.key);
    match response.variant {
        Some(variant) => {
            selecting(&mut out, &variant.spec);
            out.text(variant.secondary.text());
        }
        None => {
            out.u16(0);
            out.text("");
        }
    }
    head::write(&mut out, response.head);
    out.u16(response.tags.len() as u16);
    response.tags.iter().for_each(|tag| out.u64(tag.to_bits()));
    out.u64(response.position.0);
    out.u64(response.fetch);
    out.u64(response.body_fetch);
    out.u64(response.body.length);
    out.u32(response.body.crc);
    match response.trailers {
        Some(trailers) => {
            out.u8(1);
            head::write_fields(&mut out, trailers);
        }
        None => out.u8(0),
    }
    response.recording.iter().for_each(|recording| out.bytes(recording.as_bytes()));
    out.finish()
}

/// The frame that stands under a primary key whose responses have selecting fields.
pub fn encode_selecting(key: &PrimaryKey, spec: &VarySpec) -> Vec<u8> {
    let mut out = Writer::new(FORMAT, SELECTING);
    out.text(key.text());
    selecting(&mut out, spec);
    out.finish()
}

/// Reads a frame that was asked for by this key and, where it is known already, this variant.
pub fn decode(frame: Bytes, key: &PrimaryKey, variant: Option<&Variant>) -> Result<Record, Unreadable> {
    let (mut reader, format) = Reader::one_of(frame, &[FORMAT, RECORDED])?;
    let kind = reader.u8()?;
    if reader.text()?.as_ref() != key.text().as_bytes() {
        return Err(Unreadable::OtherKey);
    }
    let spec = read_selecting(&mut reader)?;
    if kind == SELECTING {
        return reader.end().map(|()| Record::Selecting(spec));
    }
    if kind != RESPONSE {
        return Err(Unreadable::Damaged);
    }
    let secondary = reader.text()?;
    let same = match variant {
        Some(variant) => variant.spec == spec && variant.secondary.text().as_bytes() == secondary.as_ref(),
        None => spec.names().is_empty() && secondary.is_empty(),
    };
    if !same {
        return Err(Unreadable::OtherKey);
    }
    let head = Arc::new(head::read(&mut reader)?);
    // The URL's own is among them for other readers; here the key has it.
    let own = Tag::url(key.url());
    let mut tags = (0..reader.u16()?).map(|_| reader.u64().map(Tag::from_bits)).collect::<Result<Vec<_>, _>>()?;
    tags.retain(|tag| *tag != own);
    let record = ResponseRecord {
        key: key.clone(),
        variant: variant.cloned(),
        head,
        tags: tags.into(),
        position: Position(reader.u64()?),
        fetch: reader.u64()?,
        body_fetch: reader.u64()?,
        body: BodySum { length: reader.u64()?, crc: reader.u32()? },
        trailers: match reader.u8()? {
            0 => None,
            _ => Some(head::read_fields(&mut reader)?),
        },
        recording: if format == RECORDED { Some(Recording::of_bytes(reader.own_bytes()?)) } else { None },
    };
    reader.end().map(|()| Record::Response(Box::new(record)))
}

impl ResponseRecord {
    /// Of a response that was fetched at `position` by fetch number `fetch`, whose body is elsewhere. `tags` are those besides its URL.
    #[expect(clippy::too_many_arguments, reason = "a record of as many parts")]
    pub fn new(
        key: PrimaryKey,
        variant: Option<Variant>,
        head: Arc<StoredHead>,
        tags: Tags,
        position: Position,
        fetch: u64,
        body: BodySum,
        trailers: Option<HeaderMap>,
    ) -> Self {
        Self { key, variant, head, tags, position, fetch, body_fetch: fetch, body, trailers, recording: None }
    }

    /// The primary key.
    pub fn key(&self) -> &PrimaryKey {
        &self.key
    }

    /// Status, fields, freshness.
    pub fn head(&self) -> &Arc<StoredHead> {
        &self.head
    }

    /// It is `age` milliseconds old at least. To the second: below that, clocks are taken to agree.
    pub fn is_at_least(&mut self, age: u64, now: Timestamp) {
        if u64::from(self.head.age(now)) < age / 1000 {
            let here = age.saturating_sub(u64::from(self.head.initial_age) * 1000);
            Arc::make_mut(&mut self.head).response_time = Timestamp::from_millis(now.as_millis().saturating_sub(here));
        }
    }

    /// Which requests it is for; `None` without `Vary`.
    pub fn variant(&self) -> Option<&Variant> {
        self.variant.as_ref()
    }

    /// The tags that invalidate it.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// The ledger's position from before its fetch began.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The number of its fetch.
    pub fn fetch(&self) -> u64 {
        self.fetch
    }

    /// The number of the fetch that brought the body.
    pub fn body_fetch(&self) -> u64 {
        self.body_fetch
    }

    /// The identity of its body.
    pub fn body(&self) -> BodySum {
        self.body
    }

    /// The trailer fields, if there are any (RFC 9110 §6.5).
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// How the body arrived, where it is a stream that was recorded.
    pub fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// The response, once its body is there, in segments of [`SEGMENT`](crate::SEGMENT) and a shorter last one.
    pub fn complete(&self, segments: Vec<Bytes>) -> Result<StoredResponse, Unreadable> {
        let body = StoredBody::from_segments(segments, self.trailers.clone()).ok_or(Unreadable::Damaged)?;
        if BodySum::of(&body) != self.body {
            return Err(Unreadable::Damaged);
        }
        Ok(self.with_body(body))
    }

    /// The response with a body that [`BodyProof`] has proven to be its own.
    pub fn with_body(&self, body: StoredBody) -> StoredResponse {
        let body = match &self.recording {
            Some(recording) => body.with_recording(Some(recording.clone())),
            None => body,
        };
        let response = StoredResponse::new(&self.key, self.variant.clone(), &self.head, body, &self.tags, self.position, self.fetch);
        response.with_body_fetch(self.body_fetch)
    }
}

fn selecting(out: &mut Writer, spec: &VarySpec) {
    out.u16(spec.names().len() as u16);
    spec.names().iter().for_each(|name| out.text(name.as_str()));
}

fn read_selecting(reader: &mut Reader) -> Result<VarySpec, Unreadable> {
    let names = (0..reader.u16()?).map(|_| head::name(reader)).collect::<Result<_, _>>()?;
    Ok(VarySpec::new(names))
}

fn checksum(segments: &[Bytes]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    segments.iter().for_each(|segment| hasher.update(segment));
    hasher.finalize()
}

#[cfg(test)]
mod tests;
