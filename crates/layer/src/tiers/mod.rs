//! The tiers behind the memory: a chain, from the nearest to the farthest.
//!
//! 1. `look_up` asks them in order, and says which nearer ones should have what a farther one had.
//! 2. `waiting` waits for the fetches of other replicas that share a tier.
//! 3. `relayed` judges an answer that can be read while another replica fetches it.
//! 4. `write` stores in all of them, renews and drops in all of them.
//!
//! An invalidation reaches them through the ledger: whatever a tier returns is compared with it before it is used.

pub(crate) mod chain;
pub(crate) mod concurrent;
pub(crate) mod look_up;
mod relayed;
pub(crate) mod waiting;
pub(crate) mod write;
