//! The judgement of a request's path.

use http::{Method, StatusCode};
use larder_semantics::Reason;

use super::gateway::Service;
use crate::active::ActiveConfig;
use crate::config::OddPaths;
use crate::path_reading;
use crate::problem::Problem;

const ODD_PATH: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "http_request_denied",
    "The path can be read in more than one way: it has dot segments, empty segments, encoded slashes or the like.",
);

/// Why a path passes by the cache, if it does; or why it goes nowhere. A hit needs no second look: what passes by is never stored.
pub(super) fn judge_path(
    active: &ActiveConfig,
    service: &Service,
    method: &Method,
    authority: &str,
    path: &str,
) -> Result<Option<Reason>, Problem> {
    let route = service.route().index();
    if active.verify_of(route).is_some_and(|verify| verify.is_stopped()) {
        return Ok(Some(Reason::LeakFound));
    }
    let is_odd = path_reading::is_odd(path);
    if is_odd && (active.odd_paths(route) == OddPaths::Refuse || active.way_of(route).is_some_and(|way| way.leaves_base(path))) {
        return Err(ODD_PATH);
    }
    if active.routes.router.is_near_private(route, method, authority, path) && active.guards_near_private(route) {
        return Ok(Some(Reason::NearPrivate));
    }
    Ok((is_odd && active.odd_paths(route) == OddPaths::Pass).then_some(Reason::OddPath))
}
