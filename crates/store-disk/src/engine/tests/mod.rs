mod corruption;
mod crashes;
mod ratio;
mod restarts;
mod ring;
mod spooled;

use std::sync::Arc;

use bytes::Bytes;
use larder_store::{Epoch, LogPosition, SEGMENT};

use super::read::{FoundBody, ReadError};
use super::{Content, Engine, NewBody, NewEntry, Parts, Shape, Written};
use crate::volume::{Access, Faulty};

const NOW: u32 = 1_000;
const LATER: u32 = 2_000;

/// Bytes on disk of what [`Store::put`] writes.
const RECORD: usize = 192;

/// A store over files in memory.
struct Store {
    volume: Arc<Faulty>,
    engine: Arc<Engine>,
    shape: Shape,
}

impl Store {
    fn new(segment_size: u64, segments: u32) -> Self {
        Self::over(Faulty::new(segment_size), Shape { segment_size, segments })
    }

    /// The store as a later process opens it.
    fn over(volume: Faulty, shape: Shape) -> Self {
        let volume = Arc::new(volume);
        let engine = Engine::open(Arc::clone(&volume) as _, shape, NOW).expect("it can be opened");
        engine.restore(NOW);
        Self { volume, engine, shape }
    }

    /// The process ends without a word, and another one begins.
    fn restarted(&self) -> Self {
        Self::over(self.volume.after_crash(), self.shape)
    }

    fn put(&self, key: u64, version: u64) -> Written {
        self.engine.commit(entry(key, version, body(key, version, 100)), NOW).expect("written")
    }

    fn put_long(&self, key: u64, version: u64, length: usize) {
        self.engine.commit(entry(key, version, body(key, version, length)), NOW).expect("written");
    }

    /// The version that is stored.
    fn get(&self, key: u64) -> Option<u64> {
        self.try_get(key).expect("it can be read")
    }

    /// The version that is stored, if all of it is as it was written.
    fn try_get(&self, key: u64) -> Result<Option<u64>, ReadError> {
        let Some(found) = self.engine.find(hash(key), NOW, Access::Waiting)? else { return Ok(None) };
        let version = u64::from_le_bytes(found.frame[8..16].try_into().unwrap());
        assert_eq!(found.frame[..8], key.to_le_bytes(), "the entry of another key");
        let segments = match found.body {
            FoundBody::Inline(body) => Vec::from([body]),
            FoundBody::Parts(parts) => chunks(&parts).collect::<Result<_, _>>()?,
            FoundBody::Framed(body) => Vec::from([body]),
            FoundBody::Selecting => panic!("there are none"),
        };
        let length = segments.iter().map(Bytes::len).sum();
        assert_eq!(segments.concat(), body(key, version, length).concat());
        Ok(Some(version))
    }
}

/// The chunks of a long body.
fn chunks(parts: &Parts) -> impl Iterator<Item = Result<Bytes, ReadError>> {
    (0..).map_while(|number| parts.chunk(number, Access::Waiting).transpose())
}

/// Spread as the hash of a key's text is.
fn hash(key: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&key.to_le_bytes())
}

fn body(key: u64, version: u64, length: usize) -> Vec<Bytes> {
    let bytes: Vec<u8> =
        (0..length).map(|at| (at as u64 ^ key.wrapping_mul(31) ^ version.wrapping_mul(17) ^ (at as u64 >> 8)) as u8).collect();
    Bytes::from(bytes).chunks(SEGMENT).map(Bytes::copy_from_slice).collect()
}

/// Every other key has frames of any length instead of segments.
fn content(key: u64, segments: Vec<Bytes>) -> Content {
    if key % 2 == 1 {
        return Content::Plain(segments);
    }
    Content::Framed(Box::new(move || match &segments[..] {
        [one] => Ok(vec![one.clone()]),
        segments => {
            Ok(segments.iter().flat_map(|segment| [segment.slice(..segment.len() / 3), segment.slice(segment.len() / 3..)]).collect())
        }
    }))
}

fn at(number: u64) -> LogPosition {
    LogPosition { epoch: Epoch::of("one"), number }
}

fn entry(key: u64, version: u64, segments: Vec<Bytes>) -> NewEntry {
    let frame = [key.to_le_bytes(), version.to_le_bytes()].concat().into();
    let body = NewBody::Whole { content: content(key, segments), fetch: version };
    NewEntry { hash: hash(key), fetch: version, expires: LATER, position: Some(at(version)), frame, body }
}
