//! What connects Larder with others: listeners, certificates, upstreams.

mod acme;
mod listeners;
mod upstreams;
