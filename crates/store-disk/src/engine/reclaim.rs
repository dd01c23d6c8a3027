//! Making room. The oldest segment goes as a whole; its entries that were used since they were written are written on.

use std::io;

use bytes::Bytes;

use super::write::{NewRecord, Sealed, Writer};
use super::{Engine, count};
use crate::index::Location;
use crate::record::entry::{Body, Entry, PartPlace};
use crate::record::footer::Item;
use crate::record::reader::take;
use crate::record::{HEADER, Header, Kind, UNIT, units};

/// The part of a segment that may be written on: with more, reclaiming would hardly make room.
const HOT_SHARE: u64 = 4;

impl Engine {
    /// A segment to be written, which exists.
    pub(super) fn next_slot(&self, writer: &mut Writer) -> io::Result<u32> {
        let (read, unread) = std::mem::take(&mut writer.retired).into_iter().partition(|slot| self.slots.is_pinned(*slot));
        writer.retired = read;
        writer.free.extend::<Vec<u32>>(unread);
        let mut refused = io::ErrorKind::ResourceBusy.into();
        if let Some(slot) = writer.free.pop() {
            match self.volume.create(slot) {
                Ok(()) => return Ok(slot),
                Err(error) => refused = error,
            }
            writer.free.insert(0, slot);
        }
        // The disk has no room for another one, or all are read: those that there are have to do. They go in their order, since each hides something in
        // those before it; where all of them are read, none goes for nothing.
        if writer.sealed.iter().all(|sealed| self.slots.is_pinned(sealed.slot)) {
            return Err(refused);
        }
        while let Some(Sealed { slot: oldest, .. }) = writer.sealed.pop_front() {
            self.drop_segment(writer, oldest, |_, _| ());
            if writer.free.last() == Some(&oldest) {
                writer.free.pop();
                return Ok(oldest);
            }
        }
        Err(refused)
    }

    /// Frees the oldest segment, or at least begins no further reader in it.
    pub(super) fn reclaim_oldest(&self, writer: &mut Writer, now: u32) {
        let Some(Sealed { slot: oldest, sequence }) = writer.sealed.pop_front() else { return };
        // In a segment behind the mark it would not be forgotten any more.
        let is_forgotten = sequence <= self.marks().sequence;
        let mut budget = if is_forgotten { 0 } else { self.shape.segment_size / HOT_SHARE };
        self.drop_segment(writer, oldest, |writer, item| {
            let size = u64::from(item.units) * UNIT;
            let is_hot = self.index.get(item.hash).is_some_and(Location::is_hot);
            if is_hot && item.expires > now && size <= budget {
                budget -= size;
                let moved = self.move_on(writer, oldest, item, &mut budget);
                count(&self.counters.moved_bytes, moved);
            }
        });
    }

    /// All segments were removed. Those that somebody reads keep their space until that has ended.
    pub(super) fn abandon(&self, writer: &mut Writer) {
        let active = writer.active.take().map(|active| active.slot);
        for slot in std::mem::take(&mut writer.sealed).into_iter().map(|sealed| sealed.slot).chain(active) {
            self.slots.retire(slot);
            if self.slots.is_pinned(slot) { writer.retired.push(slot) } else { writer.free.push(slot) }
        }
        writer.free.iter().for_each(|slot| self.volume.release(*slot));
    }

    /// Gives each entry that is still the known one to `each`, and forgets those that are not somewhere else afterwards.
    fn drop_segment(&self, writer: &mut Writer, slot: u32, mut each: impl FnMut(&mut Writer, &Item)) {
        let life = self.slots.retire(slot);
        // Where the items cannot be read, their places lead into a segment without a life, and are forgotten one by one.
        for item in self.items_of(slot, life).unwrap_or_default() {
            let location = Location::new(slot, item.unit, item.units);
            if item.kind == Kind::Entry && self.index.get(item.hash).is_some_and(|known| known.is_at(location)) {
                each(writer, &item);
                if self.index.get(item.hash).is_some_and(|known| known.is_at(location)) {
                    self.index.remove_at(item.hash, location);
                    count(&self.counters.evicted, 1);
                }
            }
        }
        // What was removed or replaced is dropped without a trace from here on, so nothing may be restored from this segment.
        let _ = self.volume.write(slot, 0, &[0; UNIT as usize]);
        if self.slots.is_pinned(slot) { writer.retired.push(slot) } else { writer.free.push(slot) }
    }

    /// Writes an entry into the active segment, with the parts of its body: bytes that were written.
    fn move_on(&self, writer: &mut Writer, slot: u32, item: &Item, budget: &mut u64) -> u64 {
        let Some((header, payload)) = self.raw(slot, item.unit, item.units) else { return 0 };
        let Some(entry) = Entry::decode(payload.clone()).filter(|_| header.hash == item.hash) else { return 0 };
        let payload = match &entry.body {
            Body::Parts(parts) => match self.move_parts(writer, &header, parts, budget) {
                Some(parts) => Entry { body: Body::Parts(parts), ..entry }.encode().into(),
                None => return 0,
            },
            Body::Inline(_) | Body::Framed(_) | Body::Selecting => payload,
        };
        match self.write_if_room(writer, &header, &[&payload], 1) {
            Some(location) => {
                self.index.insert(header.hash, location);
                u64::from(location.units()) * UNIT
            }
            None => 0,
        }
    }

    /// `None`: there is no room for all of them, or one is gone.
    fn move_parts(&self, writer: &mut Writer, entry: &Header, parts: &[PartPlace], budget: &mut u64) -> Option<Vec<PartPlace>> {
        let bytes: u64 = parts.iter().map(|part| u64::from(part.length)).sum();
        *budget = budget.checked_sub(bytes)?;
        let moved = parts.iter().map(|part| {
            let units = units(u64::from(part.length));
            let (header, payload) = self.raw(part.slot, part.unit, units)?;
            let table = payload.get(..part.table_length()?)?;
            if header.life != part.life || header.hash != entry.hash || crc32fast::hash(table) != header.sum {
                return None;
            }
            // Each chunk is proven by its table when it is read.
            let location = self.write_if_room(writer, &header, &[table, &payload[table.len()..]], 1)?;
            count(&self.counters.moved_bytes, u64::from(part.length));
            let life = writer.active.as_ref()?.life;
            Some(PartPlace { slot: location.slot(), unit: location.unit(), life, ..*part })
        });
        moved.collect()
    }

    fn write_if_room(&self, writer: &mut Writer, header: &Header, payload: &[&[u8]], proven: usize) -> Option<Location> {
        let units = header_units(payload);
        let Header { kind, expires, hash, fetch, .. } = *header;
        let record = NewRecord { kind, expires, hash, fetch, payload, proven };
        if self.has_room(writer, units) { self.write_here(writer, &record, units).ok() } else { None }
    }

    /// A record as it is stored, whatever life its segment has now. An entry's payload has been proven.
    fn raw(&self, slot: u32, unit: u32, units: u32) -> Option<(Header, Bytes)> {
        let mut bytes = vec![0; units as usize * UNIT as usize];
        self.volume.read(slot, u64::from(unit) * UNIT, &mut bytes).ok()?;
        let header = Header::decode(&bytes)?;
        let payload = take(&mut Bytes::from(bytes).split_off(HEADER), header.length as usize)?;
        (header.kind != Kind::Entry || crc32fast::hash(&payload) == header.sum).then_some((header, payload))
    }
}

fn header_units(payload: &[&[u8]]) -> u32 {
    units(payload.iter().map(|piece| piece.len() as u64).sum())
}
