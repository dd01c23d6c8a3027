//! Values in Redis: under which names they are, and how bytes become values and values bytes. No I/O.
//!
//! Written: a body is compressed where that saves something ([`pack()`], with a [`Note`] beside it), then head and body are sealed ([`seal()`]), under the names that
//! [`EntryKey`] makes. Read: [`open`], then [`unpack`], never beyond the length that the head announces.

mod holder;
mod keys;
mod names;
mod note;

pub(crate) use holder::{Holder, holder};
pub(crate) use keys::{EntryKey, LimitKey, RelayKey, TurnKey, VaultKey, alive, millis, ordered, wanted};
pub(crate) use larder_packing::{MIN_OFFLOADED, Packed, is_sealed, is_worth_compressing, open, pack, seal, unpack, unpack_chunk};
pub use names::NameOfKey;
pub(crate) use names::Names;
pub(crate) use note::Note;
