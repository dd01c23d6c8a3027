//! A long body that is written while it arrives: its parts at once, and the head that makes them an entry at the end ([`NewBody::Spooled`](super::NewBody)). A process that ends before
//! leaves parts that nothing leads to, and they go with their segments.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::Engine;
use super::parts::Parts;

/// The writing end of such a body.
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
