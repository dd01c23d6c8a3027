//! Everything around the endpoints: names and origins, limits, panics, compression, ids of requests.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::IntoResponse;
use axum::routing::MethodRouter;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError, ResponseForProtectionError};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;

use super::access::Access;
use super::endpoints::Shared;
use crate::config::TokenScope;
use crate::purge::Refused;

/// Bytes of a request's body. No endpoint takes more; what is no endpoint takes none, and says so first.
const MAX_BODY: usize = 1 << 20;

/// How long an answer's head may take: longer than the longest wait of a purge, with its body.
const ANSWERING: Duration = Duration::from_secs(90);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The router with all of it around, from the outside to the inside:
///
/// 1. refusals of what lies further in get a problem body, and a panic becomes one;
/// 2. a page of another site is refused: by its name (DNS rebinding) and by its origin (CSRF);
/// 3. time is limited.
pub(super) fn around(router: Router, access: Access) -> Router {
    router
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWERING))
        .layer(CsrfLayer::new().with_rejection_response(ForeignOrigin))
        .layer(from_fn_with_state(access, known_name))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(with_problem))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, Numbered::default()))
        .layer(CompressionLayer::new())
}

/// An endpoint whose bodies are limited.
pub(super) fn limited(endpoint: MethodRouter<Shared>) -> MethodRouter<Shared> {
    endpoint.route_layer(RequestBodyLimitLayer::new(MAX_BODY))
}

/// Refuses what the scope of an endpoint does not allow.
pub(super) async fn allow(State((shared, scope)): State<(Shared, TokenScope)>, request: Request, next: Next) -> Response<Body> {
    match shared.allow(scope, request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// `/metrics` needs a token that may read. Probes need none: they say only whether the process runs, and wants traffic.
pub(super) async fn allow_metrics(State(shared): State<Shared>, request: Request, next: Next) -> Response<Body> {
    let judged = match request.uri().path() {
        "/metrics" => shared.allow(TokenScope::Read, request.method(), request.uri(), request.headers()),
        _ => Ok(()),
    };
    match judged {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

async fn known_name(State(access): State<Access>, request: Request, next: Next) -> Response<Body> {
    match access.check_name(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// A page of another site has sent the request.
#[derive(Clone, Copy, Debug)]
struct ForeignOrigin;

impl ResponseForProtectionError<Body> for ForeignOrigin {
    fn response_for_protection_error(&mut self, _: ProtectionError) -> Response<Body> {
        Refused::new(StatusCode::FORBIDDEN, "The request comes from a page of another origin.").into_response()
    }
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "The request could not be answered: this is a fault of Larder, and the log says more.")
        .into_response()
}

/// Layers refuse with a status alone, or with a plain sentence: clients are told all refusals in one form.
async fn with_problem(response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let is_plain = response.headers().get(header::CONTENT_TYPE).is_none_or(|value| value.as_bytes().starts_with(b"text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !is_plain {
        return response;
    }
    let detail = match status {
        StatusCode::PAYLOAD_TOO_LARGE => format!("The body is larger than {}.", crate::config::display_bytes(MAX_BODY as u64)),
        StatusCode::SERVICE_UNAVAILABLE => "There was no answer in time.".to_owned(),
        _ => format!("The request was refused with {status}."),
    };
    let (mut parts, body) = Refused::new(status, detail).into_response().into_parts();
    parts.headers.extend(response.headers().get(header::ALLOW).cloned().map(|allow| (header::ALLOW, allow)));
    Response::from_parts(parts, body)
}

/// Numbers the requests that come without an id, so that a client and the log can speak of one.
#[derive(Clone, Debug, Default)]
struct Numbered(std::sync::Arc<AtomicU64>);

impl MakeRequestId for Numbered {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        HeaderValue::from_str(&format!("admin-{number}")).ok().map(RequestId::new)
    }
}
