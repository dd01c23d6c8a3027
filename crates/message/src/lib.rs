//! What a gateway does to HTTP messages, as functions on heads and text: which fields end here and which are added (RFC 9110 §7.6, RFC 7239),
//! what of a client's claims about itself is believed, how a path may be read, HTTP/1.1 as bytes (RFC 9112), and the answers that Larder gives
//! by itself (RFC 9457, RFC 9209).
//!
//! ```text
//! client's head --> effective_target, to_upstream --> origin's head --> to_client --> client
//!                        \-- no answer to give --> Problem
//! ```
//!
//! Nothing here does I/O or reads a clock.

pub mod authority;
pub mod forward;
pub mod http1;
pub mod interim;
mod outcome;
pub mod path_reading;
pub mod problem;

pub use interim::InterimResponses;
pub use outcome::OriginOutcome;
pub use problem::Problem;
