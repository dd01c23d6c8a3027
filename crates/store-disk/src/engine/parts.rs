//! A long body in the ring, read chunk by chunk at any place. Its segments are not written anew as long as somebody has it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use bytes::Bytes;

use super::slots::Pin;
use super::{Engine, ReadError};
use crate::index::Location;
use crate::record::entry::PartPlace;
use crate::record::part::Table;
use crate::record::{HEADER, UNIT};
use crate::volume::Access;

/// A long body: one that is stored, or as much as is written of one.
#[derive(Debug)]
pub(crate) struct Parts {
    engine: Arc<Engine>,
    hash: u64,
    /// Where its entry is; `None` while there is none.
    location: Option<Location>,
    places: RwLock<Places>,
    /// The fetch that brought the body, once the first part has said it.
    fetch: OnceLock<u64>,
    /// The part that was read last, by its number.
    last: Mutex<Option<(usize, Table)>>,
}

/// Where its parts are, and what keeps them there.
#[derive(Debug, Default)]
struct Places {
    parts: Vec<PartPlace>,
    pins: Vec<(u32, Pin)>,
}

impl Parts {
    /// Of an entry.
    pub(super) fn new(engine: &Arc<Engine>, hash: u64, location: Location, parts: Vec<PartPlace>, pins: Vec<(u32, Pin)>) -> Self {
        Self { location: Some(location), places: RwLock::new(Places { parts, pins }), ..Self::arriving(engine, hash) }
    }

    /// Nothing is written of it yet.
    pub(super) fn arriving(engine: &Arc<Engine>, hash: u64) -> Self {
        let (location, places) = (None, RwLock::default());
        Self { engine: Arc::clone(engine), hash, location, places, fetch: OnceLock::new(), last: Mutex::new(None) }
    }

    /// One more part was written.
    pub(super) fn add(&self, part: PartPlace, pin: Pin) {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        places.parts.push(part);
        if places.pins.last().is_none_or(|(slot, _)| *slot != part.slot) {
            places.pins.push((part.slot, pin));
        }
    }

    /// Where its parts are.
    pub(super) fn places(&self) -> Vec<PartPlace> {
        self.places.read().unwrap_or_else(PoisonError::into_inner).parts.clone()
    }

    /// The chunk of this number, proven; `None` behind the last.
    pub(crate) fn chunk(&self, number: u32, access: Access) -> Result<Option<Bytes>, ReadError> {
        let Some((at, part, chunk)) = self.place_of(number as usize) else { return Ok(None) };
        let result = self.read(at, &part, chunk, access);
        result.map(Some).map_err(|error| self.engine.failed(self.hash, self.location, error))
    }

    /// Whether its chunks are framed.
    pub(crate) fn is_framed(&self) -> bool {
        self.places.read().unwrap_or_else(PoisonError::into_inner).parts.iter().any(PartPlace::is_framed)
    }

    /// What was read does not decode, although it is as it was written.
    pub(crate) fn unreadable(&self) {
        let _ = self.engine.failed(self.hash, self.location, ReadError::Damaged);
    }

    /// The part that a chunk is in, with its number, and the chunk's number within it.
    fn place_of(&self, number: usize) -> Option<(usize, PartPlace, usize)> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let mut before = 0;
        for (at, part) in places.parts.iter().enumerate() {
            // A part without chunks is damaged, which its table tells.
            let chunks = part.chunks().unwrap_or(1).max(1);
            if number < before + chunks {
                return Some((at, *part, number - before));
            }
            before += chunks;
        }
        None
    }

    fn read(&self, at: usize, part: &PartPlace, chunk: usize, access: Access) -> Result<Bytes, ReadError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let table = match last.filter(|(number, _)| *number == at) {
            Some((_, table)) => table,
            None => self.open(at, part, access)?,
        };
        let bytes = self.read_chunk(&table, part, chunk, access);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, table));
        bytes
    }

    fn read_chunk(&self, table: &Table, part: &PartPlace, chunk: usize, access: Access) -> Result<Bytes, ReadError> {
        let range = table.range(chunk, part.length).ok_or(ReadError::Damaged)?;
        let offset = u64::from(part.unit) * UNIT + (HEADER + range.start) as u64;
        let bytes = self.engine.read_at((part.slot, offset), range.len(), access)?;
        if table.chunks[chunk].sum == crc32fast::hash(&bytes) { Ok(bytes) } else { Err(ReadError::Damaged) }
    }

    /// Every part is of the same body, and is the one that stands at this place in it.
    fn open(&self, at: usize, part: &PartPlace, access: Access) -> Result<Table, ReadError> {
        let (header, table) = self.engine.part_table(part, access)?;
        let fetch = *self.fetch.get_or_init(|| header.fetch);
        if header.hash != self.hash || header.fetch != fetch || table.number as usize != at || table.chunks.is_empty() {
            return Err(ReadError::Damaged);
        }
        Ok(table)
    }
}
