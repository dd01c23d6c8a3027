//! `POST /events`: something happened elsewhere that makes stored responses old.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use larder_store::Invalidation;
use serde_json::Value;

use super::Shared;
use super::purge::{carried_out, json_only, read};
use crate::purge::{Refused, USUAL_WAIT, event};

/// Bytes of an event.
const MAX_BODY: usize = 64 << 10;

/// Purges what `[[on_event]]` says for events of this type, or nothing.
pub(crate) async fn events(State(shared): State<Shared>, request: Request) -> Response<Body> {
    answer(&shared, request).await.unwrap_or_else(|refused| refused.into_response())
}

async fn answer(shared: &Shared, request: Request) -> Result<Response<Body>, Refused> {
    let (parts, body) = request.into_parts();
    let active = shared.gateway.active.load_full();
    json_only(&parts.headers)?;
    let body = read(body, MAX_BODY).await?;
    let happened: Value =
        serde_json::from_slice(&body).map_err(|error| Refused::new(StatusCode::BAD_REQUEST, format!("The body is not JSON: {error}.")))?;
    let targets = event::targets(&active, &happened)?;
    Ok(carried_out(&shared.gateway.cache, &Invalidation::hard(targets), USUAL_WAIT).await)
}
