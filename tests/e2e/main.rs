//! End-to-end tests that a scenario cannot tell: signals, files, raw bytes, other protocols, many clients, backends not written here.

mod admin_names;
mod broken_upstreams;
mod check;
mod collapse;
mod forwarding;
mod history;
mod hits;
mod json_server;
mod lifecycle;
mod limits;
mod nginx;
mod observe;
mod paths;
mod protocols;
mod purge;
mod purge_everywhere;
mod quick_start;
mod redis;
mod redis_bodies;
mod redis_leases;
mod refused;
mod replicas;
mod request_limit;
mod streaming;
mod tls;
mod upstreams;
