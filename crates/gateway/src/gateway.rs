//! What happens to a request between the listener and the cache layer.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use larder_semantics::Reason;
use larder_tower::clock::{Clock, monotonic};
use larder_tower::{Cache, CacheBody, CacheService, Caller, FetchError, Outcome, Served, Vouched};

use crate::forward::{self, EffectiveTarget, effective_target};
use crate::live::Live;
use crate::problem::Problem;
use crate::server::Peer;
use crate::telemetry::access_log::{AccessLog, Answer, Entry, Logged};
use crate::telemetry::metrics::RequestRecord;
use crate::upstream::{UpstreamBody, UpstreamError, UpstreamService};

/// The handler of all requests on the public listeners.
pub(crate) struct Gateway {
    pub(crate) live: ArcSwap<Live>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Clock,
    pub(crate) access_log: AccessLog,
}

type GatewayBody = CacheBody<UpstreamBody>;

const NO_ROUTE: Problem = Problem::new(StatusCode::NOT_FOUND, "destination_not_found", "No route is configured for this request.");
const NOT_CACHED: Problem = Problem::new(StatusCode::GATEWAY_TIMEOUT, "http_request_denied", "Only a stored response was asked for, and there is none.");
const FAILED: Problem = Problem::new(StatusCode::BAD_GATEWAY, "proxy_internal_error", "The request could not be completed.");

impl Gateway {
    /// Answers one request. A hit is answered without an await.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Response<Logged<GatewayBody>> {
        let started = monotonic();
        let live = self.live.load();
        let (method, version) = (request.method().clone(), request.version());
        let hop = peer.hop(version);
        let target = effective_target(request.uri(), request.headers(), &hop, &live.trusted);
        let entry = self.access_log.begin(&request, Some(target.client), || self.clock.now());
        let Some(service) = live.route(&method, &target.authority, request.uri().path()) else {
            return self.answer(&live, Asked { method, started, entry, route: None }, NO_ROUTE.response(&method_of(&request)).map(own_body), None);
        };
        let asked = Asked { method, started, entry, route: Some(service.route().index) };
        if forward::is_upgrade_request(&request) {
            let live = arc_swap::Guard::into_inner(live);
            return self.upgrade(&live, asked, request, &peer).await;
        }
        let caller = caller(target, &live);
        let early = || peer.early_responses(version);
        let future = service.serve(request, caller, |extensions| {
            extensions.insert(hop);
            if let Some(early) = early() {
                extensions.insert(early);
            }
        });
        match future.into_ready() {
            Ok(served) => self.served(&live, asked, Ok(served)),
            Err(waiting) => {
                let live = arc_swap::Guard::into_inner(live);
                let served = waiting.await;
                self.served(&live, asked, served)
            }
        }
    }
}
