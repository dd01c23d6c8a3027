//! Memory that long records are read into, again and again: fresh memory of that size comes from the kernel page by page, and is filled with zeros before
//! it is read into.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use larder_store::SEGMENT;

/// From here on it is worth it, in bytes.
const MIN_LENGTH: usize = 64 << 10;

/// Bytes of buffers: for a segment of a body, and for one behind its head. A reader holds no more than a segment, as it is counted.
const LENGTHS: [usize; 2] = [SEGMENT, MAX_LENGTH];

const MAX_LENGTH: usize = SEGMENT + (64 << 10);

/// Buffers of each length that are kept while nothing is read: 4.5 MiB in all.
const MAX_IDLE: usize = 8;

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    idle: [Mutex<Vec<Box<[u8]>>>; 2],
}

/// So many bytes to read into. They may hold anything.
#[derive(Debug)]
pub(super) enum Buffer {
    Own(Vec<u8>),
    Shared(Shared),
}

/// One that goes back when nobody reads it any more.
#[derive(Debug)]
pub(super) struct Shared {
    bytes: Box<[u8]>,
    length: usize,
    home: Arc<Buffers>,
}

impl Buffers {
    pub(super) fn take(self: &Arc<Self>, length: usize) -> Buffer {
        if !(MIN_LENGTH..=MAX_LENGTH).contains(&length) {
            return Buffer::Own(vec![0; length]);
        }
        let class = class_of(length);
        let idle = self.idle[class].lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = idle.unwrap_or_else(|| vec![0; LENGTHS[class]].into());
        Buffer::Shared(Shared { bytes, length, home: Arc::clone(self) })
    }
}

fn class_of(length: usize) -> usize {
    usize::from(length > SEGMENT)
}

impl Buffer {
    pub(super) fn freeze(self) -> Bytes {
        match self {
            Self::Own(bytes) => bytes.into(),
            Self::Shared(shared) => Bytes::from_owner(shared),
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(shared) => shared.as_ref(),
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(Shared { bytes, length, .. }) => &mut bytes[..*length],
        }
    }
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut idle = self.home.idle[class_of(self.length)].lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_nobody_reads_it_and_few_are_kept() {
        let buffers = Arc::<Buffers>::default();
        let idle = || buffers.idle[0].lock().unwrap().len();
        let mut buffer = buffers.take(MIN_LENGTH);
        buffer.fill(7);
        let bytes = buffer.freeze();
        let part = bytes.slice(1..3);
        drop(bytes);
        assert_eq!((idle(), &part[..]), (0, &[7, 7][..]));
        drop(part);
        assert_eq!(idle(), 1);
        drop(buffers.take(SEGMENT));
        assert_eq!(idle(), 1, "the same one");
        let many: Vec<_> = (0..2 * MAX_IDLE).map(|_| buffers.take(MIN_LENGTH)).collect();
        drop(many);
        assert_eq!(idle(), MAX_IDLE);
    }

    #[test]
    fn short_and_very_long_records_have_memory_of_their_own() {
        let buffers = Arc::<Buffers>::default();
        for length in [0, 1, MIN_LENGTH - 1, MAX_LENGTH + 1] {
            assert_eq!(buffers.take(length).freeze().len(), length);
        }
        assert!(buffers.idle.iter().all(|idle| idle.lock().unwrap().is_empty()));
    }
}
