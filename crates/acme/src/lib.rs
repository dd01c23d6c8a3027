//! Certificates from an ACME authority (RFC 8555): ordered when there is none, renewed when two thirds of one's time are over.
//!
//! ```text
//! keeper::Keeper, a task for each domain --> authority::AcmeAuthority --> the authority
//!       |                                          |
//!       v                                          v
//!   store::AcmeStore (folder::Folder, Redis)   challenges::Challenges <-- the listeners ask here what to answer
//! ```
//!
//! 1. [`Keeper::load`] takes what the store has, so that a restart serves at once; [`Keeper::keep`] orders and renews, for as long as it is polled.
//! 2. An order is one process's at a time ([`AcmeStore::lock`]); the others find its certificate in the store.
//! 3. The authority asks for a proof that the domain leads here: over HTTP (RFC 8555 §8.3) or in a TLS handshake (RFC 8737).
//!    [`Challenges`] has the answers, those of other processes too where the store is shared.
//! 4. What is had is handed on by [`Keeper::pairs`]. What fails is tried again, less and less often, and told with the end of the one in use.

mod authority;
mod bundle;
mod challenges;
mod failure;
mod folder;
mod http_client;
mod keeper;
mod lock;
mod state;
mod store;
#[cfg(test)]
mod tests;

pub use challenges::Challenges;
pub use folder::Folder;
pub use keeper::Keeper;
pub use state::{AcmeCounts, DomainReport};
pub use store::{AcmeStore, StoreError, Stored};
