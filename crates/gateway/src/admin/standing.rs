//! `GET /upstreams`, `/replicas`, `/alerts` and `/config`: how everything stands, and what it stands on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use serde_json::json;

use super::Shared;
use crate::alerts::Raised;
use crate::upstreams::snapshots;

const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// The upstreams as in the snapshot that the metrics are rendered from.
pub(super) async fn upstreams(State(shared): State<Shared>) -> impl IntoResponse {
    (NO_STORE, Json(snapshots(&shared.gateway.active.load())))
}

/// The replicas, each with its place in the log of invalidations.
pub(super) async fn replicas(State(shared): State<Shared>) -> impl IntoResponse {
    (NO_STORE, Json(shared.gateway.replicas()))
}

/// The last alerts, the newest first, and those that hold now.
pub(super) async fn alerts(State(shared): State<Shared>) -> impl IntoResponse {
    let alerts = &shared.gateway.alerts;
    let own = |all: Vec<Arc<Raised>>| all.iter().map(|raised| (**raised).clone()).collect::<Vec<_>>();
    (NO_STORE, Json(json!({ "firing": own(alerts.firing()), "last": own(alerts.last()) })))
}

/// The configuration in force, each value with where it comes from. Secrets are masked.
pub(super) async fn config(State(shared): State<Shared>) -> impl IntoResponse {
    (NO_STORE, Json(shared.gateway.active.load().config.effective()))
}
