//! The dashboard: what an operator sees in a browser, on the admin listener alone.
//!
//! ```text
//! GET /?view=…  --> viewer (who asks, and what may they do) --> a view: figures as blocks --> templates/, which escape all text
//! POST /ui/…    --> viewer + the form's token --------------> sign in or out, explain, purge
//! GET /ui/live  --> an event for each point of the history, at which pages fetch themselves anew
//! ```
//!
//! Pages are whole without a script. With one, a page asks for itself every few seconds and takes over the parts that are marked `data-live`, so there
//! is one rendering. Nothing comes from another site, and the policy of every answer allows nothing else.

mod assets;
mod blocks;
mod charts;
mod configuration;
mod explain;
mod limits;
mod live;
mod overview;
mod page;
mod purge;
mod sign_in;
mod standing;
mod traffic;
mod viewer;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, header};
use axum::middleware::map_response;
use axum::routing::{get, post};

use super::endpoints::Shared;
use super::plane::limited;

/// Nothing but what this listener itself serves, and no script or style in a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

const FIELDS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// The pages, their files and their forms.
pub(super) fn router(shared: &Shared) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/ui/explain", limited(post(explain::submitted)))
        .route("/ui/purge", limited(post(purge::submitted)))
        .route("/ui/sign-in", limited(post(sign_in::sign_in)))
        .route("/ui/sign-out", limited(post(sign_in::sign_out)))
        .route("/ui/live", get(live::live))
        .route("/ui/{file}", get(assets::asset))
        .layer(map_response(guarded))
        .with_state(shared.clone())
}

async fn guarded(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in FIELDS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
