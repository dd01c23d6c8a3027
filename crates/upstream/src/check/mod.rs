//! Health checks: servers are asked whether they work, apart from the requests of clients.
//!
//! [`task`] asks in the background, [`streak`] judges the answers, and [`shared`] is how replicas tell each other, so that one of them asks and
//! all know. A server that is left out so is asked by clients' requests all the same where no other is left
//! ([`crate::balance::servers::Servers`]).

pub(crate) mod shared;
pub(crate) mod streak;
pub(crate) mod task;
