//! How much of something each client may have in a time.
//!
//! - [`Rate`]: the algorithm and its numbers. [`Rate::take`] decides about one client's [`Usage`] at a time that it is given.
//! - [`Table`]: the usage of each client, bounded in number; [`Keyed`] is what it is made of.
//!
//! Everything here computes: no clock is read and nothing is waited for. Times are microseconds since any fixed moment.

mod bucket;
mod calendar;
mod fixed_window;
mod keyed;
mod rate;
mod sliding_window;
mod table;

pub use keyed::{CLIENT_BYTES, Keyed, Shared};
pub use rate::{Algorithm, Rate, Standing, Usage};
pub use table::{Client, KnownClient, Table};
