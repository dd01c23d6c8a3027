//! Reading a long body, chunk by chunk. Its segments are not written anew meanwhile.

use std::sync::Arc;

use bytes::Bytes;

use super::slots::Pin;
use super::{Engine, ReadError};
use crate::index::Location;
use crate::record::entry::PartPlace;
use crate::record::part::Table;
use crate::record::{HEADER, UNIT};

/// A long body that is being read.
#[derive(Debug)]
pub(crate) struct PartsReader {
    engine: Arc<Engine>,
    hash: u64,
    location: Location,
    parts: Vec<PartPlace>,
    _pins: Vec<Pin>,
    /// The part that is read, its table once that is known, and the next of its chunks.
    part: usize,
    table: Option<Table>,
    chunk: usize,
    /// The fetch that brought the body, once the first part has said it.
    fetch: Option<u64>,
}

impl PartsReader {
    pub(super) fn new(engine: &Arc<Engine>, hash: u64, location: Location, parts: Vec<PartPlace>, pins: Vec<Pin>) -> Self {
        let engine = Arc::clone(engine);
        Self { engine, hash, location, parts, _pins: pins, part: 0, table: None, chunk: 0, fetch: None }
    }

    /// The next chunk, proven; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        let Some(part) = self.parts.get(self.part).copied() else { return Ok(None) };
        let result = self.read(&part);
        result.map(Some).map_err(|error| self.engine.failed(self.hash, self.location, error))
    }

    /// Whether its chunks are framed.
    pub(crate) fn is_framed(&self) -> bool {
        self.parts.iter().any(PartPlace::is_framed)
    }

    /// What was read does not decode, although it is as it was written.
    pub(crate) fn unreadable(&self) {
        let _ = self.engine.failed(self.hash, self.location, ReadError::Damaged);
    }

    fn read(&mut self, part: &PartPlace) -> Result<Bytes, ReadError> {
        let table = match self.table.take() {
            Some(table) => table,
            None => self.open(part)?,
        };
        let (count, chunk) = (table.chunks.len(), self.chunk);
        let range = table.range(chunk, part.length).ok_or(ReadError::Damaged)?;
        let mut bytes = vec![0; range.len()];
        let offset = u64::from(part.unit) * UNIT + (HEADER + range.start) as u64;
        self.engine.read_at(part.slot, offset, &mut bytes)?;
        if table.chunks[chunk].sum != crc32fast::hash(&bytes) {
            return Err(ReadError::Damaged);
        }
        self.chunk += 1;
        if self.chunk == count {
            (self.part, self.chunk) = (self.part + 1, 0);
        } else {
            self.table = Some(table);
        }
        Ok(bytes.into())
    }

    /// Every part is of the same body, and is the one that stands at this place in it.
    fn open(&mut self, part: &PartPlace) -> Result<Table, ReadError> {
        let (header, table) = self.engine.part_table(part)?;
        let fetch = *self.fetch.get_or_insert(header.fetch);
        if header.hash != self.hash || header.fetch != fetch || table.number as usize != self.part || table.chunks.is_empty() {
            return Err(ReadError::Damaged);
        }
        Ok(table)
    }
}
