//! Appending. A record is written in one call, and is known to readers after it.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use larder_store::LogPosition;

use super::parts::Parts;
use super::read::{Known, ReadError};
use super::{Engine, count};
use crate::index::Location;
use crate::record::entry::{Body, Entry, PartPlace};
use crate::record::footer::{self, Item};
use crate::record::part::{MAX_CHUNKS, Table};
use crate::record::segment::SegmentHeader;
use crate::record::{HEADER, Header, Kind, UNIT, units};

/// The end of the ring where records are added.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) run: u32,
    pub(super) active: Option<Active>,
    /// The oldest first.
    pub(super) sealed: VecDeque<Sealed>,
    /// Segments without a life. The last one is used next.
    pub(super) free: Vec<u32>,
    /// Reclaimed, and still read.
    pub(super) retired: Vec<u32>,
    pub(super) next_sequence: u64,
}

/// A segment that is not written any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed {
    pub(super) slot: u32,
    pub(super) sequence: u64,
}

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) slot: u32,
    pub(super) sequence: u64,
    pub(super) life: u64,
    /// Where the next record begins.
    pub(super) unit: u32,
    pub(super) items: Vec<Item>,
}

/// A record to be written.
pub(super) struct NewRecord<'a> {
    pub(super) kind: Kind,
    pub(super) expires: u32,
    pub(super) hash: u64,
    pub(super) fetch: u64,
    pub(super) payload: &'a [&'a [u8]],
    /// How many of the payload's pieces the header proves.
    pub(super) proven: usize,
}

/// An entry to be written.
#[derive(Debug)]
pub(crate) struct NewEntry {
    pub(crate) hash: u64,
    pub(crate) fetch: u64,
    pub(crate) expires: u32,
    pub(crate) position: Option<LogPosition>,
    pub(crate) frame: Bytes,
    pub(crate) body: NewBody,
}

/// The body of such an entry.
#[derive(Debug)]
pub(crate) enum NewBody {
    /// The content, brought by this fetch.
    Whole { content: Content, fetch: u64 },
    /// As [`Self::Whole`], and not written again where it is there already.
    Known { content: Content, fetch: u64 },
    /// It was written while it arrived.
    Spooled(Arc<Parts>),
    /// There is none: the frame is one of selecting fields.
    Selecting,
}

/// The bytes of a body, in its order.
pub(crate) enum Content {
    /// Its segments.
    Plain(Vec<Bytes>),
    /// A frame for each of them, made when it is to be written.
    Framed(Box<dyn FnOnce() -> io::Result<Vec<Bytes>> + Send>),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_framed() { "Framed" } else { "Plain" })
    }
}

impl Content {
    fn is_framed(&self) -> bool {
        matches!(self, Self::Framed(_))
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is stored.
    Stored,
    /// A later fetch is stored already, or the same selecting fields are, or its body was removed while it arrived.
    Known,
}

impl Writer {
    pub(super) fn last_sequence(&self) -> u64 {
        self.next_sequence - 1
    }
}

impl Engine {
    /// Stores an entry, unless a later fetch is stored.
    pub(crate) fn commit(&self, new: NewEntry, now: u32) -> io::Result<Written> {
        let place = self.index.get(new.hash);
        let known = self.known_or_io(new.hash)?;
        if known.as_ref().is_some_and(|(header, _)| header.fetch > new.fetch) {
            return Ok(Written::Known);
        }
        let is_spooled = matches!(new.body, NewBody::Spooled(_));
        let body = match new.body {
            NewBody::Selecting => {
                let is_same = known.is_some_and(|(header, entry)| {
                    // It has to last for as long as the variant that it leads to.
                    entry.body == Body::Selecting && entry.frame == new.frame && header.expires >= new.expires
                });
                if is_same {
                    return Ok(Written::Known);
                }
                Body::Selecting
            }
            NewBody::Known { content, fetch } => {
                match known.and_then(|(_, entry)| self.parts_of(new.hash, entry, fetch, content.is_framed())) {
                    Some(parts) => Body::Parts(parts),
                    None => self.write_body(content, new.hash, fetch, now)?,
                }
            }
            NewBody::Spooled(parts) => Body::Parts(parts.places()),
            NewBody::Whole { content, fetch } => self.write_body(content, new.hash, fetch, now)?,
        };
        let payload = Entry { position: new.position, frame: new.frame, body }.encode();
        let (hash, fetch, expires) = (new.hash, new.fetch, new.expires);
        let record = NewRecord { kind: Kind::Entry, expires, hash, fetch, payload: &[&payload], proven: 1 };
        let mut writer = self.writer();
        // Another thread may have stored or removed something since.
        if is_spooled && self.spooling.is_removed(hash, fetch) || self.is_overtaken(hash, fetch, place)? {
            return Ok(Written::Known);
        }
        let location = self.append(&mut writer, &record, now)?;
        // Under the lock: an earlier entry that is still the known one could be written on behind this one, and hide it from the next process.
        self.index.insert(hash, location);
        drop(writer);
        Ok(Written::Stored)
    }

    /// What is known of this hash. One that is damaged is not.
    fn known_or_io(&self, hash: u64) -> io::Result<Option<(Header, Entry)>> {
        match self.known(hash) {
            Err(ReadError::Io(error)) => Err(error),
            known => Ok(known.ok().flatten()),
        }
    }

    /// Whether the entry of this hash is still known at this place, or not at all.
    fn is_still_at(&self, hash: u64, before: Option<Location>) -> bool {
        match (before, self.index.get(hash)) {
            (Some(before), Some(place)) => place.is_at(before),
            (_, place) => place.is_none(),
        }
    }

    /// Whether a later fetch is stored, where what was known before was at this place.
    fn is_overtaken(&self, hash: u64, fetch: u64, before: Option<Location>) -> io::Result<bool> {
        Ok(!self.is_still_at(hash, before) && self.known_or_io(hash)?.is_some_and(|(header, _)| header.fetch > fetch))
    }

    /// Nothing up to this fetch is stored from here on. With what is known of the hash: under the lock, so that the commit of a body that arrived is over,
    /// and its entry known, or it is still to come, and finds the removal.
    fn begin_removal(&self, hash: u64, fetch: u64) -> (MutexGuard<'_, Writer>, Known) {
        let (place, known) = (self.index.get(hash), self.known(hash));
        let writer = self.writer();
        self.spooling.remove(hash, fetch);
        let known = if self.is_still_at(hash, place) { known } else { self.known(hash) };
        (writer, known)
    }

    /// Drops an entry, unless a later fetch is stored.
    pub(crate) fn remove(&self, hash: u64, fetch: u64, now: u32) -> io::Result<()> {
        self.supersede(hash);
        let is_restored = self.is_restored();
        let (mut writer, known) = self.begin_removal(hash, fetch);
        match known {
            Ok(Some((header, _))) if header.fetch > fetch => Ok(()),
            // An entry that is not restored yet may be there.
            Ok(None) if is_restored => Ok(()),
            _ => self.write_removal(&mut writer, hash, fetch, now),
        }
    }

    /// As [`Self::remove`], of an entry that may be on the disk although it is not known any more.
    pub(crate) fn remove_unknown(&self, hash: u64, fetch: u64, now: u32) -> io::Result<()> {
        self.supersede(hash);
        let (mut writer, known) = self.begin_removal(hash, fetch);
        match known {
            Ok(Some((header, _))) if header.fetch > fetch => Ok(()),
            _ => self.write_removal(&mut writer, hash, fetch, now),
        }
    }

    /// Drops an entry that answers whatever the selecting fields are, unless a later fetch is stored. One that leads to variants stays.
    pub(crate) fn remove_unvaried(&self, hash: u64, fetch: u64, now: u32) -> io::Result<()> {
        let is_restored = self.is_restored();
        let (mut writer, known) = self.begin_removal(hash, fetch);
        match known {
            Ok(Some((header, entry))) if header.fetch > fetch || entry.body == Body::Selecting => Ok(()),
            Ok(None) if is_restored => Ok(()),
            _ => {
                self.supersede(hash);
                self.write_removal(&mut writer, hash, fetch, now)
            }
        }
    }

    fn write_removal(&self, writer: &mut Writer, hash: u64, fetch: u64, now: u32) -> io::Result<()> {
        self.index.remove(hash);
        let record = NewRecord { kind: Kind::Removal, expires: u32::MAX, hash, fetch, payload: &[], proven: 0 };
        self.append(writer, &record, now).map(drop)
    }

    /// A short body goes behind its head. The parts of a long one are written before it, so that the head is the commit of all.
    fn write_body(&self, content: Content, hash: u64, fetch: u64, now: u32) -> io::Result<Body> {
        let is_framed = content.is_framed();
        let segments = match content {
            Content::Plain(segments) => segments,
            Content::Framed(make) => make()?,
        };
        match &segments[..] {
            [] => return Ok(Body::Inline(Bytes::new())),
            [one] if is_framed => return Ok(Body::Framed(one.clone())),
            [one] => return Ok(Body::Inline(one.clone())),
            _ => {}
        }
        let mut parts = Vec::new();
        let mut writer = self.writer();
        let bytes: u64 = segments.iter().map(|segment| segment.len() as u64 + UNIT).sum();
        self.keep_together(&mut writer, bytes, now)?;
        for (number, chunks) in segments.chunks(MAX_CHUNKS).enumerate() {
            parts.push(self.write_part(&mut writer, (hash, fetch), (number as u32, chunks, is_framed), now)?);
        }
        Ok(Body::Parts(parts))
    }

    /// Writes the part of this number of a body: its chunks, behind their table.
    pub(super) fn write_part(
        &self,
        writer: &mut Writer,
        (hash, fetch): (u64, u64),
        (number, chunks, is_framed): (u32, &[Bytes], bool),
        now: u32,
    ) -> io::Result<PartPlace> {
        let table = Table::of(number, chunks, is_framed).encode();
        let payload: Vec<&[u8]> = std::iter::once(&table[..]).chain(chunks.iter().map(|chunk| &chunk[..])).collect();
        let length = payload.iter().map(|piece| piece.len()).sum::<usize>() as u32;
        let record = NewRecord { kind: Kind::of_part(is_framed), expires: u32::MAX, hash, fetch, payload: &payload, proven: 1 };
        let location = self.append(writer, &record, now)?;
        let life = writer.active.as_ref().map_or(0, |active| active.life);
        let frames = if is_framed { chunks.len() as u32 } else { 0 };
        Ok(PartPlace { slot: location.slot(), unit: location.unit(), life, length, frames })
    }

    /// A body in one segment is lost once and not by halves, where it is not so long that much space would be lost instead.
    fn keep_together(&self, writer: &mut Writer, bytes: u64, now: u32) -> io::Result<()> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        if bytes <= self.shape.segment_size / 8 && !self.has_room(writer, units) {
            self.advance(writer, now)?;
        }
        Ok(())
    }

    /// Writes a record at the end of the active segment, or at the beginning of the next one.
    pub(super) fn append(&self, writer: &mut Writer, record: &NewRecord<'_>, now: u32) -> io::Result<Location> {
        let length: usize = record.payload.iter().map(|piece| piece.len()).sum();
        let units = units(length as u64);
        if u64::from(units) * UNIT + UNIT + footer::length(1) > self.shape.segment_size {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if !self.has_room(writer, units) {
            self.advance(writer, now)?;
        }
        // Entries of the oldest segment were written on before it. Only very small segments are too full then.
        if !self.has_room(writer, units) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.write_here(writer, record, units)
    }

    /// Whether the active segment takes so many units, and its footer behind them.
    pub(super) fn has_room(&self, writer: &Writer, units: u32) -> bool {
        writer.active.as_ref().is_some_and(|active| {
            let end = (u64::from(active.unit) + u64::from(units)) * UNIT;
            end + footer::length(active.items.len() + 1) <= self.shape.segment_size
        })
    }

    /// Writes a record into the active segment, which has room for it.
    pub(super) fn write_here(&self, writer: &mut Writer, record: &NewRecord<'_>, units: u32) -> io::Result<Location> {
        let run = writer.run;
        let Some(active) = &mut writer.active else { return Err(io::ErrorKind::NotFound.into()) };
        let NewRecord { kind, expires, hash, fetch, payload, proven } = *record;
        let mut sum = crc32fast::Hasher::new();
        payload[..proven].iter().for_each(|piece| sum.update(piece));
        let length = payload.iter().map(|piece| piece.len()).sum::<usize>();
        let header = Header { kind, run, expires, life: active.life, hash, fetch, length: length as u32, sum: sum.finalize() };
        let mut bytes = Vec::with_capacity(HEADER + length);
        bytes.extend_from_slice(&header.encode());
        payload.iter().for_each(|piece| bytes.extend_from_slice(piece));
        // A failure leaves the end where it was: the next record is written over it.
        self.volume.write(active.slot, u64::from(active.unit) * UNIT, &bytes)?;
        count(&self.counters.written_bytes, bytes.len() as u64);
        let location = Location::new(active.slot, active.unit, units);
        if !kind.is_part() {
            active.items.push(Item { hash, unit: active.unit, units, expires, kind });
        }
        active.unit += units;
        Ok(location)
    }

    /// Seals the active segment, begins the next one, and makes sure that there is one after it.
    pub(super) fn advance(&self, writer: &mut Writer, now: u32) -> io::Result<()> {
        self.seal(writer);
        let slot = self.next_slot(writer)?;
        let header = SegmentHeader { life: RandomState::new().hash_one(writer.next_sequence).max(1), sequence: writer.next_sequence };
        if let Err(error) = self.volume.write(slot, 0, &header.encode()) {
            writer.free.push(slot);
            return Err(error);
        }
        writer.next_sequence += 1;
        self.slots.begin(slot, header.life);
        writer.active = Some(Active { slot, sequence: header.sequence, life: header.life, unit: 1, items: Vec::new() });
        if writer.free.is_empty() {
            self.reclaim_oldest(writer, now);
        }
        self.note_wear();
        Ok(())
    }

    /// Writes the footer. Without it a restart reads the segment's records, so a failure costs time and nothing else.
    pub(super) fn seal(&self, writer: &mut Writer) {
        let Some(active) = writer.active.take() else { return };
        let footer = footer::encode(active.life, &active.items);
        if self.volume.write(active.slot, self.shape.segment_size - footer.len() as u64, &footer).is_ok() {
            count(&self.counters.written_bytes, footer.len() as u64);
        }
        writer.sealed.push_back(Sealed { slot: active.slot, sequence: active.sequence });
    }
}
