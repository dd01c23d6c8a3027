//! Collapsed forwarding: of the requests for one key that need the origin, one leads and the others follow.
//!
//! 1. [`flight`]: who leads and who follows.
//! 2. [`outcome`]: what the leader's fetch came to, as one value for both.
//! 3. [`follow`]: a follower waits for it.
//! 4. [`answer`]: the response that either of them makes of it.
//! 5. [`slow`]: a stale one instead, where it takes too long, or the origin has no place for it.

pub(crate) mod answer;
pub(crate) mod flight;
pub(crate) mod follow;
pub(crate) mod outcome;
pub(crate) mod server_error;
pub(crate) mod slow;
