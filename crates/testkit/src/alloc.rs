//! An allocator that counts, per thread.
//!
//! ```
//! use larder_testkit::alloc::{CountingAllocator, allocations};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! let (boxed, counted) = allocations(|| Box::new(7));
//! assert_eq!((*boxed, counted.count), (7, 1));
//! ```
#![expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait; every call is handed to the system allocator unchanged")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// The system allocator with a count per thread of what was asked of it. A test crate makes it its `#[global_allocator]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

/// The allocations of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocations {
    /// Calls that gave out memory: allocations and reallocations.
    pub count: u64,
    /// Bytes asked for in those calls.
    pub bytes: u64,
}

impl Allocations {
    /// Since this thread began.
    pub fn so_far() -> Self {
        Self { count: COUNT.get(), bytes: BYTES.get() }
    }
}

/// Runs `action` and counts what it allocates on this thread. Only meaningful where [`CountingAllocator`] is the global allocator.
pub fn allocations<T>(action: impl FnOnce() -> T) -> (T, Allocations) {
    let before = Allocations::so_far();
    let output = action();
    let after = Allocations::so_far();
    (output, Allocations { count: after.count - before.count, bytes: after.bytes - before.bytes })
}

/// Bytes of memory that this thread has taken and not given back, as the allocator keeps them: with the 8 bytes before each piece, in steps of
/// 16 (glibc). Below zero where it gave back what others took. Only meaningful where [`CountingAllocator`] is the global allocator.
pub fn held() -> i64 {
    HELD.get()
}

fn note_held(pieces: i64, size: usize) {
    let piece = (size + 8).next_multiple_of(16).max(32) as i64;
    let _ = HELD.try_with(|held| held.set(held.get() + pieces * piece));
}

fn note(size: usize) {
    // A thread that is being torn down has lost its counters; no test reads them any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + size as u64));
}

// SAFETY: every method passes its arguments to `System` as they came, so `System` keeps the contract; counting allocates nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        note_held(1, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        note_held(1, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        note_held(1, size);
        note_held(-1, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note_held(-1, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}
