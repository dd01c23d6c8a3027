//! `POST /explain`: a dry run.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, header};
use axum::response::IntoResponse;

use super::Shared;
use super::purge::{json_only, read};
use crate::config::TokenScope;
use crate::explain::{ExplainRequest, Subject, explain as dry_run, explain_happened};
use crate::purge::Refused;

/// Bytes of a question: a URL, fields, and the content of a write.
const MAX_BODY: usize = 1 << 20;

/// Says how a request would be answered, and why. Nothing is changed by it; with `"fetch": true` the origin is asked once, which needs the scope
/// `admin` where a token is needed.
pub(crate) async fn explain(State(shared): State<Shared>, request: Request) -> Response<Body> {
    answer(&shared, request).await.unwrap_or_else(|refused| refused.into_response())
}

async fn answer(shared: &Shared, request: Request) -> Result<Response<Body>, Refused> {
    let (parts, body) = request.into_parts();
    json_only(&parts.headers)?;
    let request = match ExplainRequest::parse(&read(body, MAX_BODY).await?)? {
        Subject::Request(request) => *request,
        Subject::Happened(id) => {
            let explanation = explain_happened(&shared.gateway, id.as_deref()).await?;
            return Ok(([(header::CACHE_CONTROL, "no-store")], Json(explanation)).into_response());
        }
    };
    if request.fetch {
        // It makes the origin work, with fields that whoever asks has chosen.
        shared.allow(TokenScope::Admin, &parts.method, &parts.uri, &parts.headers)?;
    }
    let explanation = dry_run(&shared.gateway.active.load_full(), request).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(explanation)).into_response())
}
