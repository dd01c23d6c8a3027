//! Certificates and TLS settings of listeners, as plain data: no socket, no runtime.
//!
//! 1. [`Pair::load`] reads a certificate chain with its key, and tells what does not fit. [`Facts`] are what its first certificate says.
//! 2. [`TlsSettings`] are what one listener is configured with: pairs, versions, protocols.
//! 3. [`TlsState`] is made of them: for each pair a configuration of rustls, found by the name that a client asks for ([`TlsState::choose`]).
//!
//! The configuration reads and checks with this crate, the server serves with it, and a reload replaces one [`TlsState`] by another.

mod clients;
mod der;
mod facts;
#[doc(hidden)]
pub mod fuzzing;
mod names;
mod pair;
mod revocations;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod tickets;
mod urgency;

pub use clients::{Authorities, AuthoritiesError, ClientCertificates};
pub use facts::Facts;
pub use names::{Names, is_address};
pub use pair::{Pair, PairError};
pub use revocations::{Revocations, RevocationsError};
pub use settings::{MinVersion, TlsSettings};
pub use state::{Site, TlsState, UnusableTls};
pub use tickets::TicketKeys;
pub use urgency::{Urgency, days_left};
