//! Finding an entry. Nothing that is read is believed before its checksum, its segment's life and its key's hash were compared.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use larder_store::LogPosition;

use super::parts::Parts;
use super::slots::Pin;
use super::{Engine, count};
use crate::index::Location;
use crate::record::entry::{Body, Entry, PartPlace};
use crate::record::part::Table;
use crate::record::reader::take;
use crate::record::{HEADER, Header, Kind, UNIT};
use crate::volume::Access;

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its bytes are not what was written. It is forgotten.
    #[error("what is stored is damaged")]
    Damaged,
    /// No key opens it.
    #[error("no key opens what is stored")]
    Locked,
}

impl ReadError {
    /// With [`Access::Cached`]: the operating system does not have it in memory.
    pub(crate) fn would_block(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// An entry that was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// From before its fetch; `None` for selecting fields.
    pub(crate) position: Option<LogPosition>,
    pub(crate) frame: Bytes,
    pub(crate) body: FoundBody,
    location: Location,
    hash: u64,
}

/// The body of such an entry.
#[derive(Debug)]
pub(crate) enum FoundBody {
    Inline(Bytes),
    /// In a frame.
    Framed(Bytes),
    Parts(Arc<Parts>),
    Selecting,
}

/// The entry of a hash, where one is known. An error: there is one, and nobody knows of which fetch.
pub(super) type Known = Result<Option<(Header, Entry)>, ReadError>;

impl Engine {
    /// Whether there may be an entry of this hash.
    pub(crate) fn knows(&self, hash: u64) -> bool {
        self.index.get(hash).is_some()
    }

    /// The entry of this hash is not found any more, by this process.
    pub(crate) fn lose(&self, hash: u64) {
        self.supersede(hash);
        self.index.remove(hash);
    }

    /// The entry of a key's hash. Its key has not been compared.
    pub(crate) fn find(self: &Arc<Self>, hash: u64, now: u32, access: Access) -> Result<Option<Found>, ReadError> {
        let found = self.find_at(hash, now, access);
        if access == Access::Waiting || !found.as_ref().is_err_and(ReadError::would_block) {
            self.index.use_of(hash);
        }
        found
    }

    fn find_at(self: &Arc<Self>, hash: u64, now: u32, access: Access) -> Result<Option<Found>, ReadError> {
        let Some(location) = self.index.get(hash) else { return Ok(None) };
        let Some((_pin, life)) = self.pin(location.slot()) else {
            self.index.remove_at(hash, location);
            return Ok(None);
        };
        let read = self.read_entry(location, life, access).map_err(|error| self.failed(hash, Some(location), error));
        let Some((header, entry)) = read? else { return Ok(None) };
        if header.hash != hash {
            return Ok(None);
        }
        let is_forgotten = entry.position.is_some_and(|position| self.forgotten.cover(position));
        let body = match entry.body {
            _ if header.expires <= now || is_forgotten => None,
            Body::Inline(body) => Some(FoundBody::Inline(body)),
            Body::Framed(body) => Some(FoundBody::Framed(body)),
            Body::Selecting => Some(FoundBody::Selecting),
            Body::Parts(parts) => {
                self.pin_all(&parts).map(|pins| FoundBody::Parts(Arc::new(Parts::new(self, hash, location, parts, pins))))
            }
        };
        let Some(body) = body else {
            self.index.remove_at(hash, location);
            return Ok(None);
        };
        Ok(Some(Found { position: entry.position, frame: entry.frame, body, location, hash }))
    }

    /// What was found does not decode, although it is as it was written.
    pub(crate) fn unreadable(&self, found: &Found) {
        let _ = self.failed(found.hash, Some(found.location), ReadError::Damaged);
    }

    /// Nothing that was found is of use any more.
    pub(crate) fn outdated(&self, found: &Found) {
        self.index.remove_at(found.hash, found.location);
    }

    /// Counts and forgets what is damaged. An error of the disk says nothing about the entry.
    pub(super) fn failed(&self, hash: u64, location: Option<Location>, error: ReadError) -> ReadError {
        if matches!(error, ReadError::Damaged) {
            count(&self.counters.damaged, 1);
            location.into_iter().for_each(|location| self.index.remove_at(hash, location));
        }
        error
    }

    /// The known entry of this hash and no other, for a writer.
    pub(super) fn known(&self, hash: u64) -> Known {
        let Some(location) = self.index.get(hash) else { return Ok(None) };
        let Some((_pin, life)) = self.pin(location.slot()) else { return Ok(None) };
        let read = self.read_entry(location, life, Access::Waiting)?;
        Ok(read.filter(|(header, _)| header.hash == hash))
    }

    /// `None`: the segment was written anew since the place was known.
    pub(super) fn read_entry(&self, location: Location, life: u64, access: Access) -> Result<Option<(Header, Entry)>, ReadError> {
        let length = location.units() as usize * UNIT as usize;
        let mut bytes = self.read_at((location.slot(), u64::from(location.unit()) * UNIT), length, access)?;
        let header = Header::decode(&bytes).ok_or(ReadError::Damaged)?;
        if header.life != life {
            return Ok(None);
        }
        let payload = take(&mut bytes.split_off(HEADER), header.length as usize).ok_or(ReadError::Damaged)?;
        if header.kind != Kind::Entry || crc32fast::hash(&payload) != header.sum {
            return Err(ReadError::Damaged);
        }
        Entry::decode(payload).map(|entry| Some((header, entry))).ok_or(ReadError::Damaged)
    }

    /// `None`: a part went with its segment.
    fn pin_all(&self, parts: &[PartPlace]) -> Option<Vec<(u32, Pin)>> {
        let mut pins: Vec<(u32, Pin)> = Vec::new();
        for part in parts {
            let is_pinned = pins.iter().any(|(slot, _)| *slot == part.slot);
            if is_pinned && self.slots.life(part.slot) == Some(part.life) {
                continue;
            }
            let (pin, life) = self.pin(part.slot)?;
            if life != part.life {
                return None;
            }
            pins.push((part.slot, pin));
        }
        Some(pins)
    }

    /// The parts of an entry's body, if this fetch brought it, they are of this form, and all are still there.
    pub(super) fn parts_of(&self, hash: u64, entry: Entry, fetch: u64, is_framed: bool) -> Option<Vec<PartPlace>> {
        let Body::Parts(parts) = entry.body else { return None };
        let _pins = self.pin_all(&parts)?;
        let (header, _) = self.part_table(parts.first()?, Access::Waiting).ok()?;
        let is_it = header.hash == hash && header.fetch == fetch && parts.iter().all(|part| part.is_framed() == is_framed);
        is_it.then_some(parts)
    }

    /// The header of a part, and its table.
    pub(super) fn part_table(&self, part: &PartPlace, access: Access) -> Result<(Header, Table), ReadError> {
        let length = HEADER + part.table_length().ok_or(ReadError::Damaged)?;
        let bytes = self.read_at((part.slot, u64::from(part.unit) * UNIT), length, access)?;
        let header = Header::decode(&bytes).ok_or(ReadError::Damaged)?;
        let table = &bytes[HEADER..];
        let is_it = header.kind == Kind::of_part(part.is_framed()) && header.life == part.life && header.length == part.length;
        if !is_it || crc32fast::hash(table) != header.sum {
            return Err(ReadError::Damaged);
        }
        Ok((header, Table::decode(table, part.is_framed()).ok_or(ReadError::Damaged)?))
    }

    /// So many bytes of a segment that is pinned.
    pub(super) fn read_at(&self, (slot, offset): (u32, u64), length: usize, access: Access) -> io::Result<Bytes> {
        let mut buffer = self.buffers.take(length);
        match access {
            Access::Waiting => self.volume.read(slot, offset, &mut buffer)?,
            Access::Cached => self.volume.read_cached(slot, offset, &mut buffer)?,
        }
        Ok(buffer.freeze())
    }
}
