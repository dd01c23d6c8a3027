//! What nginx asks before each answer, stored ones too, and Larder does not: who may have it.

use super::scope::Scope;
use super::syntax::Directive;

/// Directives after which nginx refuses some of the requests, or all. Values of `off` turn them off.
const CHECKS: &[&str] = &[
    "access_by_lua",
    "access_by_lua_block",
    "access_by_lua_file",
    "auth_basic",
    "auth_jwt",
    "auth_request",
    "internal",
    "js_access",
    "limit_except",
    "ssl_verify_client",
];

/// The first directive by which nginx refuses requests for this place, whoever they are from.
pub(super) fn check(scope: Scope<'_>) -> Option<&Directive> {
    let named = CHECKS.iter().filter_map(|name| scope.one(name)).find(|directive| directive.arg(0) != "off");
    // Both are one list, which an inner block has for itself.
    named.or_else(|| scope.all_of(&["allow", "deny"]).into_iter().find(|directive| directive.name == "deny"))
}

/// An `if` by which nginx refuses some requests.
pub(super) fn condition(scope: Scope<'_>) -> Option<&Directive> {
    let refuses = |inner: &Directive| inner.name == "deny" || (inner.name == "return" && inner.arg(0).starts_with('4'));
    // Those of the blocks around hold besides.
    let here = scope.block.iter().find(|directive| directive.name == "if" && directive.block.iter().any(refuses));
    here.or_else(|| scope.around().and_then(condition))
}
