//! What nginx asks before each answer, stored ones too, and Larder does not: who may have it.

use super::scope::Scope;
use super::syntax::Directive;

/// Directives after which nginx refuses some of the requests, or all. Values of `off` turn them off.
const CHECKS: &[&str] = &[
    "access_by_lua",
    "access_by_lua_block",
    "access_by_lua_file",
    "auth_basic",
    "auth_digest",
    "auth_gss",
    "auth_jwt",
    "auth_jwt_require",
    "auth_ldap",
    "auth_oidc",
    "auth_pam",
    "auth_request",
    "internal",
    "js_access",
    "limit_except",
    "secure_link",
    "secure_link_secret",
    "ssl_verify_client",
];

/// The first directive by which nginx refuses requests for this place, whoever they are from.
pub(super) fn check(scope: Scope<'_>) -> Option<&Directive> {
    let named = CHECKS.iter().filter_map(|name| scope.one(name)).find(|directive| directive.arg(0) != "off");
    // Both are one list, which an inner block has for itself.
    named.or_else(|| scope.all_of(&["allow", "deny"]).into_iter().find(|directive| directive.name == "deny"))
}

/// An `if` or `rewrite` by which nginx answers some requests otherwise than the backend would.
pub(super) fn condition(scope: Scope<'_>) -> Option<&Directive> {
    let asks = |directive: &Directive| match directive.name.as_str() {
        "if" => directive.block.iter().any(|inner| answers(inner) && !is_apart(directive, inner)),
        "rewrite_by_lua" | "rewrite_by_lua_block" | "rewrite_by_lua_file" => true,
        _ => redirects(directive),
    };
    // Those of the blocks around hold besides.
    let here = scope.block.iter().find(|directive| asks(directive));
    here.or_else(|| scope.around().and_then(condition))
}

/// Whether requests that get here are not for the backend.
fn answers(directive: &Directive) -> bool {
    matches!(directive.name.as_str(), "deny" | "return") || redirects(directive)
}

/// Whether it is a `rewrite` that answers with a redirect.
fn redirects(directive: &Directive) -> bool {
    let leads_away = || matches!(directive.arg(2), "redirect" | "permanent") || is_absolute(directive.arg(1));
    directive.name == "rewrite" && leads_away()
}

fn is_absolute(target: &str) -> bool {
    ["http://", "https://", "$scheme"].iter().any(|start| target.starts_with(start))
}

/// Whether the requests for which this `if` holds share no stored response with the others: it asks for scheme or host, and leads to another one, or for
/// a method that is never stored.
fn is_apart(condition: &Directive, answer: &Directive) -> bool {
    let text = condition.args.join(" ");
    let mut words = text.trim_matches(['(', ')', ' ']).split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("$request_method"), Some("="), Some(method)) => !matches!(method, "GET" | "HEAD"),
        (Some("$scheme" | "$https" | "$host" | "$http_host" | "$http_x_forwarded_proto"), ..) => is_absolute(answer.arg(1)),
        _ => false,
    }
}
