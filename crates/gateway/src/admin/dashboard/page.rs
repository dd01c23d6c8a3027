//! `GET /`: the page, with one of its views.

use askama::Template;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;

use super::super::endpoints::Shared;
use super::super::refused::parameters;
use super::blocks::Block;
use super::viewer::{Viewer, viewer};
use super::{configuration, explain, limits, overview, purge, sign_in, standing, traffic};
use crate::purge::Refused;

/// The views: the word in the query, and what people call them.
const VIEWS: [(&str, &str); 10] = [
    ("overview", "Overview"),
    ("routes", "Routes"),
    ("upstreams", "Upstreams"),
    ("tiers", "Tiers and replicas"),
    ("keys", "URLs"),
    ("explain", "Explain"),
    ("purge", "Purge"),
    ("tail", "Live requests"),
    ("config", "Configuration"),
    ("limits", "Limits and spending"),
];

/// What stands around every view.
pub(super) struct Frame {
    pub(super) view: &'static str,
    pub(super) title: &'static str,
    pub(super) views: &'static [(&'static str, &'static str)],
    /// The replica that is looked at.
    pub(super) name: String,
    pub(super) version: &'static str,
    pub(super) viewer: Viewer,
}

impl Frame {
    pub(super) fn new(shared: &Shared, wanted: &str, viewer: Viewer) -> Option<Self> {
        let (view, title) = VIEWS.iter().find(|(view, _)| *view == wanted)?;
        let (name, version) = (shared.gateway.name.clone(), env!("CARGO_PKG_VERSION"));
        Some(Self { view, title, views: &VIEWS, name, version, viewer })
    }
}

/// A view that is tables alone.
#[derive(Template)]
#[template(path = "blocks.html")]
struct Blocks {
    frame: Frame,
    blocks: Vec<Block>,
}

#[derive(Template)]
#[template(path = "tail.html")]
struct Tail {
    frame: Frame,
}

/// The page, or what asks for a token in its place.
pub(super) async fn page(State(shared): State<Shared>, RawQuery(query): RawQuery, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let viewer = match viewer(&shared, &uri, &headers) {
        Ok(viewer) => viewer,
        Err(refused) => return sign_in::refused(&shared, &refused),
    };
    match view(&shared, query.as_deref(), viewer).await {
        Ok(response) => response,
        Err(refused) => sign_in::refused(&shared, &refused),
    }
}

async fn view(shared: &Shared, query: Option<&str>, viewer: Viewer) -> Result<Response<Body>, Refused> {
    let parameters = parameters(query)?;
    let value = |name: &str| parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str()).unwrap_or_default();
    let wanted = if value("view").is_empty() { "overview" } else { value("view") };
    let frame = Frame::new(shared, wanted, viewer);
    let frame = frame.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "There is no such view."))?;
    let blocks = match frame.view {
        "overview" => return Ok(overview::view(shared, frame)),
        "explain" => return Ok(explain::view(shared, frame, value("url"), value("id")).await),
        "purge" => return Ok(purge::view(shared, frame, value("url"))),
        "tail" => return Ok(html(StatusCode::OK, &Tail { frame })),
        "routes" => traffic::routes(shared),
        "keys" => traffic::urls(shared),
        "upstreams" => standing::upstreams(shared),
        "tiers" => standing::tiers(shared),
        "limits" => limits::blocks(shared),
        _ => configuration::blocks(shared),
    };
    Ok(html(StatusCode::OK, &Blocks { frame, blocks }))
}

/// A page as an answer. What stands in it is of this moment, and may be for one person only.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Response<Body> {
    let fields = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    match page.render() {
        Ok(text) => (status, fields, text).into_response(),
        Err(error) => Refused::new(StatusCode::INTERNAL_SERVER_ERROR, format!("The page could not be written: {error}.")).into_response(),
    }
}
