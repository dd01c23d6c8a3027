//! The log of invalidations: a stream in Redis with a counter, which every replica follows.
//!
//! 1. `publish` puts an invalidation in; what Redis does not take waits in the [journal](crate::journal). [`Messages`](messages) lets the
//!    replicas that all receive one message put it in once.
//! 2. `tail` follows: a `look` reads what is new, a read that waits brings what comes next, and [`Log::apply`] hands each entry
//!    (`record`) to the ledger. A gap in the numbers makes the ledger start over.
//! 3. [`Log`] knows how far this replica is and since when, and so whether it can vouch for what is in memory ([`Log::vouches`]).
//! 4. `replicas` reports that to the others, in a `registry` that tells who lives and how far each of them is.
//! 5. `inspect` asks the servers what they are ([`ServerInfo`]), and says what stands in the way of a good tier; `examine` does so once, and closely.

mod examine;
mod inspect;
mod look;
mod messages;
mod publish;
mod record;
mod registry;
mod replicas;
mod server_info;
mod state;
mod tail;

pub use examine::{Examination, ExaminedServer, examine};
pub(crate) use inspect::keep_looking;
pub(crate) use record::Entry;
pub(crate) use registry::Registry;
pub use registry::ReplicaInfo;
pub(crate) use replicas::{Replicas, registry_key};
pub use server_info::ServerInfo;
pub(crate) use state::Log;
pub(crate) use tail::follow;
