//! A gateway's work on HTTP messages, as functions on heads and text.
//!
//! ```text
//! client's head --> client::effective_target --> forward::to_upstream --> origin
//!                     \-- refused or failed: Problem --> client
//! origin's head --> forward::to_client --> client
//! origin's 1xx  --> interim::Outbox ----> client
//! ```
//!
//! [`client`] says who asks, as far as that is believed; [`forward`] which fields end here and which are added (RFC 9110 §7.6, RFC 7239);
//! [`edit`] and [`PathRewrite`] are what an operator changes in heads and paths; [`path_reading`] and [`authority`] how a target may be read; [`http1`] writes HTTP/1.1 as bytes (RFC 9112); [`problem`] is what Larder answers
//! by itself (RFC 9457, RFC 9209). `forward` imports `client`, and no folder imports back. Nothing here does I/O or reads a clock.

pub mod authority;
pub mod client;
pub mod edit;
pub mod forward;
pub mod http1;
pub mod interim;
mod outcome;
pub mod path_reading;
pub mod problem;
mod rewrite;

pub use interim::InterimResponses;
pub use outcome::OriginOutcome;
pub use problem::Problem;
pub use rewrite::PathRewrite;
