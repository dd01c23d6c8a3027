//! `POST /events`: something happened elsewhere that makes stored responses old.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use larder_store::Invalidation;
use serde_json::Value;

use super::purge::{Shared, carried_out, json_only};
use crate::config::TokenScope;
use crate::purge::{Known, Refused, USUAL_WAIT, event};

/// Bytes of an event.
const LARGEST: usize = 64 << 10;

/// Purges what `[[on_event]]` says for events of this type, or nothing.
pub(crate) async fn events(State(shared): State<Shared>, request: Request) -> Response<Body> {
    answer(&shared, request).await.unwrap_or_else(|refused| refused.into_response())
}

async fn answer(shared: &Shared, request: Request) -> Result<Response<Body>, Refused> {
    let (parts, body) = request.into_parts();
    let live = shared.gateway.live.load_full();
    shared.access.check(&live.config.admin.tokens, TokenScope::Purge, &parts.headers)?;
    json_only(&parts.headers)?;
    let too_large = |_| Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "The event is larger than 64KiB.");
    let body = to_bytes(body, LARGEST).await.map_err(too_large)?;
    let happened: Value =
        serde_json::from_slice(&body).map_err(|error| Refused::new(StatusCode::BAD_REQUEST, format!("The body is not JSON: {error}.")))?;
    let Some(kind) = happened["type"].as_str() else {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "An event is an object with a `type`, which is a string."));
    };
    let mut targets = Vec::new();
    let mut known = false;
    for rule in live.config.on_event.iter().filter(|rule| rule.kind == kind) {
        known = true;
        let named = event(rule, &Known(&live), |field| text(&happened[field]))
            .map_err(|why| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, format!("An event `{kind}` {why}")))?;
        targets.extend(named);
    }
    if !known {
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, format!("No [[on_event]] is for the type `{kind}`.")));
    }
    Ok(carried_out(&shared.gateway.cache, &Invalidation::hard(targets), USUAL_WAIT).await)
}

/// A field's value as it stands in a tag.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
