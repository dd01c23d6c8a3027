//! `PURGE <url>` on a public listener, for those who are used to it from Varnish, nginx and Squid.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use larder_semantics::Target;
use larder_store::{Invalidation, Position};

use super::Known;
use crate::admin::authorize;
use crate::config::TokenScope;
use crate::live::Live;
use crate::problem::Problem;

const UNAUTHORIZED: Problem =
    Problem::new(StatusCode::UNAUTHORIZED, "http_request_denied", "A token that allows purging is needed: Authorization: Bearer TOKEN.");
const FORBIDDEN: Problem = Problem::new(StatusCode::FORBIDDEN, "http_request_denied", "The token does not allow purging.");

/// Whether a client's `PURGE` is meant for Larder; anybody else's is like every other method.
pub(crate) fn counts(live: &Live, method: &http::Method, client: IpAddr) -> bool {
    let from = &live.config.purge.public_from;
    !from.is_empty() && method == "PURGE" && from.iter().any(|network| network.contains(&client.to_canonical()))
}

/// What is to be purged, or the answer that refuses it.
pub(crate) fn invalidation(live: &Live, target: Target<'_>, headers: &HeaderMap) -> Result<Invalidation, Problem> {
    authorize(&live.config.admin.tokens, TokenScope::Purge, headers)
        .map_err(|refused| if refused.status == StatusCode::FORBIDDEN { FORBIDDEN } else { UNAUTHORIZED })?;
    Ok(Invalidation::hard(Known(live).target(target)))
}

/// The answer once it is applied.
pub(crate) fn applied(position: Position) -> Response<Bytes> {
    let body = serde_json::json!({ "position": position.0, "applied": 1, "replicas": 1 });
    let mut response = Response::new(Bytes::from(body.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
