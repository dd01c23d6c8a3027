//! The service: the request walk up to a hit.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use larder_semantics::fields::drop_nominated;
use larder_semantics::{
    CacheStatus, Decision, ForwardReason, KeyBuffer, MethodKind, Reason, RequestContext, Timestamp, decide, decide_soft_purged,
};
use larder_store::{Lookup, StoredResponse};
use tower_service::Service;

use crate::at_hand::AtHand;
use crate::body::CacheBody;
use crate::body_log::InFlight;
use crate::cache::Cache;
use crate::caller::Caller;
use crate::errand::detach;
use crate::error::FetchError;
use crate::fill::{self, Asked, Plan};
use crate::future::{ResponseFuture, ServeFuture};
use crate::outcome::{CacheResult, Outcome, Served};
use crate::partial::{self, PartUse};
use crate::pass;
use crate::respond;
use crate::rules::RouteRules;
use crate::upstream::{ClientBody, Upstream};

/// An inner service behind the cache. Cheap to clone when the inner service is.
#[derive(Clone, Debug)]
pub struct CacheService<S> {
    pub(crate) inner: S,
    pub(crate) cache: Arc<Cache>,
    pub(crate) route: Arc<RouteRules>,
}

thread_local! {
    /// Every look-up of this thread derives its key here, so none allocates.
    static KEY: RefCell<KeyBuffer> = RefCell::default();
}

/// Lends the thread's buffer. What is called meanwhile may look up by itself, and then has one of its own.
fn with_key<T>(look_up: impl FnOnce(&mut KeyBuffer) -> T) -> T {
    KEY.with(|key| match key.try_borrow_mut() {
        Ok(mut key) => look_up(&mut key),
        Err(_) => look_up(&mut KeyBuffer::default()),
    })
}

impl<S> CacheService<S> {
    /// `inner` behind `cache` under the rules of one route.
    pub fn new(inner: S, cache: Arc<Cache>, route: Arc<RouteRules>) -> Self {
        Self { inner, cache, route }
    }

    /// The rules.
    pub fn route(&self) -> &Arc<RouteRules> {
        &self.route
    }

    /// What it shares with the services of other routes.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }
}

impl<S: Upstream> CacheService<S> {
    /// Answers a request. `caller` is what is known about who asks; `extend` may add extensions to the request for the inner
    /// service, and is called only when that is asked.
    ///
    /// The fields that `Connection` names must be gone already ([`drop_nominated`]): they are not for the inner service, so they may not
    /// select what is served either. The tower service's `call` sees to that itself.
    ///
    /// A hit is ready at once. Errors are the inner service's own, where nothing stored may stand in for it.
    pub fn serve<R>(&self, request: Request<R>, caller: Caller, extend: impl FnOnce(&mut Extensions)) -> ServeFuture<S::Body>
    where
        R: ClientBody,
    {
        if self.route.cache_status_key {
            return self.walk(request, caller, extend).telling_key();
        }
        self.walk(request, caller, extend)
    }

    /// Passes a read by the store, whatever is stored for it and whatever could be of its answer, for a `reason` that the caller knows. Anything
    /// else goes the usual way, which is past the store too; a write makes old what it would anyway.
    pub fn pass_by<R>(
        &self,
        mut request: Request<R>,
        caller: Caller,
        reason: Reason,
        extend: impl FnOnce(&mut Extensions),
    ) -> ServeFuture<S::Body>
    where
        R: ClientBody,
    {
        if !MethodKind::of(request.method()).reads() {
            return self.serve(request, caller, extend);
        }
        extend(request.extensions_mut());
        ServeFuture::walking(pass::pass(self.clone(), request, caller, reason, ForwardReason::Bypass))
    }

    /// The answer to a request without content, if it is stored and fresh: nothing has to be asked, awaited or begun for it, and nothing
    /// has happened where there is none. Otherwise as [`Self::serve`].
    pub fn serve_stored<B>(&self, request: &Request<()>, caller: &Caller) -> Option<AtHand<B>> {
        if !self.route.cache || !matches!(MethodKind::of(request.method()), MethodKind::Get | MethodKind::Head) {
            return None;
        }
        with_key(|key| self.look_up_stored(request, caller, key))
    }

    fn look_up_stored<B>(&self, request: &Request<()>, caller: &Caller, key: &mut KeyBuffer) -> Option<AtHand<B>> {
        let (rules, fields) = (&*self.route, request.headers());
        rules.key.derive(caller.target(request.uri(), fields), fields, key);
        if !key.query_as_sent() && self.is_bypassed(request, caller.client) {
            return None;
        }
        let now = self.cache.clock.now();
        let found = self.cache.store.lookup(self.cache.store.place(key), fields, now);
        let Lookup::Found(stored) = &found else { return None };
        let context = rules.context(request.method(), fields, key);
        let Decision::Serve { age, reason } = rules.decide(&context, &found, now) else { return None };
        stored.mark_asked();
        if !rules.cache_status_key {
            let (status, outcome) = hit_status(stored, reason, now);
            let in_slots = AtHand::in_slots(&context, fields, stored, &self.cache.in_flight, age, &status, outcome);
            if in_slots.is_some() {
                return in_slots;
            }
        }
        let served = hit(&context, request, stored, &self.cache.in_flight, age, reason, now);
        Some(if rules.cache_status_key { served.telling_key() } else { served }.into())
    }

    fn walk<R>(&self, mut request: Request<R>, caller: Caller, extend: impl FnOnce(&mut Extensions)) -> ServeFuture<S::Body>
    where
        R: ClientBody,
    {
        let passing = match MethodKind::of(request.method()) {
            _ if !self.route.cache => Some((Reason::RouteNotCached, ForwardReason::Bypass)),
            MethodKind::Unsafe | MethodKind::OtherSafe => Some((Reason::Method, ForwardReason::Method)),
            MethodKind::Get | MethodKind::Head if !request.body().is_end_stream() => Some((Reason::RequestBody, ForwardReason::Request)),
            MethodKind::Get | MethodKind::Head => None,
        };
        if let Some((reason, forward)) = passing {
            extend(request.extensions_mut());
            return ServeFuture::walking(pass::pass(self.clone(), request, caller, reason, forward));
        }
        with_key(|key| self.look_up(request, caller, extend, key))
    }

    fn look_up<R>(
        &self,
        request: Request<R>,
        caller: Caller,
        extend: impl FnOnce(&mut Extensions),
        key: &mut KeyBuffer,
    ) -> ServeFuture<S::Body> {
        let rules = &*self.route;
        rules.key.derive(caller.target(request.uri(), request.headers()), request.headers(), key);
        let context = rules.context(request.method(), request.headers(), key);
        let plan = if !key.query_as_sent() && self.is_bypassed(&request, caller.client) {
            Plan::bypass()
        } else {
            let now = self.cache.clock.now();
            let found = self.cache.store.lookup(self.cache.store.place(key), request.headers(), now);
            if let Lookup::Partial(part) = &found {
                let plan = match partial::consider(rules, &context, request.headers(), part, now) {
                    PartUse::Serve(served) => return ServeFuture::ready(*served),
                    PartUse::GatewayTimeout(reason) => return ServeFuture::ready(gateway_timeout(reason, key)),
                    PartUse::Ask(plan) => plan,
                };
                let asked = self.asked(request, extend, context, key);
                return ServeFuture::walking(fill::fill(self.clone(), asked, plan));
            }
            match (rules.decide(&context, &found, now), &found) {
                (Decision::Serve { age, reason }, Lookup::Found(stored)) => {
                    stored.mark_asked();
                    return ServeFuture::ready(hit(&context, &request, stored, &self.cache.in_flight, age, reason, now));
                }
                (Decision::ServeStale { age, reason }, Lookup::Found(stored)) => {
                    stored.mark_asked();
                    let served = hit(&context, &request, stored, &self.cache.in_flight, age, reason, now);
                    // Of the answer to a request with no-store nothing may be kept (RFC 9111 §5.2.1.5): it would put off the refresh that others
                    // can make use of.
                    if !context.directives.no_store
                        && stored.may_refresh(now)
                        && let Some(turn) = self.cache.refresh_turn()
                    {
                        let asked = self.asked(request, extend, context, key);
                        detach(fill::refresh(self.clone(), asked, Arc::clone(stored), turn));
                    }
                    return ServeFuture::ready(served);
                }
                (Decision::GatewayTimeout { reason }, _) => {
                    return ServeFuture::ready(gateway_timeout(reason, key));
                }
                (Decision::Validate { reason }, _) => Plan::validate(reason, found),
                (Decision::Forward { reason }, _) => Plan::forward(reason, found),
                // A serving decision is only ever taken about a stored response.
                (Decision::Serve { reason, .. } | Decision::ServeStale { reason, .. }, _) => Plan::forward(reason, found),
            }
        };
        let asked = self.asked(request, extend, context, key);
        ServeFuture::walking(fill::fill(self.clone(), asked, plan))
    }

    fn is_bypassed<R>(&self, request: &Request<R>, client: Option<IpAddr>) -> bool {
        self.route.key.query.is_bypassed(request.uri().query()) && self.route.may_bypass.allows(client)
    }

    fn asked<R>(&self, request: Request<R>, extend: impl FnOnce(&mut Extensions), context: RequestContext, key: &KeyBuffer) -> Arc<Asked> {
        let (mut parts, _) = request.into_parts();
        extend(&mut parts.extensions);
        Arc::new(Asked { parts, context, key: key.to_key() })
    }
}

impl RouteRules {
    /// What the stored response that was found is good for.
    pub(crate) fn decide(&self, context: &RequestContext, found: &Lookup, now: Timestamp) -> Decision {
        match found {
            Lookup::Found(stored) if stored.is_softened() => decide_soft_purged(&self.policy, context, &stored.head, now),
            found => decide(&self.policy, context, found.head(), now),
        }
    }
}

fn hit<R, B>(
    context: &RequestContext,
    request: &Request<R>,
    stored: &Arc<StoredResponse>,
    in_flight: &Arc<InFlight>,
    age: u32,
    reason: Reason,
    now: Timestamp,
) -> Served<B> {
    let (status, outcome) = hit_status(stored, reason, now);
    let response = respond::from_stored(context, request.headers(), stored, in_flight, age, CacheResult::Hit, &status);
    Served { response, outcome }
}

fn hit_status(stored: &StoredResponse, reason: Reason, now: Timestamp) -> (CacheStatus, Outcome) {
    let fresh = reason == Reason::Fresh;
    let ttl = match stored.head.ttl(now) {
        // A soft purge ended its lifetime, whatever is left of it.
        ttl if reason == Reason::SoftPurged => ttl.min(0),
        ttl => ttl,
    };
    let status = CacheStatus { hit: true, ttl: Some(ttl), detail: (!fresh).then_some(reason.as_str()), ..CacheStatus::default() };
    let mut outcome = Outcome::new(CacheResult::Hit, reason, Some(stored.key()));
    outcome.stale = ttl <= 0;
    (status, outcome)
}

fn gateway_timeout<B>(reason: Reason, key: &KeyBuffer) -> Served<B> {
    let status = CacheStatus { detail: Some(reason.as_str()), ..CacheStatus::default() };
    let mut headers = http::HeaderMap::new();
    respond::annotate(&mut headers, CacheResult::Miss, &status);
    let response = respond::respond(http::StatusCode::GATEWAY_TIMEOUT, headers, CacheBody::empty());
    Served { response, outcome: Outcome::new(CacheResult::Miss, reason, Some(key.to_key())) }
}

impl<S: Upstream, R: ClientBody> Service<Request<R>> for CacheService<S> {
    type Response = Response<CacheBody<S::Body>>;
    type Error = FetchError;
    type Future = ResponseFuture<S::Body>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FetchError>> {
        // The inner service is asked for readiness when a request needs it; a hit does not.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        drop_nominated(request.headers_mut());
        let caller = request.extensions().get::<Caller>().cloned().unwrap_or_default();
        ResponseFuture(self.serve(request, caller, |_| ()))
    }
}
