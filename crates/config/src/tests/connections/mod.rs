//! What connects Larder with others: listeners, certificates, upstreams, and what it asks these for by itself.

mod acme;
mod auth;
mod limits;
mod listeners;
mod quotas;
mod upstreams;
mod warm;
