//! `GET /upstreams`, `/replicas` and `/config`: how everything stands, and what it stands on.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;

use super::Shared;
use crate::replicas;
use crate::upstreams::snapshots;

const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// The upstreams as in the snapshot that the metrics are rendered from.
pub(super) async fn upstreams(State(shared): State<Shared>) -> impl IntoResponse {
    (NO_STORE, Json(snapshots(&shared.gateway.active.load())))
}

/// The replicas, each with its place in the log of invalidations.
pub(super) async fn replicas(State(shared): State<Shared>) -> impl IntoResponse {
    (NO_STORE, Json(replicas::report(&shared.gateway)))
}

/// The configuration in force, each value with where it comes from. Secrets are masked.
pub(super) async fn config(State(shared): State<Shared>) -> impl IntoResponse {
    (NO_STORE, Json(shared.gateway.active.load().config.effective()))
}
