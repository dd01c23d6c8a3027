//! The way on from the gateway: through the cache, past it, or to a connection of its own.

use std::sync::Arc;

use http::{Request, Response};
use http_body_util::Limited;
use larder_semantics::{MethodKind, Reason};
use larder_tower::clock::monotonic;
use larder_tower::{CacheService, ServeFuture, Served};

use super::gateway::{GatewayBody, Service};
use super::pending::{FAILED, PendingAnswer};
use super::renegotiation::Renegotiation;
use crate::active::ActiveConfig;
use crate::limits::NewTicket;
use crate::routing::{Tunnelled, WayBody};
use crate::server::{Lingering, Peer};
use crate::telemetry::access_log::LoggedBody;
use crate::upstream::{ClientContext, TunnelClient};

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

/// Past the cache, on a connection of its own. An origin may ignore an upgrade (RFC 9110 §7.8), so a write that asks for one is a write as any: it
/// invalidates its targets before its answer goes out.
pub(super) async fn upgrade(
    active: Arc<ActiveConfig>,
    service: Service,
    mut pending: PendingAnswer,
    request: Request<Limited<Lingering>>,
    effective: larder_tower::EffectiveTarget,
    peer: &Peer,
) -> Response<LoggedBody<GatewayBody>> {
    let Some(way) = pending.route.and_then(|route| active.way_of(route)) else { return pending.refused(&active, FAILED) };
    let started = monotonic();
    let client = TunnelClient {
        connection: peer.client_connection(request.version()),
        idle: peer.tunnel_idle(),
        first_byte_timeout: None,
        guard: Arc::new(peer.clone()),
        observer: pending.observer(),
    };
    if MethodKind::of(request.method()) == MethodKind::Unsafe {
        let tunnelled = Tunnelled { way: way.clone(), client };
        let service = CacheService::new(tunnelled, Arc::clone(service.cache()), Arc::clone(service.route()));
        let answer = service.pass_by(request, effective, Reason::Upgrade, |extensions| pending.tracing.extend(extensions));
        return pending.waits(active, answer).await;
    }
    match way.upgrade(request, client).await {
        Ok(response) => {
            let mut served = Served::passed(response, Reason::Upgrade);
            served.outcome.upstream = Some(monotonic().saturating_duration_since(started));
            pending.served(&active, served)
        }
        Err(error) => pending.failed_at(&active, &error),
    }
}

/// Through the cache for a client that may not accept the coding of what it would get: it may have to be asked for once more.
pub(super) fn walk_negotiated(
    service: &Service,
    request: Request<Limited<Lingering>>,
    effective: larder_tower::EffectiveTarget,
    context: ClientContext,
    pending: &mut PendingAnswer,
    ticket: Option<NewTicket>,
) -> (ServeFuture<WayBody>, Renegotiation) {
    pending.limited.take_ticket(ticket);
    let context = ClientContext { observer: pending.observer(), ..context };
    let answer = service.serve(request, effective.clone(), |extensions| {
        extensions.insert(context.clone());
        pending.tracing.extend(extensions);
        pending.limited.ticket().and_then(|ticket| extensions.insert(ticket));
    });
    let again = Renegotiation { service: service.clone(), effective, context, ticket: pending.limited.ticket() };
    (answer, again)
}
