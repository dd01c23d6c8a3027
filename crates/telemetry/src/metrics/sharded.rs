//! One set of cells for each thread.
//!
//! Two cores that count into one cache line pass it back and forth for some 100 ns a request. So each thread has its own cells, made when it
//! first records and aligned to two cache lines, because the prefetcher takes lines in pairs. A snapshot adds the cells of all threads up.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cells of type `T`, one set for each thread as long as there are no more threads than cores. Threads beyond that share a set, which only
/// costs time.
#[derive(Debug)]
pub(super) struct Sharded<T>(Box<[OnceLock<Box<CacheAligned<T>>>]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct CacheAligned<T>(T);

impl<T: Default> Sharded<T> {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self((0..cores.next_power_of_two()).map(|_| OnceLock::new()).collect())
    }

    /// The calling thread's cells.
    pub(super) fn of_this_thread(&self) -> &T {
        // The length is a power of two, so this is the remainder, without a division.
        let index = thread_number() & (self.0.len() - 1);
        &self.0[index].get_or_init(Box::default).0
    }

    /// The cells of every thread that recorded something.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(OnceLock::get).map(|cells| &cells.0)
    }
}

/// A small number for the calling thread. Only threads that record get one, so worker threads have neighbouring numbers.
fn thread_number() -> usize {
    const NONE: usize = usize::MAX;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: Cell<usize> = const { Cell::new(NONE) });
    NUMBER.with(|number| {
        if number.get() == NONE {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn a_thread_keeps_its_cells() {
        let sharded = Sharded::<AtomicU64>::new();
        assert!(std::ptr::eq(sharded.of_this_thread(), sharded.of_this_thread()));
        assert_eq!(sharded.iter().count(), 1);
    }

    #[test]
    fn cells_of_two_threads_never_share_a_cache_line() {
        assert_eq!(align_of::<CacheAligned<AtomicU64>>(), 128);
        assert_eq!(size_of::<CacheAligned<AtomicU64>>(), 128);
    }
}
