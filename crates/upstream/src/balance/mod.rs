//! Several servers behind one upstream: which of them has the next request, and which is left out for a while.
//!
//! [`servers::Servers`] is the set of them, as configured and as resolved; [`policy`] has the rules by which one is picked. What is known of a
//! server, its [`standing::Standing`], outlives a reload that keeps it. Nothing here sends anything.

mod draw;
mod ejection;
mod hash;
mod latency;
mod policy;
pub(crate) mod server;
pub(crate) mod server_set;
pub(crate) mod servers;
pub(crate) mod standing;
