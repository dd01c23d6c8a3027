//! Fetches, for requests that a look-up could not answer.
//!
//! 1. [`walk`]: a request leads or follows. The one that leads makes a fetch.
//! 2. [`steps`]: the fetch asks the tiers behind the memory and waits for other replicas, then asks the origin ([`ask`]), and ends in one action.
//! 3. The action: [`store`], [`part`], [`arriving`], [`relayed`], [`freshen`] or [`failing`].
//! 4. [`pump`]: a body that did not come with its head is read to its end. One that is too long for the memory goes to a tier meanwhile ([`spool`]),
//!    and is read there ([`arriving`]).

mod arriving;
mod ask;
mod failing;
mod fitness;
mod freshen;
mod giving_up;
mod part;
mod pump;
mod relayed;
mod rest;
mod spool;
pub(crate) mod state;
pub(crate) mod steps;
pub(crate) mod store;
pub(crate) mod walk;
