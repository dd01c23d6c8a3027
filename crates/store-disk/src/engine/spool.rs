//! A long body that is written while it arrives: its parts at once, and the head that makes them an entry at the end ([`NewBody::Spooled`](super::NewBody)). A process that ends before
//! leaves parts that nothing leads to, and they go with their segments.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::Engine;
use super::parts::Parts;

/// What is removed while bodies arrive, by the hashes of their keys: another thread than the one that removes may commit such a body, and must not do so
/// behind its removal.
#[derive(Debug, Default)]
pub(super) struct Spooling(Mutex<HashMap<u64, Arriving>>);

/// The bodies of a hash that arrive.
#[derive(Debug, Default)]
struct Arriving {
    spools: usize,
    /// Those up to this fetch are removed; 0: none.
    removed: u64,
}

impl Spooling {
    fn arriving(&self) -> MutexGuard<'_, HashMap<u64, Arriving>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, hash: u64) {
        self.arriving().entry(hash).or_default().spools += 1;
    }

    fn end(&self, hash: u64) {
        let mut arriving = self.arriving();
        if let Some(of_hash) = arriving.get_mut(&hash) {
            of_hash.spools -= 1;
            if of_hash.spools == 0 {
                arriving.remove(&hash);
            }
        }
    }

    /// Bodies up to this fetch that arrive now are not stored.
    pub(super) fn remove(&self, hash: u64, fetch: u64) {
        if let Some(of_hash) = self.arriving().get_mut(&hash) {
            of_hash.removed = fetch.max(of_hash.removed);
        }
    }

    /// Whether the body of this fetch was removed while it arrived.
    pub(super) fn is_removed(&self, hash: u64, fetch: u64) -> bool {
        self.arriving().get(&hash).is_some_and(|of_hash| fetch <= of_hash.removed)
    }
}

/// The writing end of such a body. While it lives, removals are remembered for it.
#[derive(Debug)]
pub(crate) struct Spool {
    engine: Arc<Engine>,
    parts: Arc<Parts>,
    hash: u64,
    fetch: u64,
    is_framed: bool,
    /// The number of the next part.
    next: u32,
}

impl Engine {
    /// Begins to write a body that this fetch brings, in chunks that are framed or not.
    pub(crate) fn spool(self: &Arc<Self>, hash: u64, fetch: u64, is_framed: bool) -> Spool {
        self.spooling.begin(hash);
        Spool { engine: Arc::clone(self), parts: Arc::new(Parts::arriving(self, hash)), hash, fetch, is_framed, next: 0 }
    }
}

impl Spool {
    /// The body, as far as it is written.
    pub(crate) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// The number of the next chunk.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// Writes the next chunk: each is a part of its own, which can be read at once.
    pub(crate) fn write(&mut self, chunk: Bytes, now: u32) -> io::Result<()> {
        let mut writer = self.engine.writer();
        let part = self.engine.write_part(&mut writer, (self.hash, self.fetch), (self.next, &[chunk], self.is_framed), now)?;
        // Before the lock is given up, so that nothing reclaims the segment first.
        let (pin, _) = self.engine.pin(part.slot).ok_or(io::ErrorKind::NotFound)?;
        self.next += 1;
        self.parts.add(part, pin);
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.engine.spooling.end(self.hash);
    }
}
