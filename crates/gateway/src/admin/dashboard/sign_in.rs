//! Signing in with an admin token, and out.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use larder_tower::clock::monotonic;

use super::super::endpoints::Shared;
use super::super::purge::read;
use super::super::refused::parameters;
use super::page::html;
use super::viewer::sender;
use crate::active::ActiveConfig;
use crate::client::{ClientConnection, effective_target};
use crate::purge::Refused;

/// Bytes of a form with a token.
const MAX_FORM: usize = 16 << 10;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    name: &'a str,
    /// What was wrong; empty for nothing.
    problem: &'a str,
    /// Whether a token would help.
    asks: bool,
}

/// The page for those who may not see any other.
pub(super) fn refused(shared: &Shared, refused: &Refused) -> Response<Body> {
    let asks = refused.status == StatusCode::UNAUTHORIZED;
    // What is said to programs, about a field that a browser cannot send, means nothing here.
    let problem = if asks { "" } else { refused.detail.as_str() };
    answer(shared, refused.status, problem, asks)
}

fn answer(shared: &Shared, status: StatusCode, problem: &str, asks: bool) -> Response<Body> {
    let mut response = html(status, &SignIn { name: &shared.gateway.name, problem, asks });
    if status == StatusCode::UNAUTHORIZED {
        // Browsers do not ask for a password by it (RFC 9110 §15.5.2 wants the field).
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    response
}

/// Opens a session. Pages of other origins cannot send it: the plane refuses them all.
pub(super) async fn sign_in(State(shared): State<Shared>, request: Request) -> Result<Response<Body>, Refused> {
    let (parts, body) = request.into_parts();
    let body = read(body, MAX_FORM).await?;
    let text = std::str::from_utf8(&body).map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "The form is not UTF-8."))?;
    let fields = parameters(Some(text))?;
    let token = fields.iter().find(|(name, _)| name == "token").map(|(_, token)| token.trim()).unwrap_or_default();
    let active = shared.gateway.active.load_full();
    match shared.sessions.open(token, &active.config.admin.tokens, is_secure(&active, &parts), monotonic()) {
        Some(cookie) => Ok((StatusCode::SEE_OTHER, [(header::LOCATION, "/"), (header::SET_COOKIE, cookie.as_str())]).into_response()),
        None => {
            let problem = "This token is not known, or its scopes do not include \"read\".";
            Ok(answer(&shared, StatusCode::UNAUTHORIZED, problem, true))
        }
    }
}

/// Whether the browser's own connection is over TLS: up to a proxy of `trusted_proxies`, which says so, since the admin listener speaks clear text.
fn is_secure(active: &ActiveConfig, parts: &Parts) -> bool {
    let connection = parts.extensions.get::<ClientConnection>();
    connection.is_some_and(|connection| effective_target(&parts.uri, &parts.headers, connection, &active.trusted).scheme == "https")
}

/// Ends the session.
pub(super) async fn sign_out(State(shared): State<Shared>, request: Request) -> Result<Response<Body>, Refused> {
    let (parts, body) = request.into_parts();
    let body = read(body, MAX_FORM).await?;
    sender(&shared, &parts.uri, &parts.headers, &body)?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response();
    if let Some(session) = shared.session(&parts.headers)
        && let Ok(cookie) = shared.sessions.close(&session, is_secure(&shared.gateway.active.load(), &parts)).parse()
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
