//! `multipart/byteranges` (RFC 9110 §14.6, §15.3.7.2).

use http::HeaderValue;
use http::header::{CONTENT_TYPE, DATE};

use super::answer::content_range;
use super::parse::ByteRange;
use crate::head::stored::StoredHead;

/// Bytes that a part costs besides its content, about: gaps smaller than this are sent rather than skipped.
pub(super) const PART_OVERHEAD: u64 = 128;

/// The frame around the parts of a 206 with several ranges: for each part its [`Self::part_head`] and its bytes, then [`Self::closing`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    boundary: String,
    part_type: Option<HeaderValue>,
}

impl Multipart {
    /// The boundary is a hash of what is sent, so that the same request gets the same bytes, and no body holds it by accident.
    pub(super) fn new(stored: &StoredHead, ranges: &[ByteRange], complete_length: u64) -> Self {
        let mut hash = blake3::Hasher::new();
        for value in [stored.etag(), stored.headers.get(&DATE)].into_iter().flatten() {
            hash.update(value.as_bytes());
        }
        hash.update(&complete_length.to_le_bytes());
        for range in ranges {
            hash.update(&range.first.to_le_bytes()).update(&range.last.to_le_bytes());
        }
        let boundary = hash.finalize().to_hex()[..32].to_owned();
        Self { boundary, part_type: stored.headers.get(&CONTENT_TYPE) }
    }

    /// `Content-Type` of the 206.
    pub fn content_type(&self) -> HeaderValue {
        let text = format!("multipart/byteranges; boundary={}", self.boundary);
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("multipart/byteranges"))
    }

    /// The bytes that precede those of a part: "the server SHOULD generate a corresponding Content-Type header field in the header section of each
    /// body part", and "a Content-Range header field describing the range being enclosed" (§15.3.7.2).
    pub fn part_head(&self, range: ByteRange, complete_length: u64) -> Vec<u8> {
        let mut head = format!("\r\n--{}\r\n", self.boundary).into_bytes();
        if let Some(part_type) = &self.part_type {
            head.extend_from_slice(b"Content-Type: ");
            head.extend_from_slice(part_type.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"Content-Range: ");
        head.extend_from_slice(content_range(range, complete_length).as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        head
    }

    /// The bytes that follow the last part.
    pub fn closing(&self) -> Vec<u8> {
        format!("\r\n--{}--\r\n", self.boundary).into_bytes()
    }

    pub(super) fn content_length(&self, ranges: &[ByteRange], complete_length: u64) -> u64 {
        let parts = ranges.iter().map(|&range| range.length().saturating_add(self.part_head(range, complete_length).len() as u64));
        parts.fold(self.closing().len() as u64, u64::saturating_add)
    }
}
