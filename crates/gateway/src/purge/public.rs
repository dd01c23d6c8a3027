//! `PURGE <url>` on a public listener, for those who are used to it from Varnish, nginx and Squid.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode};
use larder_semantics::Target;
use larder_store::Invalidation;

use super::{Known, authorize};
use crate::active::ActiveConfig;
use crate::config::TokenScope;
use crate::problem::Problem;

const UNAUTHORIZED: Problem =
    Problem::new(StatusCode::UNAUTHORIZED, "http_request_denied", "A token that allows purging is needed: Authorization: Bearer TOKEN.");
const FORBIDDEN: Problem = Problem::new(StatusCode::FORBIDDEN, "http_request_denied", "The token does not allow purging.");

/// Whether a client's `PURGE` is meant for Larder; anybody else's is like every other method.
pub(crate) fn counts(active: &ActiveConfig, method: &http::Method, client: IpAddr) -> bool {
    let from = &active.config.purge.public_from;
    !from.is_empty() && method == "PURGE" && from.iter().any(|network| network.contains(&client.to_canonical()))
}

/// The invalidation that a `PURGE` request asks for, or the answer that refuses it.
pub(crate) fn invalidation(active: &ActiveConfig, target: Target<'_>, headers: &HeaderMap) -> Result<Invalidation, Problem> {
    authorize(&active.config.admin.tokens, TokenScope::Purge, headers)
        .map_err(|refused| if refused.status == StatusCode::FORBIDDEN { FORBIDDEN } else { UNAUTHORIZED })?;
    Ok(Invalidation::hard(Known(active).target(target)))
}
