//! What an earlier process left: read headers and the end of the last segment, and then, beside requests, everything else.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use tracing::warn;

use super::marks::{self, Marks};
use super::read::ReadError;
use super::slots::Slots;
use super::spool::Spooling;
use super::superblock::{self, Superblock};
use super::wear::Wear;
use super::write::{Active, Sealed, Writer};
use super::{Counters, Engine, Shape};
use crate::index::{Index, Location};
use crate::record::footer::{ITEM, Item, Trailer};
use crate::record::segment::SegmentHeader;
use crate::record::{HEADER, Header, Kind, UNIT};
use crate::volume::{Access, Volume};

/// Bytes of records that are read at a time.
const WINDOW: usize = 1 << 20;

/// The records of a segment that was not sealed.
#[derive(Debug, Default)]
struct Scan {
    items: Vec<Item>,
    /// Where the next record would begin.
    end: u32,
}

impl Engine {
    /// Opens what is there, or begins anew where that was made with other sizes or cannot be read. Entries are known after [`Self::restore`].
    pub(crate) fn open(volume: Arc<dyn Volume>, shape: Shape, now: u32) -> io::Result<Arc<Self>> {
        let known = volume.get(superblock::FILE)?.and_then(|bytes| Superblock::decode(&bytes));
        let known = known.filter(|known| known.segment_size == shape.segment_size && known.run < u32::MAX);
        let marks = match volume.get(marks::FILE)? {
            Some(bytes) => Marks::decode(&bytes),
            None => Some(Marks::default()),
        };
        let (superblock, marks) = match (known, marks) {
            (Some(known), Some(marks)) => (Superblock { run: known.run + 1, ..known }, marks),
            _ => {
                volume.remove_segments()?;
                volume.put(marks::FILE, &Marks::default().encode())?;
                let seed = RandomState::new().hash_one("seed");
                (Superblock { segment_size: shape.segment_size, seed, run: 1 }, Marks::default())
            }
        };
        // Before anything is appended: what is left behind the end is of an earlier run.
        volume.put(superblock::FILE, &superblock.encode())?;
        let (slots, index) = (Arc::new(Slots::new(shape.segments)), Index::new());
        let writer = Writer {
            run: superblock.run,
            active: None,
            sealed: VecDeque::new(),
            free: Vec::new(),
            retired: Vec::new(),
            next_sequence: marks.sequence + 1,
        };
        let engine = Self {
            wear: Wear::read(&*volume, now),
            volume,
            shape,
            seed: superblock.seed,
            slots,
            buffers: Arc::default(),
            index,
            writer: Mutex::new(writer),
            forgotten: marks.clone(),
            marks: Mutex::new(marks),
            marks_are_due: AtomicBool::new(false),
            superseded: Mutex::new(Some(HashSet::new())),
            restored: AtomicBool::new(false),
            spooling: Spooling::default(),
            counters: Counters::default(),
        };
        let headers = match engine.headers()? {
            Some(headers) => headers,
            None => {
                warn!("a segment on disk cannot be read, and may say that others are out of date: nothing that is there is used");
                engine.volume.remove_segments()?;
                (0..shape.segments).for_each(|slot| engine.volume.release(slot));
                Vec::new()
            }
        };
        engine.adopt(headers);
        Ok(Arc::new(engine))
    }

    /// The headers of all segments that have a life. `None`: one cannot be read. When it was written is not known then, so any other segment may have what
    /// it replaces or removes. An error: the process lacks something for now, such as file descriptors.
    fn headers(&self) -> io::Result<Option<Vec<(u32, SegmentHeader)>>> {
        let mut headers = Vec::new();
        for slot in (0..self.shape.segments).filter(|slot| self.volume.exists(*slot)) {
            let mut bytes = [0; UNIT as usize];
            match self.volume.read(slot, 0, &mut bytes) {
                Ok(()) => {}
                Err(error) if is_lack(&error) => return Err(error),
                Err(_) => return Ok(None),
            }
            match SegmentHeader::decode(&bytes) {
                Some(header) => headers.push((slot, header)),
                // One that was given up, or never written.
                None if bytes.iter().all(|byte| *byte == 0) => {}
                None => return Ok(None),
            }
        }
        Ok(Some(headers))
    }

    /// Goes on at the end of the latest segment.
    fn adopt(&self, headers: Vec<(u32, SegmentHeader)>) {
        let mut writer = self.writer();
        let mut segments: Vec<_> = headers.into_iter().filter(|(_, header)| header.sequence > self.forgotten.sequence).collect();
        let is_free = |slot: &u32| segments.iter().all(|(used, _)| used != slot);
        writer.free = (0..self.shape.segments).rev().filter(is_free).collect();
        // Those that exist have their space already, so they are used first.
        writer.free.sort_by_key(|slot| (self.volume.exists(*slot), std::cmp::Reverse(*slot)));
        segments.sort_by_key(|(_, header)| header.sequence);
        for (slot, header) in &segments {
            self.slots.begin(*slot, header.life);
            writer.next_sequence = writer.next_sequence.max(header.sequence + 1);
        }
        // Where the end cannot be read, it is left as it is.
        let last = segments.last().filter(|(slot, header)| matches!(self.trailer(*slot, header.life), Ok(None)));
        if let Some(&(slot, header)) = last
            && let Ok(scan) = self.scan(slot, header.life)
        {
            segments.pop();
            let Scan { items, end } = self.without_torn(slot, header.life, scan);
            writer.active = Some(Active { slot, sequence: header.sequence, life: header.life, unit: end, items });
        }
        writer.sealed = segments.into_iter().map(|(slot, header)| Sealed { slot, sequence: header.sequence }).collect();
    }

    /// The last record may have been written by halves when the process was killed: then it is written over.
    fn without_torn(&self, slot: u32, life: u64, mut scan: Scan) -> Scan {
        let last = scan.items.last().copied().filter(|last| last.kind == Kind::Entry && last.unit + last.units == scan.end);
        if let Some(Item { unit, units, .. }) = last
            && matches!(self.read_entry(Location::new(slot, unit, units), life, Access::Waiting), Ok(None) | Err(ReadError::Damaged))
        {
            scan.items.pop();
            scan.end = unit;
        }
        scan
    }

    /// Fills the index, the latest segment first. Requests and writes go on meanwhile: what they store is later than all of it. Returns for how many
    /// seconds from now some of it can be of use.
    pub(crate) fn restore(&self, now: u32) -> u32 {
        let mut longest = 0;
        let (active, sealed) = {
            let writer = self.writer();
            let active = writer.active.as_ref().map(|active| (active.slot, active.life, active.items.clone()));
            (active, writer.sealed.iter().copied().rev().collect::<Vec<_>>())
        };
        if let Some((slot, life, items)) = active {
            longest = self.restore_segment(slot, life, &items, now);
        }
        for Sealed { slot, sequence } in sealed {
            let Some(life) = self.slots.life(slot) else { continue };
            let read = self.items_of(slot, life);
            if self.slots.life(slot) != Some(life) {
                continue;
            }
            let Ok(items) = read else {
                warn!("a segment on disk cannot be read, and may say that those before it are out of date: they are not used");
                self.forget_segments(sequence);
                break;
            };
            longest = longest.max(self.restore_segment(slot, life, &items, now));
        }
        *self.superseded.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.restored.store(true, Ordering::Release);
        longest
    }

    fn restore_segment(&self, slot: u32, life: u64, items: &[Item], now: u32) -> u32 {
        let mut longest = 0;
        let mut superseded = self.superseded.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(superseded) = superseded.as_mut() else { return 0 };
        for item in items.iter().rev() {
            if superseded.contains(&item.hash) {
                continue;
            }
            // One that has expired hides those before it, as a removal does.
            if item.kind != Kind::Entry || item.expires <= now {
                if self.index.get(item.hash).is_none() {
                    superseded.insert(item.hash);
                }
                continue;
            }
            if self.index.insert_if_absent(item.hash, Location::new(slot, item.unit, item.units)) {
                longest = longest.max(item.expires - now);
            }
        }
        // It was reclaimed meanwhile, perhaps before all of this was in the index.
        if self.slots.life(slot) != Some(life) {
            items.iter().for_each(|item| self.index.remove_at(item.hash, Location::new(slot, item.unit, item.units)));
        }
        longest
    }

    /// `None`: the segment was not sealed.
    fn trailer(&self, slot: u32, life: u64) -> io::Result<Option<Trailer>> {
        let mut bytes = [0; UNIT as usize];
        self.volume.read(slot, self.shape.segment_size - UNIT, &mut bytes)?;
        Ok(Trailer::decode(&bytes).filter(|trailer| trailer.life == life))
    }

    /// The entries and removals of a segment, in the order in which they were written: from its footer, or else from its records.
    pub(super) fn items_of(&self, slot: u32, life: u64) -> io::Result<Vec<Item>> {
        let trailer = self.trailer(slot, life)?;
        let start = |trailer: &Trailer| (self.shape.segment_size - UNIT).checked_sub(u64::from(trailer.count) * ITEM as u64);
        let from_footer = match trailer.and_then(|trailer| Some((trailer, start(&trailer)?))) {
            Some((trailer, start)) => {
                let mut bytes = vec![0; trailer.count as usize * ITEM];
                self.volume.read(slot, start, &mut bytes)?;
                trailer.items(&bytes)
            }
            None => None,
        };
        let within = |item: &Item| (u64::from(item.unit) + u64::from(item.units)) * UNIT <= self.shape.segment_size;
        let items = from_footer.map_or_else(|| self.scan(slot, life).map(|scan| scan.items), Ok)?;
        Ok(items.into_iter().filter(within).collect())
    }

    /// Reads records from the first to the one that is not whole, or that an earlier run left.
    fn scan(&self, slot: u32, life: u64) -> io::Result<Scan> {
        let (mut scan, mut run) = (Scan { items: Vec::new(), end: 1 }, 0);
        let (mut window, mut begin) = (Vec::new(), 0);
        loop {
            let offset = u64::from(scan.end) * UNIT;
            if offset + HEADER as u64 > self.shape.segment_size {
                return Ok(scan);
            }
            let within = (offset - begin) as usize;
            if window.len() < within + HEADER {
                let length = (self.shape.segment_size - offset).min(WINDOW as u64);
                (window, begin) = (vec![0; length as usize], offset);
                self.volume.read(slot, offset, &mut window)?;
            }
            let header = Header::decode(&window[(offset - begin) as usize..]);
            let Some(header) = header.filter(|header| header.life == life && header.run >= run) else { return Ok(scan) };
            let (units, unit) = (header.units(), scan.end);
            if (u64::from(unit) + u64::from(units)) * UNIT > self.shape.segment_size {
                return Ok(scan);
            }
            run = header.run;
            if !header.kind.is_part() {
                scan.items.push(Item { hash: header.hash, unit, units, expires: header.expires, kind: header.kind });
            }
            scan.end += units;
        }
    }
}

/// Whether it is the process that lacks something, and not the disk.
fn is_lack(error: &io::Error) -> bool {
    let lacks = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| lacks.iter().any(|lack| lack.raw_os_error() == code))
}
