//! The form in which responses lie on disk: as they are, or compressed, sealed, or both (`larder_packing`).
//!
//! Where either is wanted, each segment of a body becomes a frame of `larder_store::codec` that names its body and its place, and is sealed under a
//! name that tells the entry. So a frame can be read, bounded and proven without the others, and none opens in another's place.

use std::io;

use bytes::Bytes;
use larder_disk_options::DiskOptions;
use larder_packing::{Compression, SealKeys, is_sealed, is_worth_compressing, open, pack_chunk, pack_chunks, seal, unpack_chunk};
use larder_semantics::StoredHead;
use larder_store::codec::{BodySum, Coding, ResponseRecord, decode_chunk, encode_chunk};
use larder_store::{StoredBody, StoredResponse};

use crate::engine::{Content, ReadError};

/// Heads and selecting fields, in the name that seals them.
const HEAD: &str = "m";

/// The frame of a head or of selecting fields, as it is written for the key of this hash.
pub(super) fn sealed_head(keys: Option<&SealKeys>, hash: u64, frame: Vec<u8>) -> io::Result<Bytes> {
    sealed(keys, &format!("disk {hash:016x} {HEAD}"), frame)
}

/// The same as it was before; `None` if no key opens it. Without keys, one that is sealed is locked too.
pub(super) fn opened_head(keys: Option<&SealKeys>, hash: u64, frame: Bytes) -> Option<Bytes> {
    if keys.is_none() && is_sealed(&frame) {
        return None;
    }
    open(keys, &format!("disk {hash:016x} {HEAD}"), frame)
}

/// The content of a response. What takes time is done when it is written.
pub(super) fn content(options: &DiskOptions, hash: u64, response: &StoredResponse) -> Content {
    let body = response.body();
    let compression = options.compress.filter(|compression| is_worth_compressing(&response.head, body.len(), *compression));
    if compression.is_none() && options.keys.is_none() || body.is_empty() {
        return Content::Plain(body.segments().to_vec());
    }
    let (keys, fetch) = (options.keys.clone(), response.body_fetch());
    Content::Framed(Box::new(move || frames(keys.as_ref(), compression, (hash, fetch), &body)))
}

fn frames(
    keys: Option<&SealKeys>,
    compression: Option<Compression>,
    (hash, fetch): (u64, u64),
    body: &StoredBody,
) -> io::Result<Vec<Bytes>> {
    let chunks = match compression {
        Some(Compression { level, .. }) => pack_chunks(body, level),
        None => body.segments().iter().map(|segment| (Coding::Identity, segment.clone())).collect(),
    };
    let sum = BodySum::of(body);
    let frame = |(number, (coding, content)): (u32, (Coding, Bytes))| {
        sealed(keys, &chunk_name(hash, fetch, number), encode_chunk(&sum, number, coding, &content))
    };
    (0..).zip(chunks).map(frame).collect()
}

fn sealed(keys: Option<&SealKeys>, name: &str, frame: Vec<u8>) -> io::Result<Bytes> {
    seal(keys, name, frame.into()).map_err(|_| io::Error::other("the system has no randomness"))
}

fn chunk_name(hash: u64, fetch: u64, number: u32) -> String {
    format!("disk {hash:016x} b {fetch:016x} {number}")
}

/// How the chunks of a body are framed that is written while it arrives.
#[derive(Clone, Debug)]
pub(super) struct ArrivingForm {
    keys: Option<SealKeys>,
    compression: Option<Compression>,
    hash: u64,
    fetch: u64,
}

impl ArrivingForm {
    /// `None`: they are written as they are.
    pub(super) fn new(options: &DiskOptions, (hash, fetch): (u64, u64), head: &StoredHead, length: u64) -> Option<Self> {
        let compression = options.compress.filter(|compression| is_worth_compressing(head, length, *compression));
        let keys = options.keys.clone();
        (compression.is_some() || keys.is_some()).then_some(Self { keys, compression, hash, fetch })
    }

    /// The frame of the chunk of this number.
    pub(super) fn frame(&self, number: u32, segment: Bytes) -> io::Result<Bytes> {
        let (coding, content) = match self.compression {
            Some(Compression { level, .. }) => pack_chunk(segment, level),
            None => (Coding::Identity, segment),
        };
        let frame = encode_chunk(&BodySum::while_arriving(self.fetch), number, coding, &content);
        sealed(self.keys.as_ref(), &chunk_name(self.hash, self.fetch, number), frame)
    }
}

/// Reads the frames of one body.
#[derive(Clone, Debug)]
pub(super) struct FrameReader {
    keys: Option<SealKeys>,
    hash: u64,
    fetch: u64,
    /// `None` while it arrives.
    body: Option<BodySum>,
}

impl FrameReader {
    pub(super) fn new(keys: Option<&SealKeys>, hash: u64, record: &ResponseRecord) -> Self {
        Self { keys: keys.cloned(), hash, fetch: record.body_fetch(), body: Some(record.body()) }
    }

    /// Of a body that this fetch brings, while it arrives.
    pub(super) fn arriving(keys: Option<&SealKeys>, hash: u64, fetch: u64) -> Self {
        Self { keys: keys.cloned(), hash, fetch, body: None }
    }

    /// The segment of the body in a frame, of so many bytes, if it is the one of this number.
    pub(super) fn read(&self, number: u32, frame: Bytes, length: usize) -> Result<Bytes, ReadError> {
        if self.keys.is_none() && is_sealed(&frame) {
            return Err(ReadError::Locked);
        }
        let frame = open(self.keys.as_ref(), &chunk_name(self.hash, self.fetch, number), frame).ok_or(ReadError::Locked)?;
        let known = self.body.and_then(|body| decode_chunk(frame.clone(), &body, number).ok());
        // One that was written while it arrived is named by its fetch.
        let (coding, content) = match known {
            Some(chunk) => chunk,
            None => decode_chunk(frame, &BodySum::while_arriving(self.fetch), number).map_err(|_| ReadError::Damaged)?,
        };
        unpack_chunk(coding, content, length).ok_or(ReadError::Damaged)
    }
}
