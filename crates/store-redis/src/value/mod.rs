//! Values in Redis: under which names they are, and how bytes become values and values bytes. No I/O.
//!
//! Written: a body is compressed where that saves something ([`pack()`]), then head and body are sealed ([`seal()`]), under the names that
//! [`EntryKey`] makes. Read: [`open`], then [`unpack`], never beyond the length that the head announces.

mod keys;
mod pack;
mod seal;

pub(crate) use keys::{EntryKey, RelayKey, TurnKey, VaultKey, alive, millis, ordered, wanted};
pub(crate) use pack::{MIN_OFFLOADED, Note, Packed, is_worth_compressing, pack, unpack, unpack_chunk};
pub(crate) use seal::{is_sealed, open, seal};
