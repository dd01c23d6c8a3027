//! The form in which stored responses lie outside the process, in Redis or on a disk: bodies compressed where that saves something, heads and
//! bodies sealed; and that of texts in memory ([`TextPacking`]). Functions on bytes, and the settings that they need as plain data: no I/O, no runtime.
//!
//! Written: a body is compressed ([`pack()`], [`pack_chunks`]), then head and body are sealed ([`seal()`]), each under a name of its own. Read:
//! [`open`], then [`unpack`] or [`unpack_chunk`], never beyond the length that the head announces.

mod in_memory;
mod keys;
mod pack;
mod seal;

pub use in_memory::TextPacking;
pub use keys::{InvalidSealKey, SealKey, SealKeys};
pub use pack::{Compression, MIN_OFFLOADED, Packed, is_worth_compressing, pack, pack_chunk, pack_chunks, unpack, unpack_chunk};
pub use seal::{is_sealed, open, seal};
