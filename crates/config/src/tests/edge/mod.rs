//! What stands at the edge: listeners and certificates.

mod acme;
mod listeners;
