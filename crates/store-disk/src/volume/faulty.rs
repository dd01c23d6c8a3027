//! Files in memory that fail at a given moment, as disks and machines do.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::Volume;

/// What happens to the writes from a certain one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed after so many bytes of it: nothing after them is written.
    Killed {
        /// Bytes that are still written.
        after: usize,
    },
    /// It fails, and those after it, as on a full disk.
    Full,
    /// It fails alone, in its middle, as on a damaged disk.
    Broken,
}

/// The files. A later process opens them again with [`Self::after_crash`].
#[derive(Debug, Default)]
pub(crate) struct Faulty {
    segment_size: usize,
    state: Mutex<State>,
    /// Reads, and writes of small files, pass through it.
    gate: Arc<Mutex<()>>,
    /// Bytes of segments that were read.
    read_bytes: AtomicU64,
    /// Where something was read before, so that the operating system has it in memory.
    cached: Mutex<HashSet<(u32, u64)>>,
}

/// While it lives, reads and writes of small files hang.
pub(crate) struct Hanging {
    open: Option<std::sync::mpsc::Sender<()>>,
    holder: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.open = None;
        self.holder.take().map(std::thread::JoinHandle::join).expect("once").expect("it ends");
    }
}

#[derive(Clone, Debug, Default)]
struct State {
    segments: HashMap<u32, Vec<u8>>,
    files: HashMap<String, Vec<u8>>,
    writes: usize,
    fault: Option<(usize, Fault)>,
    read_fails: bool,
    /// Reads of this segment fail from this place on, with this error of the system.
    unreadable: Option<(u32, u64, i32)>,
    refuses_segments: bool,
    is_read_only: bool,
}

impl Faulty {
    pub(crate) fn new(segment_size: u64) -> Self {
        Self { segment_size: segment_size as usize, ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A fault at the write of this number, from 0.
    pub(crate) fn fail_at(&self, write: usize, fault: Fault) {
        let mut state = self.state();
        (state.writes, state.fault) = (0, Some((write, fault)));
    }

    /// Everything works again.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        (state.fault, state.read_fails, state.is_read_only, state.unreadable) = (None, false, false, None);
    }

    /// Nothing can be written or removed.
    pub(crate) fn make_read_only(&self) {
        self.state().is_read_only = true;
    }

    /// Every read fails.
    pub(crate) fn fail_reads(&self) {
        self.state().read_fails = true;
    }

    /// Reads of one segment fail from this place on.
    pub(crate) fn fail_reads_of(&self, slot: u32, offset: u64, error: i32) {
        self.state().unreadable = Some((slot, offset, error));
    }

    /// Every read hangs.
    pub(crate) fn hang_reads(&self) -> Hanging {
        let (open, opened) = std::sync::mpsc::channel::<()>();
        let (hold, holds) = std::sync::mpsc::channel();
        let gate = Arc::clone(&self.gate);
        let holder = std::thread::spawn(move || {
            let _held = gate.lock().unwrap();
            hold.send(()).expect("it is waited for");
            let _ = opened.recv();
        });
        holds.recv().expect("it holds");
        Hanging { open: Some(open), holder: Some(holder) }
    }

    /// No further segment can be made.
    pub(crate) fn refuse_segments(&self) {
        self.state().refuses_segments = true;
    }

    /// Two segments change places.
    pub(crate) fn swap(&self, one: u32, other: u32) {
        let mut state = self.state();
        let [one_bytes, other_bytes] = [one, other].map(|slot| state.segments.remove(&slot).expect("it exists"));
        state.segments.extend([(one, other_bytes), (other, one_bytes)]);
    }

    /// Writes since the last fault was set, or since it was made.
    pub(crate) fn writes(&self) -> usize {
        self.state().writes
    }

    /// Bytes of segments that were read since it was made.
    pub(crate) fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// The files as a later process finds them.
    pub(crate) fn after_crash(&self) -> Self {
        let mut state = self.state().clone();
        (state.fault, state.read_fails, state.is_read_only, state.writes) = (None, false, false, 0);
        Self { segment_size: self.segment_size, state: Mutex::new(state), ..Self::default() }
    }

    /// Turns bits of one byte of a segment.
    pub(crate) fn flip(&self, slot: u32, offset: usize, bits: u8) {
        self.state().segments.get_mut(&slot).expect("it exists")[offset] ^= bits;
    }

    /// The bytes of a segment.
    pub(crate) fn segment(&self, slot: u32) -> Vec<u8> {
        self.state().segments.get(&slot).cloned().unwrap_or_default()
    }

    /// Changes a small file.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) {
        self.state().files.insert(name.to_owned(), bytes.to_owned());
    }
}

impl State {
    /// How many of so many bytes are written, and whether the caller is told that all were.
    fn write(&mut self, length: usize) -> (usize, io::Result<()>) {
        let number = self.writes;
        self.writes += 1;
        let error = |kind: io::ErrorKind| Err(kind.into());
        match self.fault {
            _ if self.is_read_only => (0, error(io::ErrorKind::ReadOnlyFilesystem)),
            Some((at, Fault::Killed { after })) if number == at => (after.min(length), error(io::ErrorKind::Other)),
            Some((at, Fault::Killed { .. })) if number > at => (0, error(io::ErrorKind::Other)),
            Some((at, Fault::Full)) if number >= at => (0, error(io::ErrorKind::StorageFull)),
            Some((at, Fault::Broken)) if number == at => (length / 2, error(io::ErrorKind::Other)),
            _ => (length, Ok(())),
        }
    }
}

impl Volume for Faulty {
    fn read(&self, slot: u32, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        drop(self.gate.lock().unwrap());
        let state = self.state();
        if state.read_fails {
            return Err(io::ErrorKind::Other.into());
        }
        if let Some((_, _, error)) = state.unreadable.filter(|(failing, from, _)| *failing == slot && offset >= *from) {
            return Err(io::Error::from_raw_os_error(error));
        }
        let segment = state.segments.get(&slot).ok_or(io::ErrorKind::NotFound)?;
        let from = segment.get(offset as usize..offset as usize + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(from);
        self.read_bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.cached.lock().unwrap().insert((slot, offset));
        Ok(())
    }

    fn read_cached(&self, slot: u32, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let is_cached = self.cached.lock().unwrap().contains(&(slot, offset)) && self.gate.try_lock().is_ok();
        if is_cached { self.read(slot, offset, buffer) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn write(&self, slot: u32, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let (length, result) = state.write(bytes.len());
        let segment = state.segments.get_mut(&slot).ok_or(io::ErrorKind::NotFound)?;
        segment[offset as usize..offset as usize + length].copy_from_slice(&bytes[..length]);
        result
    }

    fn create(&self, slot: u32) -> io::Result<()> {
        let mut state = self.state();
        if state.segments.contains_key(&slot) {
            return Ok(());
        }
        if state.refuses_segments {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.write(0).1?;
        state.segments.insert(slot, vec![0; self.segment_size]);
        Ok(())
    }

    fn exists(&self, slot: u32) -> bool {
        self.state().segments.contains_key(&slot)
    }

    fn remove_segments(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        state.segments.clear();
        Ok(())
    }

    fn release(&self, _: u32) {}

    fn sync(&self) -> io::Result<()> {
        self.state().write(0).1
    }

    fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.state().files.get(name).cloned())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        drop(self.gate.lock().unwrap());
        let mut state = self.state();
        state.write(0).1?;
        state.files.insert(name.to_owned(), bytes.to_owned());
        Ok(())
    }
}
