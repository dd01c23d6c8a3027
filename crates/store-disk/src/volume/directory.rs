//! A directory that one process has for itself.
//!
//! ```text
//! lock               held for as long as the process lives
//! segment-00000 ...  the segments, each allocated in full when it is first used
//! store, forgotten   small files, replaced as a whole
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSliceMut, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustix::fs::FallocateFlags;
use rustix::io::{Errno, ReadWriteFlags};

use super::Volume;

/// Why a directory cannot be used now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Another process has it.
    #[error("another process uses {}", .0.display())]
    Taken(PathBuf),
    /// It cannot be written, or is no directory.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    segment_size: u64,
    /// Those that were used.
    files: Box<[RwLock<Option<Arc<File>>>]>,
    /// Two threads must not allocate the same segment.
    creating: Mutex<()>,
    /// Dropped last: with it another process may have the directory.
    _lock: File,
}

impl Directory {
    /// Makes the directory if it does not exist, and locks it.
    pub(crate) fn open(path: &Path, segment_size: u64, segments: u32) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(unusable)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Taken(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let files = (0..segments).map(|_| RwLock::default()).collect();
        let directory = Self { path: path.to_owned(), segment_size, files, creating: Mutex::default(), _lock: lock };
        directory.remove_surplus().map_err(unusable)?;
        Ok(directory)
    }

    fn segment(&self, slot: u32) -> PathBuf {
        self.path.join(format!("segment-{slot:05}"))
    }

    /// With a smaller capacity, segments beyond it have to go. What they say of those that would stay, that a response was replaced or removed, goes
    /// with them, so none stays.
    fn remove_surplus(&self) -> io::Result<()> {
        let has_surplus = self.segments()?.last().is_some_and(|(slot, _)| *slot >= self.files.len());
        if has_surplus { self.remove_segments() } else { Ok(()) }
    }

    /// All segments that exist, by their numbers.
    fn segments(&self) -> io::Result<Vec<(usize, PathBuf)>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let slot = entry.file_name().to_str().and_then(|name| name.strip_prefix("segment-")?.parse().ok());
            segments.extend(slot.map(|slot| (slot, entry.path())));
        }
        segments.sort_unstable();
        Ok(segments)
    }

    fn cell(&self, slot: u32) -> io::Result<&RwLock<Option<Arc<File>>>> {
        Ok(self.files.get(slot as usize).ok_or(io::ErrorKind::NotFound)?)
    }

    /// The file of a segment that exists.
    fn file(&self, slot: u32) -> io::Result<Arc<File>> {
        let cell = self.cell(slot)?;
        if let Some(file) = &*cell.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(file));
        }
        let mut cell = cell.write().unwrap_or_else(PoisonError::into_inner);
        match &*cell {
            Some(file) => Ok(Arc::clone(file)),
            None => {
                let file = Arc::new(OpenOptions::new().read(true).write(true).open(self.segment(slot))?);
                Ok(Arc::clone(cell.insert(file)))
            }
        }
    }
}

impl Volume for Directory {
    fn read(&self, slot: u32, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file(slot)?.read_exact_at(buffer, offset)
    }

    fn read_cached(&self, slot: u32, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let file = self.cell(slot)?.read().unwrap_or_else(PoisonError::into_inner).clone();
        // To open it may take time.
        let file = file.ok_or(io::ErrorKind::WouldBlock)?;
        let mut done = 0;
        while done < buffer.len() {
            let rest = IoSliceMut::new(&mut buffer[done..]);
            match rustix::io::preadv2(&file, &mut [rest], offset + done as u64, ReadWriteFlags::NOWAIT) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => done += read,
                Err(Errno::INTR) => {}
                // Not there, or a file system that cannot tell.
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write(&self, slot: u32, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(slot)?.write_all_at(bytes, offset)
    }

    fn create(&self, slot: u32) -> io::Result<()> {
        let _one = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.segment(slot);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        if file.metadata()?.len() != self.segment_size
            && let Err(error) = allocate(&file, self.segment_size)
        {
            // A segment without its space would fail in the middle of a write.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        // One that was open before may have been removed since.
        *self.cell(slot)?.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(file));
        Ok(())
    }

    fn release(&self, slot: u32) {
        self.cell(slot).into_iter().for_each(|cell| *cell.write().unwrap_or_else(PoisonError::into_inner) = None);
    }

    fn exists(&self, slot: u32) -> bool {
        self.segment(slot).metadata().is_ok_and(|metadata| metadata.len() == self.segment_size)
    }

    fn remove_segments(&self) -> io::Result<()> {
        // By their numbers: as long as one beyond the capacity is left, this is done again at the next start.
        self.segments()?.iter().try_for_each(|(_, path)| fs::remove_file(path))
    }

    fn sync(&self) -> io::Result<()> {
        let files = self.files.iter().filter_map(|cell| cell.read().unwrap_or_else(PoisonError::into_inner).clone());
        files.collect::<Vec<_>>().iter().try_for_each(|file| file.sync_data())
    }

    fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match File::open(self.path.join(name)) {
            Ok(mut file) => file.read_to_end(&mut bytes).map(|_| Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.join(format!("{name}.new"));
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&new, self.path.join(name))?;
        File::open(&self.path)?.sync_data()
    }
}

/// Where the file system cannot allocate ahead, the file has its length at least.
fn allocate(file: &File, size: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(size),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 16;

    #[test]
    fn one_process_at_a_time_has_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let first = Directory::open(folder.path(), SIZE, 2).unwrap();
        let second = Directory::open(folder.path(), SIZE, 2).unwrap_err();
        assert_eq!(second.to_string(), format!("another process uses {}", folder.path().display()));
        drop(first);
        Directory::open(folder.path(), SIZE, 2).unwrap();
    }

    #[test]
    fn a_segment_has_all_its_space_and_a_smaller_capacity_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path(), SIZE, 3).unwrap();
        assert!(!directory.exists(2) && directory.read(2, 0, &mut [0]).is_err());
        directory.create(2).unwrap();
        directory.write(2, SIZE - 1, b"x").unwrap();
        directory.create(2).unwrap();
        let mut last = [0];
        directory.read(2, SIZE - 1, &mut last).unwrap();
        assert_eq!((last, directory.read(2, SIZE, &mut last).is_err()), ([b'x'], true));
        drop(directory);
        let directory = Directory::open(folder.path(), SIZE, 2).unwrap();
        assert!(!directory.exists(2) && !folder.path().join("segment-00002").exists());
    }

    #[test]
    fn a_smaller_capacity_begins_empty_since_the_latest_segments_may_be_those_that_go() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path(), SIZE, 3).unwrap();
        [0, 2].into_iter().for_each(|slot| directory.create(slot).unwrap());
        drop(directory);
        let directory = Directory::open(folder.path(), SIZE, 3).unwrap();
        assert!(directory.exists(0) && directory.exists(2));
        drop(directory);
        let directory = Directory::open(folder.path(), SIZE, 2).unwrap();
        assert!(!directory.exists(0));
    }

    #[test]
    fn what_is_in_memory_is_read_at_once_and_what_is_not_known_to_be_would_block() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path(), SIZE, 1).unwrap();
        directory.create(0).unwrap();
        directory.write(0, 5, b"x").unwrap();
        let mut bytes = [0; 6];
        match directory.read_cached(0, 0, &mut bytes) {
            Ok(()) => assert_eq!(&bytes, b"\0\0\0\0\0x"),
            // A file system that cannot tell.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        directory.release(0);
        assert_eq!(directory.read_cached(0, 0, &mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock, "it has to be opened");
        directory.read(0, 0, &mut bytes).unwrap();
        let end = directory.read_cached(0, SIZE, &mut bytes).unwrap_err().kind();
        assert!(matches!(end, io::ErrorKind::UnexpectedEof | io::ErrorKind::WouldBlock), "{end:?}");
    }

    #[test]
    fn a_segment_that_was_removed_is_released_and_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path(), SIZE, 1).unwrap();
        directory.create(0).unwrap();
        directory.write(0, 0, b"x").unwrap();
        let read = |directory: &Directory| {
            let mut first = [0];
            directory.read(0, 0, &mut first).map(|()| first[0]).ok()
        };
        directory.remove_segments().unwrap();
        assert_eq!(read(&directory), Some(b'x'), "an answer under way is read on");
        directory.release(0);
        assert_eq!(read(&directory), None);
        directory.create(0).unwrap();
        directory.write(0, 0, b"y").unwrap();
        assert_eq!((read(&directory), std::fs::read(folder.path().join("segment-00000")).unwrap()[0]), (Some(b'y'), b'y'));
    }

    #[test]
    fn a_small_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path(), SIZE, 1).unwrap();
        assert_eq!(directory.get("store").unwrap(), None);
        for bytes in [&b"one"[..], b"two"] {
            directory.put("store", bytes).unwrap();
            assert_eq!(directory.get("store").unwrap().as_deref(), Some(bytes));
        }
    }

    #[test]
    fn a_path_that_is_no_directory_is_unusable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(Directory::open(&path, SIZE, 1), Err(OpenError::Unusable { .. })));
    }
}
