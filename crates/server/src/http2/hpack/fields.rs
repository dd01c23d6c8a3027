//! The fields of one block: decoded once, and either made a request or written again.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::decode::TooLarge;
use super::tables::{Name, entry_size};

/// A list that is so many times as large as may be is given up, and its connection with it. The HTTP/2 library does the same.
const ABUSE: usize = 4;
/// Bytes of room for text that are kept for the next block.
const KEPT_ROOM: usize = 4 * 1024;

/// A list of fields in the order in which they came.
#[derive(Debug)]
pub(crate) struct FieldList {
    /// The values, one behind the other, as long as the list is not shared.
    text: BytesMut,
    /// The same, once it is.
    shared: Bytes,
    fields: Vec<Slot>,
    /// As RFC 9113 §6.5.2 counts it.
    size: usize,
    max: usize,
}

#[derive(Debug)]
struct Slot {
    name: Name,
    value: Range<usize>,
    is_sensitive: bool,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a Name,
    pub(crate) value: &'a [u8],
    /// Never to be put into a table (RFC 7541 §7.1.3).
    pub(crate) is_sensitive: bool,
}

impl FieldList {
    /// `max`: more bytes than that are not kept.
    pub(crate) fn new(max: usize) -> Self {
        Self { text: BytesMut::new(), shared: Bytes::new(), fields: Vec::new(), size: 0, max }
    }

    pub(super) fn clear(&mut self) {
        if self.text.len().max(self.shared.len()) > KEPT_ROOM {
            self.text = BytesMut::new();
        }
        self.text.clear();
        // Nobody else has them any more, so the room is used again.
        self.shared = Bytes::new();
        self.fields.clear();
        self.size = 0;
    }

    /// The end of what is kept, where the next value is decoded to.
    pub(super) fn text(&mut self) -> &mut BytesMut {
        &mut self.text
    }

    /// Adds the field whose value was decoded from this place on. Of a list that is over its limit only so much is kept as shows that it is.
    pub(super) fn push(&mut self, name: Name, start: usize, is_sensitive: bool) -> Result<(), TooLarge> {
        let was_over = self.is_over();
        self.size += entry_size(&name, &self.text[start..]);
        if self.size > self.max.saturating_mul(ABUSE) {
            return Err(TooLarge);
        }
        if was_over {
            self.text.truncate(start);
            return Ok(());
        }
        let excess = self.size.saturating_sub(self.max);
        self.text.truncate(self.text.len().saturating_sub(excess).max(start));
        self.fields.push(Slot { name, value: start..self.text.len(), is_sensitive });
        Ok(())
    }

    /// Whether the list is larger than may be.
    pub(crate) fn is_over(&self) -> bool {
        self.size >= self.max
    }

    /// The fields.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        let text: &[u8] = if self.shared.is_empty() { &self.text } else { &self.shared };
        self.fields.iter().map(move |slot| Field { name: &slot.name, value: &text[slot.value.clone()], is_sensitive: slot.is_sensitive })
    }

    /// The fields, with values that may outlive this call, though not the next block.
    pub(crate) fn share(&mut self) -> impl Iterator<Item = (&Name, Bytes)> {
        self.shared = self.text.split().freeze();
        self.fields.iter().map(|slot| (&slot.name, self.shared.slice(slot.value.clone())))
    }
}
