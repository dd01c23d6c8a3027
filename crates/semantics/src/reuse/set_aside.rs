//! What a route sets aside of the origin's directives: all that is about staleness where its lifetime counts instead, and what it is told to ignore.

use http::{HeaderMap, StatusCode};

use super::freshness::is_overridden;
use crate::directives::{Directive, ResponseDirectives};
use crate::policy::Policy;

/// The directives of a response that count on a route.
pub(crate) fn counted(policy: &Policy, status: StatusCode, headers: &HeaderMap) -> ResponseDirectives {
    let overridden = is_overridden(policy, status);
    let no_cache = overridden || policy.unsafe_ignore.no_cache;
    ResponseDirectives::parse(headers, &policy.targeted).set_aside(overridden, no_cache, policy.unsafe_ignore.no_store)
}

/// Whether a directive is among those that do not count, and so is not for clients either. `overridden`: the route's lifetime stands in for
/// whatever the origin says.
pub(crate) fn is_set_aside(policy: &Policy, directive: &Directive<'_>, overridden: bool) -> bool {
    let ignored = policy.unsafe_ignore;
    let no_cache = directive.is("no-cache") && directive.argument.is_none();
    (no_cache && (overridden || ignored.no_cache))
        || (directive.is("no-store") && ignored.no_store)
        || (overridden && (directive.is("must-revalidate") || directive.is("proxy-revalidate")))
}
