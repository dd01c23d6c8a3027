//! The settings of the tier in Redis, as plain data with its defaults: no connection, no runtime, no clock.
//!
//! ```text
//! [store.redis] --larder-config--> RedisOptions --larder-redis--> RedisStore
//! ```
//!
//! Both sides know them from here, so that a default is written once, and the configuration can be checked without what runs. URLs are
//! read by the client's own parser: none that it would refuse later is accepted.

mod keys;
mod options;
mod servers;

pub use keys::{InvalidSealKey, SealKey, SealKeys};
pub use options::{Compression, RedisOptions, WriteMode};
pub use servers::{InvalidRedisUrl, RedisServers, RedisUrl};
