//! Bodies that memory holds in fewer bytes than they have, and makes whole for each answer.
//!
//! A body that was made whole is shared by all who read it at the same time, and counted while anybody does: so many slow clients hold no more
//! copies than there are bodies, and what they hold is told to whoever divides the memory.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use larder_semantics::StoredHead;

use super::body::StoredBody;
use super::response::StoredResponse;
use crate::weight::{allocated, shared};

/// Makes bodies shorter, and whole again.
pub trait BodyCodec: Debug + Send + Sync {
    /// Whether a body with this head and of this length in bytes may be worth it.
    fn suits(&self, head: &StoredHead, length: u64) -> bool;

    /// The body in fewer bytes; `None` where that saves too little.
    fn pack(&self, body: &Bytes) -> Option<Bytes>;

    /// The body of exactly `length` bytes; `None` where these bytes are not one.
    fn unpack(&self, packed: &Bytes, length: usize) -> Option<Bytes>;
}

/// A codec, and figures about its use. Clones share them.
#[derive(Clone, Debug)]
pub struct BodyPacking(Arc<Packing>);

#[derive(Debug)]
struct Packing {
    codec: Box<dyn BodyCodec>,
    bodies: AtomicU64,
    saved: AtomicU64,
    whole: AtomicU64,
}

/// Figures about packed bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackingStats {
    /// Bodies that were packed, since the start.
    pub bodies: u64,
    /// Bytes that this has saved, since the start.
    pub saved_bytes: u64,
    /// Bytes of bodies that are whole now because somebody reads them.
    pub whole_bytes: u64,
}

impl BodyPacking {
    /// With this codec.
    pub fn new(codec: impl BodyCodec + 'static) -> Self {
        Self(Arc::new(Packing { codec: Box::new(codec), bodies: AtomicU64::new(0), saved: AtomicU64::new(0), whole: AtomicU64::new(0) }))
    }

    /// Figures.
    pub fn stats(&self) -> PackingStats {
        let figure = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        PackingStats { bodies: figure(&self.0.bodies), saved_bytes: figure(&self.0.saved), whole_bytes: figure(&self.0.whole) }
    }

    /// Whether to pack this one: it is not packed yet, of one segment, since it is made whole at once for each answer, and nothing but its bytes.
    pub fn wants(&self, response: &StoredResponse) -> bool {
        !response.is_packed() && response.has_one_plain_segment() && self.0.codec.suits(&response.head, response.body_length())
    }

    /// Packs the body of a response that [`Self::wants`] says yes to; `None` where that saves too little.
    pub fn pack(&self, response: &StoredResponse) -> Option<PackedBody> {
        let body = response.body();
        let [segment] = body.segments() else { return None };
        let packed = self.0.codec.pack(segment)?;
        let body = PackedBody { bytes: packed, length: segment.len(), packing: self.clone(), whole: Mutex::default() };
        let saved = shared(segment.len()).checked_sub(body.weight()).filter(|saved| *saved > 0)?;
        // What cannot be made whole again is never served, so it is not kept.
        self.0.codec.unpack(&body.bytes, body.length).filter(|whole| whole == segment)?;
        self.0.bodies.fetch_add(1, Ordering::Relaxed);
        self.0.saved.fetch_add(saved as u64, Ordering::Relaxed);
        Some(body)
    }
}

/// A body in fewer bytes.
#[derive(Debug)]
pub struct PackedBody {
    bytes: Bytes,
    length: usize,
    packing: BodyPacking,
    /// The whole body, for as long as anybody reads it.
    whole: Mutex<Weak<Whole>>,
}

/// Counted for as long as it lives.
#[derive(Debug)]
struct Whole {
    bytes: Bytes,
    packing: BodyPacking,
}

impl Drop for Whole {
    fn drop(&mut self) {
        self.packing.0.whole.fetch_sub(self.bytes.len() as u64, Ordering::Relaxed);
    }
}

/// One who reads it.
struct Reader(Arc<Whole>);

impl AsRef<[u8]> for Reader {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl PackedBody {
    /// Its length in bytes, whole.
    pub(super) fn len(&self) -> u64 {
        self.length as u64
    }

    /// The body. Those who ask at the same time wait for each other, since they get the same one.
    pub(super) fn body(&self) -> StoredBody {
        let mut last = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = last.upgrade().unwrap_or_else(|| {
            let bytes = self.packing.0.codec.unpack(&self.bytes, self.length);
            // Memory that forgets is no case to go on in: the connection ends, and nobody is given other bytes.
            let bytes = bytes.expect("it was made whole once, when it was packed");
            self.packing.0.whole.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let whole = Arc::new(Whole { bytes, packing: self.packing.clone() });
            *last = Arc::downgrade(&whole);
            whole
        });
        StoredBody::short(Bytes::from_owner(Reader(whole)))
    }

    /// Bytes of memory it holds, with what is shared of it.
    pub(super) fn weight(&self) -> usize {
        /// How many share it.
        const COUNTS: usize = 2 * size_of::<usize>();
        allocated(COUNTS + size_of::<Self>()) + shared(self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::fixtures::{Runs, response_with_body};
    use crate::ledger::Position;

    fn packed(body: &str) -> (BodyPacking, StoredResponse) {
        let packing = BodyPacking::new(Runs);
        let response = response_with_body("/a", body);
        assert!(packing.wants(&response));
        let packed = packing.pack(&response).expect("it saves");
        (packing, response.with_packed_body(packed))
    }

    #[test]
    fn a_packed_body_weighs_less_and_is_what_it_was() {
        let text = "x".repeat(100_000);
        let (packing, response) = packed(&text);
        let plain = response_with_body("/a", &text);
        assert!(response.weight() + 90_000 < plain.weight(), "{} of {}", response.weight(), plain.weight());
        assert_eq!((response.body_length(), response.body().segments().concat()), (100_000, text.into_bytes()));
        assert_eq!(response.key_bytes(), plain.key_bytes());
        let stats = packing.stats();
        assert_eq!((stats.bodies, stats.saved_bytes > 90_000, stats.whole_bytes), (1, true, 0));
    }

    #[test]
    fn all_who_read_it_at_the_same_time_share_one_copy_which_is_counted() {
        let (packing, response) = packed(&"y".repeat(50_000));
        let (one, other) = (response.body(), response.body());
        assert_eq!(one.segments()[0].as_ptr(), other.segments()[0].as_ptr());
        assert_eq!(packing.stats().whole_bytes, 50_000);
        drop(one);
        assert_eq!(packing.stats().whole_bytes, 50_000);
        drop(other);
        assert_eq!(packing.stats().whole_bytes, 0);
    }

    #[test]
    fn a_renewed_head_keeps_the_packed_body() {
        let (packing, response) = packed(&"z".repeat(9_000));
        response.mark_asked();
        let fresh = response.freshened(&response.head, Position::default(), response.fetch + 1);
        assert!(fresh.is_packed() && !packing.wants(&fresh));
        assert_eq!((fresh.body_length(), fresh.body_fetch()), (9_000, response.body_fetch()));
    }

    #[test]
    fn what_saves_too_little_or_has_more_than_its_bytes_stays_as_it_is() {
        let packing = BodyPacking::new(Runs);
        let varied: String = (0..4_000).map(|i| char::from(b'a' + (i % 23) as u8)).collect();
        assert!(packing.pack(&response_with_body("/a", &varied)).is_none());
        let long = "x".repeat(crate::SEGMENT + 1);
        assert!(!packing.wants(&response_with_body("/a", &long)), "of two segments");
        assert_eq!(packing.stats(), PackingStats::default());
    }
}
