//! The way to Redis: where the servers are, the connections, and what every operation on them has before it.
//!
//! 1. [`larder_redis_options::RedisOptions`] say which servers, and how long an operation may take.
//! 2. `servers` finds the one to speak to (a server, a Cluster, the master that sentinels name) and connects.
//! 3. [`Link::run`] does one operation: the breaker lets it pass, it takes a [`Lane`], has its deadline, and is reported to the
//!    [`RedisObserver`]. Every error is a [`larder_store::RemoteError`].
//! 4. While the breaker is open, the link asks Redis in the background until it works again; [`Health`] says so in the log, once.

mod clocks;
mod health;
mod lanes;
mod observer;
mod servers;

pub use clocks::Clocks;
pub(crate) use health::Health;
pub(crate) use lanes::{Lane, Link, MAX_CONCURRENT_CHUNKS};
pub use observer::{Operation, RedisObserver};
pub(crate) use servers::{Connection, Found, Servers, in_words};
