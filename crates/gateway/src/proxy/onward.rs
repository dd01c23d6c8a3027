//! The way on from the gateway: through the cache, past it, or to a connection of its own.

use http::{Request, Response};
use http_body_util::Limited;
use hyper::body::Body;
use larder_semantics::Reason;
use larder_tower::clock::monotonic;
use larder_tower::{ServeFuture, Served};

use super::gateway::{GatewayBody, Service};
use super::pending::{FAILED, PendingAnswer};
use crate::active::ActiveConfig;
use crate::client::ClientConnection;
use crate::routing::{WayBody, head_of, reads_content};
use crate::server::{Lingering, Peer};
use crate::telemetry::access_log::LoggedBody;
use crate::upstream::TunnelClient;
use crate::verify::Shadow;

/// Through the cache, or past it. `extend` is called only where the origin is asked.
pub(super) fn walk(
    service: &Service,
    request: Request<Limited<Lingering>>,
    effective: larder_tower::EffectiveTarget,
    past_cache: Option<Reason>,
    extend: impl FnOnce(&mut http::Extensions),
) -> ServeFuture<WayBody> {
    match past_cache {
        Some(reason) => service.pass_by(request, effective, reason, extend),
        None => service.serve(request, effective, extend),
    }
}

/// Past the cache, on a connection of its own.
pub(super) async fn upgrade(
    active: &ActiveConfig,
    mut pending: PendingAnswer,
    request: Request<Limited<Lingering>>,
    peer: &Peer,
) -> Response<LoggedBody<GatewayBody>> {
    let Some(way) = pending.route.and_then(|route| active.way_of(route)) else { return pending.refused(active, FAILED) };
    let started = monotonic();
    let client = TunnelClient {
        connection: peer.client_connection(request.version()),
        idle: peer.tunnel_idle(),
        first_byte_timeout: None,
        guard: Box::new(peer.clone()),
        observer: pending.observer(),
    };
    match way.upgrade(request, client).await {
        Ok(response) => {
            let mut served = Served::passed(response, Reason::Upgrade);
            served.outcome.upstream = Some(monotonic().saturating_duration_since(started));
            pending.served(active, served)
        }
        Err(error) => pending.failed_at(active, &error),
    }
}

/// The reason for which a read of a route in shadow mode goes past the cache, where it would be answered from there; and what is compared with the
/// answer that it gets instead.
pub(super) fn shadowed<B: Body>(
    active: &ActiveConfig,
    service: &Service,
    request: &Request<B>,
    past_cache: Option<Reason>,
    effective: &larder_tower::EffectiveTarget,
    connection: ClientConnection,
) -> (Option<Reason>, Option<Shadow>) {
    let route = service.route().index();
    let Some(verify) = active.verify_of(route).filter(|verify| verify.is_shadow() && past_cache.is_none()) else {
        return (past_cache, None);
    };
    // Its key is known once its content is read, which is too late here.
    if reads_content(service.route(), request.method()) || !request.body().is_end_stream() && service.route().reads(request.method()) {
        return (Some(Reason::Shadow), None);
    }
    let mut head = head_of(request);
    if let Some(codings) = active.codings_of(route) {
        let _ = codings.ask_for_all(&mut head);
    }
    match Shadow::of(verify, service, head, effective, connection) {
        Some(shadow) => (Some(Reason::Shadow), Some(shadow)),
        None => (past_cache, None),
    }
}
