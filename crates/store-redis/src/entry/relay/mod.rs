//! Relays: an answer that one replica fetches, read by others from Redis while its body arrives.
//!
//! 1. Those who wait for a lease sign that they do ([`super::watch`]), and the holder's [`super::heartbeat`] reads who is waited for. So a fetch that no
//!    other replica waits for costs nothing more.
//! 2. Once the head is there, and the body was not soon after it, [`publish`] writes what the holder has, and goes on as the body arrives.
//! 3. [`read`] opens a relay for a request that waits, and reads on while its client is served.
//!
//! A relay is one HASH: `h` the head and `v` the selecting fields as `larder_store::codec` frames them, `l` the announced length, `t` when by Redis'
//! clock the response was of age zero, `n` the number of pieces, and each piece under its number. A body that outgrows what Redis keeps of one becomes a
//! window: the oldest pieces go, and with them head and selecting fields, so that no reader begins in its middle.

mod publish;
mod read;

pub(super) use publish::hand_on;
pub(super) use read::{Opened, open};
