//! The way of a request up to the cache: the same for one that is answered and for one that is only explained.

use http::{Request, StatusCode};
use larder_semantics::Reason;
use larder_semantics::fields::is_upgrade;

use super::gateway::Service;
use super::paths::judge_path;
use crate::active::ActiveConfig;
use crate::client::EffectiveTarget;
use crate::problem::{Problem, TOO_LARGE};
use crate::purge::public;

pub(crate) const NO_ROUTE: Problem =
    Problem::new(StatusCode::NOT_FOUND, "destination_not_found", "No route is configured for this request.");
/// The way of one request.
pub(crate) struct Way<'l> {
    /// The service of its route; `None`: no route is for it.
    pub(crate) service: Option<&'l Service>,
    pub(crate) step: Step,
}

/// Where it leads.
pub(crate) enum Step {
    /// It is a purge on the public listener.
    Purge,
    /// Nowhere.
    Refuse(Problem),
    /// Past the cache, to a connection of its own.
    Tunnel,
    /// To the cache, or for a reason past it.
    Cache(Option<Reason>),
}

/// The way of a request. `is_too_large` says whether its content is announced as longer than so many bytes.
pub(crate) fn way<'l, B>(
    active: &'l ActiveConfig,
    request: &Request<B>,
    target: &EffectiveTarget<'_>,
    is_too_large: impl FnOnce(Option<u64>) -> bool,
) -> Way<'l> {
    let (method, path) = (request.method(), request.uri().path());
    let service = active.route(request, &target.authority);
    if public::counts(active, method, target.client) {
        return Way { service, step: Step::Purge };
    }
    let Some(found) = service else { return Way { service, step: Step::Refuse(NO_ROUTE) } };
    let step = match judge_path(active, found, method, &target.authority, path) {
        Err(problem) => Step::Refuse(problem),
        Ok(_) if is_too_large(active.max_request_body(found.route().index())) => Step::Refuse(TOO_LARGE),
        Ok(_) if is_upgrade(request.version(), request.headers()) => Step::Tunnel,
        Ok(past_cache) => Step::Cache(past_cache),
    };
    Way { service, step }
}

/// The connection tells the scheme, not the client; trusted proxies are believed as far as that is configured.
pub(crate) fn for_the_cache(target: EffectiveTarget<'_>) -> larder_tower::EffectiveTarget {
    let effective = larder_tower::EffectiveTarget::default().with_client(target.client).with_scheme(target.scheme);
    if target.vouched { effective.with_authority(target.authority) } else { effective }
}
