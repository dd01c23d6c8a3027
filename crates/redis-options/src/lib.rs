//! The settings of the tier in Redis, as plain data with its defaults: no connection, no runtime, no clock.
//!
//! ```text
//! [store.redis] --larder-config--> RedisOptions --larder-redis--> RedisStore
//! ```
//!
//! The configuration and the store share them, so that a default is written once, and a configuration is checked without a Redis client that runs.
//! URLs are read by that client's own parser, so a URL that it would refuse later is refused at once.

mod options;
mod servers;

pub use larder_packing::{Compression, InvalidSealKey, SealKey, SealKeys};
pub use options::{RedisOptions, WriteMode};
pub use servers::{InvalidRedisUrl, RedisServers, RedisUrl};
