//! `POST /warm` and `GET /warm/jobs`: what is fetched before anybody asks for it.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::Shared;
use super::purge::{json_only, read};
use crate::purge::Refused;

/// Bytes of a question: the names of some jobs.
const MAX_BODY: usize = 64 << 10;

/// The question of `POST /warm`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The names of the jobs; none for all.
    #[serde(default)]
    jobs: Vec<String>,
}

/// Every job of the configuration in force, as it stands now.
pub(super) async fn jobs(State(shared): State<Shared>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(shared.gateway.jobs.report()))
}

/// Runs jobs now. They go on when this is answered.
pub(super) async fn warm(State(shared): State<Shared>, request: Request) -> Response<Body> {
    answer(&shared, request).await.unwrap_or_else(|refused| refused.into_response())
}

async fn answer(shared: &Shared, request: Request) -> Result<Response<Body>, Refused> {
    let (parts, body) = request.into_parts();
    json_only(&parts.headers)?;
    let body = read(body, MAX_BODY).await?;
    let wrong = |error| Refused::new(StatusCode::BAD_REQUEST, format!("The body is not {{\"jobs\": [\"NAME\", …]}}: {error}."));
    let Question { jobs } = serde_json::from_slice(&body).map_err(wrong)?;
    let started = shared.gateway.jobs.start(&jobs);
    let reports = started.map_err(|name| Refused::new(StatusCode::NOT_FOUND, format!("There is no job {name} in [[warm]].")))?;
    Ok((StatusCode::ACCEPTED, [(header::CACHE_CONTROL, "no-store")], Json(reports)).into_response())
}
