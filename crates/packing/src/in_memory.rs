//! Texts in memory, compressed by zstd.

use std::cell::RefCell;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use larder_semantics::{StoredHead, matches_pattern};
use larder_store::BodyCodec;
use larder_store::codec::Coding;
use zstd::bulk::Decompressor;

use crate::pack::{Compression, pack_chunk};

thread_local! {
    /// One for each thread that answers: to make one takes longer than to unpack a short body.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Packs bodies of some media types, from a length on, where that saves a tenth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPacking {
    compression: Compression,
    types: Vec<String>,
}

impl TextPacking {
    /// For these media types, one `*` in each of which stands for any text.
    pub fn new(compression: Compression, types: Vec<String>) -> Self {
        Self { compression, types }
    }
}

impl BodyCodec for TextPacking {
    /// What has a content coding is packed already.
    fn suits(&self, head: &StoredHead, length: u64) -> bool {
        if length < self.compression.min || head.headers.get(&CONTENT_ENCODING).is_some() {
            return false;
        }
        let Some(kind) = head.headers.get(&CONTENT_TYPE) else { return false };
        let essence = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        self.types.iter().any(|pattern| matches_pattern(pattern, &essence))
    }

    fn pack(&self, body: &Bytes) -> Option<Bytes> {
        match pack_chunk(body.clone(), self.compression.level) {
            (Coding::Zstd, packed) => Some(packed),
            (Coding::Identity, _) => None,
        }
    }

    fn unpack(&self, packed: &Bytes, length: usize) -> Option<Bytes> {
        let unpacked = DECOMPRESSOR.with_borrow_mut(|kept| {
            let decompressor = match kept {
                Some(decompressor) => decompressor,
                None => kept.insert(Decompressor::new().ok()?),
            };
            decompressor.decompress(packed, length).ok()
        });
        unpacked.filter(|body| body.len() == length).map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
    use larder_semantics::{FreshnessLifetime, HeadFlags, LifetimeSource, Timestamp};

    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> StoredHead {
        let fields: HeaderMap =
            fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        StoredHead {
            status: StatusCode::OK,
            headers: (&fields).into(),
            response_time: Timestamp::from_secs(1),
            initial_age: 0,
            lifetime: FreshnessLifetime { seconds: 60, source: LifetimeSource::MaxAge },
            stale_while_revalidate: 0,
            stale_if_error: 0,
            flags: HeadFlags::default(),
            origin_control: None,
            date_seconds: 1,
        }
    }

    fn packing() -> TextPacking {
        let types = ["text/*", "application/json"].map(str::to_owned).to_vec();
        TextPacking::new(Compression { min: 1024, level: 3 }, types)
    }

    #[test]
    fn texts_from_a_length_on_suit_and_nothing_that_has_a_coding() {
        let suits = |fields: &[(&'static str, &'static str)], length| packing().suits(&head(fields), length);
        for kind in ["text/html", "Text/CSS; charset=utf-8", "application/json"] {
            assert!(suits(&[("content-type", kind)], 1024), "{kind}");
        }
        assert!(!suits(&[("content-type", "text/html")], 1023));
        assert!(!suits(&[("content-type", "image/png")], 9000) && !suits(&[], 9000));
        assert!(!suits(&[("content-type", "text/html"), ("content-encoding", "gzip")], 9000));
    }

    #[test]
    fn a_text_comes_back_and_noise_is_left_alone() {
        let text = Bytes::from("{\"issue\":7}".repeat(2_000));
        let packed = packing().pack(&text).expect("it saves");
        assert!(packed.len() * 20 < text.len());
        assert_eq!(packing().unpack(&packed, text.len()), Some(text.clone()));
        assert_eq!(packing().unpack(&packed, text.len() - 1), None);
        let next = |state: &u64| Some((state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(7));
        let noise: Vec<u8> = std::iter::successors(Some(1_u64), next).map(|state| (state >> 40) as u8).take(4_000).collect();
        assert_eq!(packing().pack(&noise.into()), None);
    }
}
