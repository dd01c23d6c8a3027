//! `GET /verify`, and `POST /verify/resume/{route}`: what verification has found, and a route that is cached again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;

use super::Shared;
use crate::config;
use crate::purge::Refused;
use crate::verify::{RouteVerify, VerifyReport};

const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// All routes that are verified.
pub(super) async fn verify(State(shared): State<Shared>) -> impl IntoResponse {
    let active = shared.gateway.active.load();
    let reports: Vec<VerifyReport> = active.verifications().map(|verify| verify.report()).collect();
    (NO_STORE, Json(reports))
}

/// Caches a route again whose answers were found to depend on who asks.
pub(super) async fn resume(State(shared): State<Shared>, Path(name): Path<String>) -> Result<impl IntoResponse, Refused> {
    let active = shared.gateway.active.load();
    let all: Vec<&Arc<RouteVerify>> = active.verifications().collect();
    let Some(verify) = all.iter().find(|verify| **verify.route() == *name) else {
        let names: Vec<&str> = all.iter().map(|verify| &**verify.route()).collect();
        let hint = if names.is_empty() { "none is".to_owned() } else { config::nearest_hint(&name, &names, "these are") };
        let end = if hint.ends_with('?') { "" } else { "." };
        return Err(Refused::new(StatusCode::NOT_FOUND, format!("Route `{name}` is not verified: {hint}{end}")));
    };
    if !verify.resume() {
        return Err(Refused::new(StatusCode::CONFLICT, format!("Route `{name}` was not stopped.")));
    }
    Ok((NO_STORE, Json(verify.report())))
}
