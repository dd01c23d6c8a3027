//! The endpoints of a running gateway: each with its path, its method, and the scope that a token needs for it.
//!
//! `openapi.json` describes them, and a test compares the two.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, delete, get, post};

use super::access::Access;
use super::access::sessions::{Session, Sessions};
use super::{explain, keys, limits, plane, purge, standing, stats, tail, verify, warm};
use crate::config::TokenScope;
use crate::proxy::Gateway;
use crate::purge::Refused;
use larder_tower::clock::monotonic;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) access: Access,
    pub(super) sessions: Arc<Sessions>,
}

impl Shared {
    /// `None` where the system has no random numbers for sessions.
    pub(crate) fn new(gateway: Arc<Gateway>, access: Access) -> Option<Self> {
        Some(Self { gateway, access, sessions: Arc::new(Sessions::new()?) })
    }

    /// Refuses a request that may not do what this scope is for. A signed-in browser's cookie counts for what changes nothing: whatever changes
    /// something has to show a token, or comes by a form of the dashboard.
    pub(super) fn allow(&self, scope: TokenScope, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let active = self.gateway.active.load();
        let tokens = &active.config.admin.tokens;
        let session = self.session(headers).filter(|_| method.is_safe() && !headers.contains_key(header::AUTHORIZATION));
        match session {
            Some(session) if session.allows(tokens, scope) => self.access.check_name(uri, headers),
            _ => self.access.check(tokens, scope, uri, headers),
        }
    }

    /// The session of a signed-in browser.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        self.sessions.of(headers, monotonic())
    }
}

/// One path with one of its methods.
struct Endpoint {
    path: &'static str,
    scope: TokenScope,
    handler: fn() -> MethodRouter<Shared>,
}

/// Paths that need no gateway. Of these `/metrics` needs a token.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

const ENDPOINTS: &[Endpoint] = &[
    Endpoint { path: "/purge", scope: TokenScope::Purge, handler: || post(purge::purge) },
    Endpoint { path: "/events", scope: TokenScope::Purge, handler: || post(purge::events) },
    Endpoint { path: "/keys", scope: TokenScope::Read, handler: || get(keys::keys) },
    Endpoint { path: "/entries/{*key}", scope: TokenScope::Read, handler: || get(keys::entry) },
    Endpoint { path: "/limits", scope: TokenScope::Read, handler: || get(limits::limits) },
    Endpoint { path: "/limits/{name}", scope: TokenScope::Read, handler: || get(limits::clients) },
    Endpoint { path: "/limits/{name}/{*key}", scope: TokenScope::Read, handler: || get(limits::client).delete(limits::forgive) },
    Endpoint { path: "/upstreams", scope: TokenScope::Read, handler: || get(standing::upstreams) },
    Endpoint { path: "/replicas", scope: TokenScope::Read, handler: || get(standing::replicas) },
    Endpoint { path: "/alerts", scope: TokenScope::Read, handler: || get(standing::alerts) },
    Endpoint { path: "/config", scope: TokenScope::Read, handler: || get(standing::config) },
    Endpoint { path: "/stats", scope: TokenScope::Read, handler: || get(stats::stats) },
    Endpoint { path: "/spending", scope: TokenScope::Read, handler: || get(stats::spending) },
    Endpoint { path: "/history", scope: TokenScope::Read, handler: || get(stats::history) },
    Endpoint { path: "/routes", scope: TokenScope::Read, handler: || get(stats::routes) },
    Endpoint { path: "/busiest", scope: TokenScope::Read, handler: || get(tail::busiest) },
    Endpoint { path: "/tail", scope: TokenScope::Read, handler: || get(tail::tail) },
    Endpoint { path: "/openapi.json", scope: TokenScope::Read, handler: || get(openapi) },
    Endpoint { path: "/verify", scope: TokenScope::Read, handler: || get(verify::verify) },
    Endpoint { path: "/verify/resume/{*route}", scope: TokenScope::Admin, handler: || post(verify::resume) },
    Endpoint { path: "/warm", scope: TokenScope::Purge, handler: || post(warm::warm) },
    Endpoint { path: "/warm", scope: TokenScope::Read, handler: || get(warm::jobs) },
    Endpoint { path: "/warm/{job}", scope: TokenScope::Purge, handler: || delete(warm::stop) },
    Endpoint { path: "/explain", scope: TokenScope::Read, handler: || post(explain::explain) },
];

/// What all of them take and answer, for programs.
const OPENAPI: &str = include_str!("openapi.json");

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

/// All of them, each behind its scope.
pub(super) fn router(shared: &Shared) -> Router {
    let guarded = |router: Router<Shared>, endpoint: &Endpoint| {
        let guard = from_fn_with_state((shared.clone(), endpoint.scope), plane::allow);
        router.route(endpoint.path, plane::limited((endpoint.handler)()).route_layer(guard))
    };
    ENDPOINTS.iter().fold(Router::new(), guarded).with_state(shared.clone())
}

/// Their paths, for somebody who has asked for another.
pub(super) fn all_paths() -> String {
    let shown = |endpoint: &Endpoint| endpoint.path.replace("{*", "{");
    let mut paths: Vec<String> = PROBES.into_iter().map(str::to_owned).chain(ENDPOINTS.iter().map(shown)).collect();
    // One that takes two methods stands there twice.
    paths.dedup();
    let last = paths.pop().unwrap_or_default();
    format!("{} and {last}", paths.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_describes_every_path_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).expect("JSON");
        let described: BTreeSet<String> = document["paths"].as_object().expect("an object").keys().cloned().collect();
        let own = ENDPOINTS.iter().map(|endpoint| endpoint.path.replace("{*", "{"));
        assert_eq!(described, PROBES.into_iter().map(str::to_owned).chain(own).collect());
    }

    /// Bodies that do not come, or are too large.
    #[test]
    fn the_document_describes_what_reading_a_body_is_refused_with() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).expect("JSON");
        for path in ["/purge", "/events", "/explain", "/warm"] {
            let responses = &document["paths"][path]["post"]["responses"];
            assert!(["400", "408", "413"].iter().all(|status| responses[status].is_object()), "{path}: {responses}");
        }
    }
}
