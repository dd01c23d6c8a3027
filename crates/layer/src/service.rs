//! The service: the request walk up to a hit.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Request, Response};
use larder_semantics::content::{Asked, ContentKey};
use larder_semantics::fields::{drop_nominated, is_upgrade};
use larder_semantics::{CacheStatus, ForwardReason, KeyBuffer, MethodKind, Reason, RequestContext, may_steer};
use tower_service::Service;

use crate::body::CacheBody;
use crate::body::content::Content;
use crate::body::request::ClientBody;
#[cfg(doc)]
use crate::body::request::RequestBody;
use crate::cache::Cache;
use crate::collapse::slow::{if_overloaded, unless_slow};
use crate::effective_target::EffectiveTarget;
#[cfg(doc)]
use crate::error::FetchError;
use crate::fetch::walk::{REFRESH_PAUSE, fill, refresh};
use crate::future::{ResponseFuture, ServeFuture};
use crate::lookup::looked_up::{Admission, Hit, LookedUp};
use crate::lookup::plain::{Plain, Planned};
use crate::lookup::plan::FetchPlan;
use crate::lookup::request::ClientRequest;
use crate::lookup::stored_answer::StoredAnswer;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond;
use crate::rules::RouteRules;
use crate::task::background::run_in_background;
use crate::upstream::Upstream;
use crate::write::{content, pass};

/// An inner service behind the cache. Cheap to clone when the inner service is.
///
/// As a tower service it takes requests with any body of [`Bytes`](bytes::Bytes), calls an inner service of [`RequestBody`], and answers with a
/// [`CacheBody`]; so it fits into `axum::Router::layer`, `tower::ServiceBuilder`, and hyper.
///
/// - **Errors**: there are none (`Infallible`). Where the inner service fails and nothing stored may stand in, the answer is 502, 503 or 504 with
///   `Proxy-Status` (RFC 9209), and the [`FetchError`] is in its extensions. [`CacheService::serve`] returns the error instead.
/// - **Readiness and backpressure**: `poll_ready` is always ready. A hit needs nothing of the inner service, so a busy one does not hold hits
///   up; a request that needs it waits for its readiness within its own future. So put a limit on requests to the inner service (`ConcurrencyLimit`,
///   `LoadShed`, `Timeout`) behind this layer, and a limit on clients before it.
/// - **Extensions**: the [`Outcome`] of a request is in its response's extensions. A [`EffectiveTarget`] in the request's extensions says who asks. All
///   extensions of a request reach the inner service.
/// - **What the inner service sees**: a HEAD arrives as HEAD, without the client's `Range` and preconditions where the whole answer is to be
///   stored. One request may be answered to many clients, so an answer that depends on a request field has to name that in `Vary`.
/// - **Clients that leave**: a fetch that has begun goes on without its client, so that the next one finds its answer stored; writes always do. That
///   needs a tokio runtime.
/// - **Cancellation and panics**: a panic of the inner service is the panic of the request that called it; those that wait for the same answer
///   get 502.
#[derive(Clone, Debug)]
pub struct CacheService<S> {
    pub(crate) inner: S,
    pub(crate) cache: Arc<Cache>,
    pub(crate) route: Arc<RouteRules>,
    /// Whether nothing but the origin's own answers will do ([`Self::by_origin_only`]).
    pub(crate) origin_only: bool,
}

thread_local! {
    /// Every look-up of this thread derives its key here, so none allocates.
    static KEY: RefCell<KeyBuffer> = RefCell::default();
}

/// Lends the thread's buffer. A look-up within a look-up gets a buffer of its own.
fn with_key<T>(look_up: impl FnOnce(&mut KeyBuffer) -> T) -> T {
    KEY.with(|key| match key.try_borrow_mut() {
        Ok(mut key) => look_up(&mut key),
        Err(_) => look_up(&mut KeyBuffer::default()),
    })
}

impl<S> CacheService<S> {
    /// `inner` behind `cache` under the rules of one route.
    pub fn new(inner: S, cache: Arc<Cache>, rules: impl Into<Arc<RouteRules>>) -> Self {
        Self { inner, cache, route: rules.into(), origin_only: false }
    }

    /// The rules.
    pub fn route(&self) -> &Arc<RouteRules> {
        &self.route
    }

    /// The cache, which it shares with the services of other routes.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }
}

impl<S: Upstream> CacheService<S> {
    /// Answers a request. `effective` is the target and the client, as far as they are believed; `extend` may add extensions to the request for the inner
    /// service, and is called only when that is asked.
    ///
    /// The fields that `Connection` names must be gone already ([`drop_nominated`]): they are not for the inner service, so they may not
    /// select what is served either. The tower service's `call` sees to that itself.
    ///
    /// A hit is ready at once. Errors are the inner service's own, where nothing stored may stand in for it.
    pub fn serve<R>(&self, request: Request<R>, effective: EffectiveTarget, extend: impl FnOnce(&mut Extensions)) -> ServeFuture<S::Body>
    where
        R: ClientBody,
    {
        if self.route.amends() {
            return self.walk(request, effective, extend).amended(&self.route);
        }
        self.walk(request, effective, extend)
    }

    /// Passes a read by the store, so that it is neither answered from there nor stored, for a `reason` that the caller knows. Any other request goes
    /// the usual way, which is past the store too; a write invalidates as usual, also where only its content tells that it is one.
    pub fn pass_by<R>(
        &self,
        mut request: Request<R>,
        effective: EffectiveTarget,
        reason: Reason,
        extend: impl FnOnce(&mut Extensions),
    ) -> ServeFuture<S::Body>
    where
        R: ClientBody,
    {
        if let Admission::ReadContent(rules) = self.admit(request.method(), request.uri(), true) {
            extend(request.extensions_mut());
            if rules.kind.has_operations() && MethodKind::of(request.method()) == MethodKind::Unsafe {
                return ServeFuture::walking(content::pass_by(self.clone(), request, rules, effective, reason));
            }
            return ServeFuture::walking(pass::pass_read(self.clone(), request, reason, ForwardReason::Bypass));
        }
        if !MethodKind::of(request.method()).reads() {
            return self.serve(request, effective, extend);
        }
        extend(request.extensions_mut());
        ServeFuture::walking(pass::pass(self.clone(), request, effective, reason, ForwardReason::Bypass))
    }

    /// Looks up a request without content, for a server that has read it and can do without a response where the answer is stored. Nothing
    /// has happened yet when this returns, but that cookies that are as if absent are gone from `request`. `None` for what only [`Self::serve`] answers: whatever passes by the store, and rare ways of
    /// answering from it.
    pub fn look_up_plain<B>(&self, request: &mut Request<()>, effective: &EffectiveTarget) -> Option<Plain<B>> {
        match self.admit(request.method(), request.uri(), false) {
            Admission::LookUp => with_key(|key| {
                let fetch = |plan, context, key: &KeyBuffer| Some(Plain::Fetch(Planned { plan, context, key: key.to_key() }));
                self.look_up_plain_with(request, effective, key, fetch)
            }),
            Admission::ReadContent(_) | Admission::ReadOperations(..) | Admission::Pass(..) => None,
        }
    }

    /// As [`Self::look_up_plain`], for a server that does without a response for what is stored alone: nothing is kept of a request whose answer has to
    /// be fetched.
    pub fn look_up_stored<B>(&self, request: &mut Request<()>, effective: &EffectiveTarget) -> Option<StoredAnswer<B>> {
        match self.admit(request.method(), request.uri(), false) {
            Admission::LookUp => with_key(|key| self.look_up_plain_with(request, effective, key, |_, _, _| None)).and_then(Plain::stored),
            Admission::ReadContent(_) | Admission::ReadOperations(..) | Admission::Pass(..) => None,
        }
    }

    fn look_up_plain_with<B>(
        &self,
        request: &mut Request<()>,
        effective: &EffectiveTarget,
        key: &mut KeyBuffer,
        fetch: impl FnOnce(FetchPlan, RequestContext, &KeyBuffer) -> Option<Plain<B>>,
    ) -> Option<Plain<B>> {
        let context = self.prepare(request, None, effective, key).ok()?;
        if self.asks_for_bypass(request, key, effective.client) {
            return None;
        }
        let (rules, fields, in_flight) = (&*self.route, request.headers(), &self.cache.in_flight);
        let hit = match self.look_up::<B>(&context, fields, self.cache.store.slot_key(key)) {
            LookedUp::Hit(hit) if !hit.wants_refresh && !self.is_due_ahead(&hit) => hit,
            LookedUp::Fetch(plan) => return fetch(plan, context, key),
            LookedUp::Hit(_) | LookedUp::PartHit(_) | LookedUp::GatewayTimeout(_) => return None,
        };
        hit.stored.mark_asked();
        if rules.amends() {
            return Some(Plain::Stored(hit.served(&context, fields, in_flight).amended(rules).into()));
        }
        let as_stored = hit.as_stored(&context, fields, in_flight);
        Some(Plain::Stored(as_stored.unwrap_or_else(|| hit.served(&context, fields, in_flight).into())))
    }

    /// Answers a request that [`Self::look_up_plain`] has looked up, and whose answer has to be fetched. As [`Self::serve`], but that `prepare` is also
    /// given the clone of the inner service that is asked for this request and no other.
    pub fn fetch(&self, mut request: Request<()>, planned: Planned, prepare: impl FnOnce(&mut S, &mut Extensions)) -> ServeFuture<S::Body> {
        let Planned { plan, context, key } = planned;
        let mut service = self.clone();
        prepare(&mut service.inner, request.extensions_mut());
        let (parts, ()) = request.into_parts();
        let request = Arc::new(ClientRequest::new(&self.route, parts, context, key));
        let answer = service.filling(request, plan);
        if self.route.amends() { answer.amended(&self.route) } else { answer }
    }

    fn walk<R>(&self, mut request: Request<R>, effective: EffectiveTarget, extend: impl FnOnce(&mut Extensions)) -> ServeFuture<S::Body>
    where
        R: ClientBody,
    {
        match self.admit(request.method(), request.uri(), !request.body().is_end_stream()) {
            Admission::LookUp => with_key(|key| self.look_up_request(request, None, effective, extend, key)),
            Admission::ReadContent(rules) => {
                extend(request.extensions_mut());
                ServeFuture::walking(content::answer(self.clone(), request, rules, effective))
            }
            Admission::ReadOperations(rules, reason) => {
                extend(request.extensions_mut());
                ServeFuture::walking(content::pass_by(self.clone(), request, rules, effective, reason))
            }
            Admission::Pass(reason, forward) => {
                extend(request.extensions_mut());
                ServeFuture::walking(pass::pass(self.clone(), request, effective, reason, forward))
            }
        }
    }

    /// Looks up a request whose content was read.
    pub(crate) fn look_up_content<R>(
        &self,
        request: Request<R>,
        content: (Content, ContentKey),
        effective: EffectiveTarget,
    ) -> ServeFuture<S::Body>
    where
        R: ClientBody,
    {
        with_key(|key| self.look_up_request(request, Some(content), effective, |_| (), key))
    }

    /// Looks up a request by its URL.
    pub(crate) fn look_up_url<R>(&self, request: Request<R>, effective: EffectiveTarget) -> ServeFuture<S::Body>
    where
        R: ClientBody,
    {
        with_key(|key| self.look_up_request(request, None, effective, |_| (), key))
    }

    fn look_up_request<R>(
        &self,
        mut request: Request<R>,
        content: Option<(Content, ContentKey)>,
        effective: EffectiveTarget,
        extend: impl FnOnce(&mut Extensions),
        key: &mut KeyBuffer,
    ) -> ServeFuture<S::Body>
    where
        R: ClientBody,
    {
        let (content, content_key) = content.unzip();
        let context = match self.prepare(&mut request, content_key.as_ref(), &effective, key) {
            Ok(context) => context,
            Err(reason) => {
                extend(request.extensions_mut());
                if content.is_some() {
                    return ServeFuture::walking(pass::pass_read(self.clone(), request, reason, ForwardReason::Bypass));
                }
                return ServeFuture::walking(pass::pass(self.clone(), request, effective, reason, ForwardReason::Bypass));
            }
        };
        let fields = request.headers();
        let looked_up = if self.asks_for_bypass(&request, key, effective.client) && self.takes_bypass(effective.client) {
            LookedUp::Fetch(FetchPlan::bypass())
        } else {
            self.look_up(&context, fields, self.cache.store.slot_key(key))
        };
        let looked_up = if self.origin_only { looked_up.by_origin_only() } else { looked_up };
        match looked_up {
            LookedUp::Hit(hit) => {
                let is_due = hit.wants_refresh || self.is_due_ahead(&hit);
                hit.stored.mark_asked();
                let served = hit.served(&context, fields, &self.cache.in_flight);
                // Of the answer to a request with no-store nothing may be kept (RFC 9111 §5.2.1.5), nor of one that a field may steer to another
                // resource: it would put off the refresh that others can make use of.
                if is_due && !context.directives.no_store && !may_steer(fields) {
                    self.refresh(hit, || self.client_request(request, content, extend, context, key));
                }
                ServeFuture::ready(served)
            }
            LookedUp::PartHit(served) => ServeFuture::ready(*served),
            LookedUp::GatewayTimeout(reason) => ServeFuture::ready(gateway_timeout(reason, key)),
            LookedUp::Fetch(mut plan) => {
                // An origin that does not know its document answers so, which is no answer to those who sent that.
                plan.alone |= content.as_ref().is_some_and(|content| content.asked == Asked::GraphQl { by_hash: true });
                let request = self.client_request(request, content, extend, context, key);
                self.filling(request, plan)
            }
        }
    }

    /// Renews a response in the background, unless enough of that is going on: a stale one that finds no room is looked at again with its next
    /// use, a fresh one a moment later.
    fn refresh(&self, hit: Hit, request: impl FnOnce() -> Arc<ClientRequest>) {
        if !hit.stored.may_refresh(hit.now) {
            return;
        }
        let slot = self.cache.refresh_slot();
        if slot.is_some() || !hit.wants_refresh {
            hit.stored.postpone_refresh(hit.now.after(REFRESH_PAUSE));
        }
        if let Some(slot) = slot {
            run_in_background(refresh(self.clone(), request(), hit.stored, slot));
        }
    }

    /// Whether a use of a fresh response is to begin its next fetch.
    #[inline]
    pub(crate) fn is_due_ahead(&self, hit: &Hit) -> bool {
        self.route.policy.refresh_ahead.is_some() && hit.is_due_ahead(&self.route.policy)
    }

    /// Fetches the answer of a request, or takes a stale one where the origin is slow or has no place for it, and the route says so.
    fn filling(&self, request: Arc<ClientRequest>, plan: FetchPlan) -> ServeFuture<S::Body> {
        if self.route.policy.stale_if_overloaded
            && let Some(served) = if_overloaded(self, &request, &plan)
        {
            return ServeFuture::ready(served);
        }
        match self.route.policy.stale_if_slow {
            0 => ServeFuture::walking(fill(self.clone(), request, plan)),
            patience => {
                let answer = fill(self.clone(), Arc::clone(&request), plan.clone());
                ServeFuture::walking(unless_slow(self.clone(), request, plan, Duration::from_millis(patience.into()), answer))
            }
        }
    }

    pub(crate) fn client_request<R>(
        &self,
        request: Request<R>,
        content: Option<Content>,
        extend: impl FnOnce(&mut Extensions),
        context: RequestContext,
        key: &KeyBuffer,
    ) -> Arc<ClientRequest> {
        let (mut parts, _) = request.into_parts();
        extend(&mut parts.extensions);
        Arc::new(ClientRequest::new(&self.route, parts, context, key.to_key()).with_content(content))
    }
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
    type Error = Infallible;
    type Future = ResponseFuture<S::Body>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The inner service is asked for readiness when a request needs it; a hit does not.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        drop_nominated(request.headers_mut());
        let effective = request.extensions().get::<EffectiveTarget>().cloned().unwrap_or_default();
        // Each of them is a connection of its own, so none can wait for another's answer.
        if is_upgrade(request.version(), request.headers()) {
            return ResponseFuture(self.pass_by(request, effective, Reason::Upgrade, |_| ()));
        }
        ResponseFuture(self.serve(request, effective, |_| ()))
    }
}
