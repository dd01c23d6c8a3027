//! Content codings of answers (RFC 9110 §8.4): packed on their way into a cache, and unpacked for clients that accept less than what is stored.
//!
//! ```text
//! origin's answer --> packing::Packing (which answers, heads) --> body::Coded --> cache
//! stored answer   --> unpacking (heads)                       --> body::Coded --> client
//! request         --> unpacking::decoded                      --> the key that its content has
//! ```
//!
//! [`Coded`] is a body around another, one frame of which is worked on at a time: what has arrived goes out before more is waited for, and never more
//! than one buffer is held. What clients accept is judged by [`larder_semantics::coding`].

mod body;
mod codec;
mod head;
mod packing;
mod unpacking;

pub use body::{Coded, CodingError};
pub use head::add_vary;
pub use packing::{Packing, PackingRequest};
pub use unpacking::{beginning_decoded, coding_of, decoded, may_unpack, unpacked_fields, weaken_for};
