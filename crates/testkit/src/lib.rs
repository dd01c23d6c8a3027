//! The test kit: parts that Larder's tests share.
//!
//! * [`origin`]: an origin server over real sockets whose every byte and every pause is scripted.
//! * [`client`]: a client that sees a response as it arrives, byte by byte, and tells a clean end from a broken one.
//! * [`certificates`]: an authority, certificates, and clients over TLS.
//! * [`larder`]: the built binary as a process of its own.
//! * [`pebble`]: a real ACME authority.
//! * [`tokens`]: an issuer of bearer tokens.
//! * [`redis`]: real Redis servers, alone, as a Cluster, and with sentinels.
//! * [`faults`]: a proxy that does to connections what networks do.
//! * [`scenario`]: small readable scripts that join the three.
//! * [`alloc`]: an allocator that counts, for tests that hold a path to its allocations.
//!
//! Nothing here sleeps to wait for something to happen: a test holds a [`gate::Gate`] and opens it, or waits for an event that it names, and every
//! such wait ends with an error after [`wait::MAX_WAIT`].

pub mod alloc;
pub mod certificates;
pub mod client;
mod error;
pub mod faults;
pub mod gate;
pub mod larder;
pub mod origin;
pub mod pebble;
pub mod process;
pub mod redis;
pub mod scenario;
mod stream;
pub mod tokens;
pub mod wait;
pub mod wire;

pub use certificates::{Authority, CertificateFiles, connect_tls};
pub use client::{Client, Response};
pub use error::{Error, Result};
pub use larder::Larder;
pub use origin::{Answer, Origin};
pub use pebble::Pebble;
pub use redis::{Redis, RedisCluster, RedisSentinels, TlsRedis};
