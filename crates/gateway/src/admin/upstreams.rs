//! `GET /upstreams`: how the upstreams and their servers stand.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::Shared;
use crate::upstreams::snapshots;

/// The upstreams as in the snapshot that the metrics are rendered from.
pub(super) async fn upstreams(State(shared): State<Shared>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(snapshots(&shared.gateway.active.load())))
}
