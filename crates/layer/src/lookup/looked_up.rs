//! The look-up of a request: the same one at both doors, after a wait for another request's fetch, and before a refetch.
//!
//! 1. [`CacheService::admit`]: whether the request is looked up, or which way it takes past the store.
//! 2. [`CacheService::look_up`]: the store's answer, and the decision about it.
//! 3. A [`Hit`] is rendered as a response ([`Hit::served`]), or as the fields lie in the store ([`Hit::as_stored`]).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderMap, Method, Request, Uri};
use larder_semantics::content::{ContentKey, ContentRules};
use larder_semantics::reuse::ahead::{Use, due_in, is_due};
use larder_semantics::reuse::sliding::extended;
use larder_semantics::{
    CacheStatus, CookiePolicy, Decision, ForwardReason, KeyBuffer, MethodKind, Policy, Reason, RequestContext, Target, Timestamp, TtlMode,
    decide, decide_soft_purged,
};
use larder_store::{Departure, Lookup, SlotKey, StoredResponse};

use super::part::consider;
use crate::body::log::InFlight;
use crate::cache::Cache;
use crate::effective_target::EffectiveTarget;
use crate::lookup::plan::FetchPlan;
use crate::lookup::request::ClientRequest;
use crate::lookup::stored_answer::StoredAnswer;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond;
use crate::rules::RouteRules;
use crate::service::CacheService;

/// The way that a request takes.
pub(crate) enum Admission {
    /// It is looked up.
    LookUp,
    /// Its content is read, and it is looked up by that, too.
    ReadContent(ContentRules),
    /// It passes by the store, and its content is read, for it may be a write.
    ReadOperations(ContentRules, Reason),
    /// It passes by the store.
    Pass(Reason, ForwardReason),
}

/// The result of a look-up.
pub(crate) enum LookedUp<B> {
    /// A stored response answers the request.
    Hit(Hit),
    /// A stored part answers it.
    PartHit(Box<Served<B>>),
    /// The client allows stored responses only, and none may be used.
    GatewayTimeout(Reason),
    /// The origin has to be asked.
    Fetch(FetchPlan),
}

impl<B> LookedUp<B> {
    /// The same for a request that nothing but the origin's own answer will do.
    pub(crate) fn by_origin_only(self) -> Self {
        match self {
            Self::Fetch(plan) => Self::Fetch(plan.by_origin_only()),
            Self::Hit(_) | Self::PartHit(_) => {
                Self::Fetch(FetchPlan::forward(Reason::Shadow, Lookup::Absent(Departure::Unknown)).by_origin_only())
            }
            Self::GatewayTimeout(reason) => Self::GatewayTimeout(reason),
        }
    }
}

/// A stored response that answers a request.
pub(crate) struct Hit {
    pub(crate) stored: Arc<StoredResponse>,
    pub(crate) age: u32,
    pub(crate) reason: Reason,
    pub(crate) now: Timestamp,
    /// Whether it is stale, and to be refreshed in the background (RFC 5861 §3).
    pub(crate) wants_refresh: bool,
}

impl<S> CacheService<S> {
    /// The way that a request with this method takes. Called once for each request, at each of the two doors, before its key is derived.
    pub(crate) fn admit(&self, method: &Method, uri: &Uri, has_content: bool) -> Admission {
        match MethodKind::of(method) {
            MethodKind::Unsafe if !self.route.cache => {
                match self.route.reads_with_content(method).filter(|rules| rules.kind.has_operations()) {
                    Some(rules) => Admission::ReadOperations(rules.clone(), Reason::RouteNotCached),
                    None => Admission::Pass(Reason::RouteNotCached, ForwardReason::Bypass),
                }
            }
            _ if !self.route.cache => Admission::Pass(Reason::RouteNotCached, ForwardReason::Bypass),
            MethodKind::Unsafe | MethodKind::OtherSafe => match self.route.reads_with_content(method) {
                Some(rules) => Admission::ReadContent(rules.clone()),
                None => Admission::Pass(Reason::Method, ForwardReason::Method),
            },
            MethodKind::Get | MethodKind::Head if has_content => Admission::Pass(Reason::RequestBody, ForwardReason::Request),
            MethodKind::Get => match self.route.content.as_ref().filter(|rules| rules.is_in_query(uri.query())) {
                Some(rules) => Admission::ReadContent(rules.clone()),
                None => Admission::LookUp,
            },
            MethodKind::Head => Admission::LookUp,
        }
    }

    /// Derives the key of a request that is looked up, and reads what bears on caching; or tells why the request passes by the store: for its
    /// cookies, for a token that is not to be believed, or because it does not show what its answer is shared by. Cookies that are as if absent are there no more afterwards: neither a key nor `Vary` nor the origin sees them.
    pub(crate) fn prepare<R>(
        &self,
        request: &mut Request<R>,
        content: Option<&ContentKey>,
        effective: &EffectiveTarget,
        key: &mut KeyBuffer,
    ) -> Result<RequestContext, Reason> {
        let rules = &*self.route;
        let read = |request: &Request<R>, key: &mut KeyBuffer| {
            let (fields, method) = (request.headers(), request.method());
            let target = effective.target(request.uri(), fields);
            match content {
                None => {
                    rules.key.derive(target, fields, key);
                    rules.context(method, fields, key)
                }
                // What a GET asks for in its query has the key that it would have in the content of a POST.
                Some(content) if *method == Method::GET => {
                    let rest = target.query.and_then(ContentRules::rest_of_query);
                    let target = Target { query: rest.as_deref(), ..target };
                    rules.key.derive_with_content(&Method::POST, content, target, fields, key);
                    rules.context(method, fields, key)
                }
                Some(content) => {
                    rules.key.derive_with_content(method, content, target, fields, key);
                    rules.context(&Method::GET, fields, key)
                }
            }
        };
        let context = read(request, key);
        if key.unverified() {
            return Err(Reason::UnverifiedToken);
        }
        if rules.key.needs_identity && !key.identified() {
            return Err(Reason::Unidentified);
        }
        if !context.cookies {
            return Ok(context);
        }
        if context.private_cookies && rules.policy.cookies == CookiePolicy::Pass {
            return Err(Reason::Cookie);
        }
        // An identity may be made of the whole field.
        let is_changed = rules.key.strip_ignored_cookies(request.headers_mut());
        Ok(if is_changed { read(request, key) } else { context })
    }

    /// Whether the client may and does ask for an answer from the origin.
    pub(crate) fn asks_for_bypass<R>(&self, request: &Request<R>, key: &KeyBuffer, client: Option<IpAddr>) -> bool {
        !key.query_as_sent() && self.route.key.query.is_bypassed(request.uri().query()) && self.route.may_bypass.allows(client)
    }

    /// Whether the client's network has a bypass left. To be called once for a request that [asks for one](Self::asks_for_bypass).
    pub(crate) fn takes_bypass(&self, client: Option<IpAddr>) -> bool {
        let Some(rate) = self.route.bypass_rate else { return true };
        let is_taken = self.cache.bypasses.take(client, rate, self.cache.clock.now());
        if !is_taken {
            self.cache.counters.bypasses_refused.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    /// Looks a request up, and decides how to answer it.
    #[inline]
    pub(crate) fn look_up<B>(&self, context: &RequestContext, fields: &HeaderMap, key: SlotKey<'_>) -> LookedUp<B> {
        let now = self.cache.clock.now();
        let mut looked_up = self.decide_about(context, fields, self.cache.store.lookup(key, fields, now), now);
        if self.route.policy.ttl_mode == TtlMode::Sliding
            && let LookedUp::Hit(hit) = &mut looked_up
        {
            self.extend(hit);
        }
        looked_up
    }

    /// The decision about what a look-up has found.
    #[inline]
    pub(crate) fn decide_about<B>(&self, context: &RequestContext, fields: &HeaderMap, found: Lookup, now: Timestamp) -> LookedUp<B> {
        let rules = &*self.route;
        let found = match found {
            // It says nothing about requests that everybody could have sent.
            Lookup::HitForMiss { of_credentials: true } if !context.has_credentials() => Lookup::Absent(Departure::Unknown),
            found => found,
        };
        if let Lookup::Partial(part) = &found {
            return consider(rules, context, fields, part, &self.cache.in_flight, now);
        }
        match (rules.decide(context, &found, now), found) {
            (Decision::Serve { age, reason }, Lookup::Found(stored)) => {
                LookedUp::Hit(Hit { stored, age, reason, now, wants_refresh: false })
            }
            (Decision::ServeStale { age, reason }, Lookup::Found(stored)) => {
                LookedUp::Hit(Hit { stored, age, reason, now, wants_refresh: true })
            }
            (Decision::GatewayTimeout { reason }, _) => LookedUp::GatewayTimeout(reason),
            (Decision::Validate { reason }, found) => LookedUp::Fetch(FetchPlan::validate(reason, found)),
            // A serving decision is only ever taken about a stored response.
            (Decision::Forward { reason } | Decision::Serve { reason, .. } | Decision::ServeStale { reason, .. }, found) => {
                LookedUp::Fetch(FetchPlan::forward(reason, found))
            }
        }
    }

    /// Gives the stored response that a request uses the lifetime that it has from this use on. The other tiers get it too, for restarts and for
    /// replicas that have none. It is the same fetch, so a replica that has its own copy goes by the uses that it sees.
    #[cold]
    fn extend(&self, hit: &mut Hit) {
        let stored = &hit.stored;
        let head = extended(&self.route.policy, &stored.head, hit.now).filter(|_| !hit.wants_refresh);
        if let Some(head) = head {
            let longer = Arc::new(stored.freshened(&head, stored.position, stored.fetch));
            longer.mark_asked();
            self.cache.freshen_soon(Arc::clone(&longer), &self.route.tiers);
            hit.stored = longer;
        }
    }

    /// As [`Self::look_up`], for a request on its way to the origin.
    pub(crate) fn look_up_again<B>(&self, request: &ClientRequest) -> LookedUp<B> {
        self.look_up(&request.context, &request.parts.headers, self.cache.store.slot_key_of(&request.key))
    }

    /// The stored response for a request, without a decision about it.
    pub(crate) fn stored_for(&self, request: &ClientRequest) -> Lookup {
        let store = &self.cache.store;
        store.lookup(store.slot_key_of(&request.key), &request.parts.headers, self.cache.clock.now())
    }
}

impl RouteRules {
    /// Whether a request with this method only reads, so that it may be answered from the store and invalidates nothing.
    pub fn reads(&self, method: &Method) -> bool {
        MethodKind::of(method).reads() || self.reads_with_content(method).is_some()
    }

    /// The rules for the content of a request with this method, where that makes it a read that can be answered from the store.
    fn reads_with_content(&self, method: &Method) -> Option<&ContentRules> {
        let rules = self.content.as_ref()?;
        (method.as_str() == "QUERY" || (rules.post && *method == Method::POST)).then_some(rules)
    }

    /// The decision about the stored response that was found.
    pub(crate) fn decide(&self, context: &RequestContext, found: &Lookup, now: Timestamp) -> Decision {
        match found {
            Lookup::Found(stored) if stored.is_softened() => decide_soft_purged(&self.policy, context, &stored.head, now),
            found => decide(&self.policy, context, found.head(), now),
        }
    }
}

impl Hit {
    /// Whether this use is to begin the next fetch, although the response is fresh. Nobody is to ask for what its origin calls immutable (RFC 8246).
    #[cold]
    pub(crate) fn is_due_ahead(&self, policy: &Policy) -> bool {
        let stored = &self.stored;
        if self.reason != Reason::Fresh || !stored.may_refresh(self.now) {
            return false;
        }
        let (took, random) = Cache::took(stored);
        is_due(policy, &stored.head, Use { hits: stored.uses().saturating_add(1), took, random }, self.now)
    }

    /// Milliseconds after which a use begins the next fetch, once it was used often enough; `None`: not before it is stale.
    pub(crate) fn due_ahead_in(&self, policy: &Policy) -> Option<u64> {
        let (took, random) = Cache::took(&self.stored);
        let often = Use { hits: u8::MAX, took, random };
        if self.reason == Reason::Fresh { due_in(policy, &self.stored.head, often, self.now) } else { None }
    }

    /// As a response.
    pub(crate) fn served<B>(&self, context: &RequestContext, fields: &HeaderMap, in_flight: &Arc<InFlight>) -> Served<B> {
        let (status, outcome) = self.status();
        let response = respond::from_stored(context, fields, &self.stored, in_flight, self.age, CacheResult::Hit, &status);
        Served { response, outcome }
    }

    /// As the fields lie in the store, where that is possible.
    pub(crate) fn as_stored<B>(&self, context: &RequestContext, fields: &HeaderMap, in_flight: &Arc<InFlight>) -> Option<StoredAnswer<B>> {
        let (status, outcome) = self.status();
        StoredAnswer::in_slots(context, fields, &self.stored, in_flight, self.age, &status, outcome)
    }

    fn status(&self) -> (CacheStatus, Outcome) {
        let ttl = match self.stored.head.ttl(self.now) {
            // A soft purge ended its lifetime, whatever is left of it.
            ttl if self.reason == Reason::SoftPurged => ttl.min(0),
            ttl => ttl,
        };
        let detail = (self.reason != Reason::Fresh).then_some(self.reason.as_str());
        let status = CacheStatus { hit: true, ttl: Some(ttl), detail, ..CacheStatus::default() };
        let mut outcome = Outcome::new(CacheResult::Hit, self.reason, Some(self.stored.key()));
        outcome.stale = ttl <= 0;
        (status, outcome)
    }
}
