//! Forwarding of messages (RFC 9110 §7.6, RFC 7239): which fields end here, and which are added.
//!
//! ```text
//! client's head --> to_upstream (claims: drop, introduce: add, via: append) --> origin
//! client's trailers --> filter_trailers --> origin
//! origin's head --> to_client --> client
//! ```

mod claims;
mod introduce;
mod request;
mod response;
mod trailers;
mod via;

pub use request::{ForwardRules, HostPolicy, OwnFields, to_upstream, upstream_fields};
pub use response::{Unforwardable, to_client};
pub use trailers::filter_trailers;
pub use via::{CDN_LOOP, loops};
