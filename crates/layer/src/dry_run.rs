//! A dry run: how a request would be answered, found out on the same way as for a request that is answered, and without changing anything.
//!
//! 1. [`CacheService::dry_run`]: admission, key, what is stored, and the decision about it.
//! 2. [`CacheService::ask_tiers`]: what the tiers behind the memory have for it, where they would be asked.
//! 3. [`CacheService::try_out`]: what would be done with the origin's answer, which is asked for and thrown away.
//! 4. [`CacheService::ask_origin`]: that answer, to be compared with what is stored.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Extensions, Method, Request, Response, StatusCode};
use larder_semantics::content::{ContentKey, Unkeyed};
use larder_semantics::{ForwardReason, KeyBuffer, PrimaryKey, Reason, RequestContext, StoredHead, Timestamp, may_steer};
use larder_store::{LoadRequest, Loaded, RemoteError, Slot, StoredResponse, Tag, Validity};

use crate::body::CacheBody;
use crate::body::content::Content;
use crate::cache::Cache;
use crate::effective_target::EffectiveTarget;
use crate::error::FetchError;
use crate::fetch::steps;
pub use crate::fetch::steps::TriedOut;
use crate::lookup::looked_up::{Admission, LookedUp};
use crate::lookup::plan::FetchPlan;
use crate::lookup::request::ClientRequest;
use crate::service::CacheService;
use crate::tiers::concurrent::within;
use crate::upstream::{InBackground, Upstream};
use crate::write::several::{DryPart, DryParts};

/// How a request would be answered.
#[derive(Debug)]
#[non_exhaustive]
pub struct DryRun {
    /// The decision.
    pub verdict: Verdict,
    /// What lies under the key, valid or not, variants included; nothing where no key was derived.
    pub stored: Vec<Slot>,
    /// The stored response among them that the request selects, if there is one.
    pub selected: Option<Arc<StoredResponse>>,
    /// The things that the request asks for, in its order, where they are looked up one by one; otherwise empty.
    pub parts: Vec<DryPart>,
    /// The time after which a use begins its next fetch ([`RouteRulesBuilder::refresh_ahead`](crate::RouteRulesBuilder::refresh_ahead)), once it was
    /// used often enough; `None`: not before it is stale.
    pub refreshed_ahead_in: Option<Duration>,
    /// When it was decided.
    pub now: Timestamp,
    request: Arc<ClientRequest>,
    /// Whether a key was derived.
    has_key: bool,
    /// How the origin would be asked; `None` where it would not, or without a look-up.
    plan: Option<FetchPlan>,
}

/// The decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered from memory.
    Hit {
        /// Why.
        reason: Reason,
        /// The status of the answer: 304 and 206 are made of stored responses too.
        status: StatusCode,
        /// The age in seconds; `None` where it is made of parts.
        age: Option<u32>,
        /// Whether a refresh in the background begins.
        refreshes: bool,
    },
    /// The origin, or a tier behind the memory, is asked.
    Fetch {
        /// Why.
        reason: Reason,
        /// `fwd` of `Cache-Status`.
        forward: ForwardReason,
    },
    /// The origin is asked, and the store is not.
    Pass {
        /// Why.
        reason: Reason,
        /// `fwd` of `Cache-Status`.
        forward: ForwardReason,
    },
    /// 504: only a stored response would do.
    GatewayTimeout {
        /// Why.
        reason: Reason,
    },
}

impl Verdict {
    /// Why.
    pub fn reason(&self) -> Reason {
        match *self {
            Self::Hit { reason, .. } | Self::Fetch { reason, .. } | Self::Pass { reason, .. } | Self::GatewayTimeout { reason } => reason,
        }
    }
}

impl DryRun {
    /// Of a request that is not looked up.
    fn without_key(verdict: Verdict, request: Arc<ClientRequest>, now: Timestamp) -> Self {
        let stored = Vec::new();
        let parts = Vec::new();
        Self { verdict, stored, selected: None, parts, refreshed_ahead_in: None, now, request, has_key: false, plan: None }
    }

    /// The request, and how the origin would be asked for it.
    pub(crate) fn fetch(&self) -> Option<(&Arc<ClientRequest>, &FetchPlan)> {
        self.plan.as_ref().map(|plan| (&self.request, plan))
    }

    /// The fetch that is known where the tiers behind the memory would be asked for a later one.
    fn asks_tiers(&self) -> Option<u64> {
        let plan = self.plan.as_ref().filter(|plan| plan.may_be_stored_elsewhere())?;
        Some(plan.found.response().map_or(0, |stored| stored.fetch))
    }

    /// The key, where one was derived.
    pub fn key(&self) -> Option<&PrimaryKey> {
        self.has_key.then_some(&self.request.key)
    }

    /// The request as the look-up saw it: cookies that are as if absent are gone.
    pub fn request(&self) -> &Parts {
        &self.request.parts
    }

    /// What bears on caching of the request.
    pub fn context(&self) -> &RequestContext {
        &self.request.context
    }
}

/// What a tier behind the memory has for a request.
#[derive(Debug)]
#[non_exhaustive]
pub struct TierLook {
    /// The tier's name.
    pub tier: &'static str,
    /// The head of what it has with the decision about it; `None`: nothing. An error where it could not be asked.
    pub found: Result<Option<(Arc<StoredHead>, Reason)>, RemoteError>,
}

impl<S> CacheService<S> {
    /// Decides about a request with this content without answering it. Neither counts it as a use, nor takes a bypass from its network.
    pub fn dry_run(&self, request: Request<()>, effective: &EffectiveTarget, content: &Bytes) -> DryRun
    where
        S: Upstream,
    {
        let (parts, ()) = request.into_parts();
        let several = match self.admit(&parts.method, &parts.uri, !content.is_empty()) {
            Admission::ReadContent(rules) => self.parts_dry(&rules, &parts, content, effective),
            _ => DryParts::One,
        };
        let run = self.dry_run_whole(Request::from_parts(parts, ()), effective, content);
        match several {
            DryParts::Unkeyed if run.has_key => {
                DryRun::without_key(Verdict::Pass { reason: Reason::BodyNotKeyed, forward: ForwardReason::Request }, run.request, run.now)
            }
            // What is stored for the whole, as a client that wants nothing split has left it, answers nothing here.
            DryParts::Each(parts) if run.has_key => {
                DryRun { verdict: verdict_about(&parts), stored: Vec::new(), selected: None, plan: None, parts, ..run }
            }
            _ => run,
        }
    }

    /// The same of what a request asks for as a whole.
    fn dry_run_whole(&self, mut request: Request<()>, effective: &EffectiveTarget, content: &Bytes) -> DryRun
    where
        S: Upstream,
    {
        let mut key = KeyBuffer::default();
        let now = self.cache.clock.now();
        let (content, prepared, other_forms) = self.prepare_dry(&mut request, content, effective, &mut key);
        let context = match prepared {
            Ok(context) => context,
            Err(verdict) => {
                let context = self.route.context(request.method(), request.headers(), &key);
                return DryRun::without_key(verdict, self.client_request(request, content, |_| (), context, &key), now);
            }
        };
        let slot_key = self.cache.store.slot_key(&key);
        let found = self.cache.store.peek(slot_key, request.headers(), now);
        let mut selected = found.response().cloned();
        let looked_up: LookedUp<S::Body> = if self.asks_for_bypass(&request, &key, effective.client) {
            LookedUp::Fetch(FetchPlan::bypass())
        } else {
            self.decide_about(&context, request.headers(), found, now)
        };
        let stored = self.cache.store.slots_of(slot_key);
        let (mut planned, mut refreshed_ahead_in) = (None, None);
        let mut verdict = match looked_up {
            LookedUp::Hit(hit) => {
                refreshed_ahead_in = hit.due_ahead_in(&self.route.policy).map(Duration::from_millis);
                let served = hit.served::<S::Body>(&context, request.headers(), &self.cache.in_flight);
                let may_refresh = !context.directives.no_store && !may_steer(request.headers());
                let (reason, refreshes) = (hit.reason, (hit.wants_refresh || self.is_due_ahead(&hit)) && may_refresh);
                Verdict::Hit { reason, status: served.response.status(), age: Some(hit.age), refreshes }
            }
            LookedUp::PartHit(served) => {
                Verdict::Hit { reason: served.outcome.reason, status: served.response.status(), age: None, refreshes: false }
            }
            LookedUp::GatewayTimeout(reason) => Verdict::GatewayTimeout { reason },
            LookedUp::Fetch(plan) => {
                let verdict = Verdict::Fetch { reason: plan.reason, forward: plan.forward };
                planned = Some(plan);
                verdict
            }
        };
        if matches!(verdict, Verdict::Fetch { .. })
            && let Some((stored, age)) = self.in_other_form_dry(&request, &content, &other_forms, effective)
        {
            verdict = Verdict::Hit { reason: Reason::Converted, status: StatusCode::OK, age: Some(age), refreshes: false };
            (selected, planned) = (Some(stored), None);
        }
        let request = self.client_request(request, content, |_| (), context, &key);
        let parts = Vec::new();
        DryRun { verdict, stored, selected, parts, refreshed_ahead_in, now, request, has_key: true, plan: planned }
    }

    /// The conditions of a request with this content whose key is derived, or how it passes by the store.
    fn prepare_dry(
        &self,
        request: &mut Request<()>,
        content: &Bytes,
        effective: &EffectiveTarget,
        key: &mut KeyBuffer,
    ) -> (Option<Content>, Result<RequestContext, Verdict>, Vec<ContentKey>) {
        let keyed = match self.admit(request.method(), request.uri(), !content.is_empty()) {
            Admission::Pass(reason, forward) => return (None, Err(Verdict::Pass { reason, forward }), Vec::new()),
            Admission::ReadOperations(_, reason) => {
                return (None, Err(Verdict::Pass { reason, forward: ForwardReason::Bypass }), Vec::new());
            }
            Admission::LookUp => None,
            Admission::ReadContent(rules) => {
                match self.route.content_key(&rules, request.method(), request.uri(), request.headers(), content) {
                    Ok(keyed) => Some(keyed),
                    Err(Unkeyed { reason: Reason::BodyNotKeyed, .. }) if *request.method() == Method::GET => None,
                    Err(Unkeyed { reason, .. }) => {
                        return (None, Err(Verdict::Pass { reason, forward: ForwardReason::Request }), Vec::new());
                    }
                }
            }
        };
        let prepared = self.prepare(request, keyed.as_ref().map(|keyed| &keyed.key), effective, key);
        let (content, other_forms) = match keyed {
            Some(keyed) => (Some(Content::of(content.clone(), &self.cache.in_flight).asking(keyed.asked)), keyed.other_forms),
            None => (None, Vec::new()),
        };
        (content, prepared.map_err(|reason| Verdict::Pass { reason, forward: ForwardReason::Bypass }), other_forms)
    }

    /// What memory has in another form than the one that is asked for, and can be converted; with its age.
    fn in_other_form_dry(
        &self,
        request: &Request<()>,
        content: &Option<Content>,
        other_forms: &[ContentKey],
        effective: &EffectiveTarget,
    ) -> Option<(Arc<StoredResponse>, u32)>
    where
        S: Upstream,
    {
        let (asked, rules) = (&content.as_ref()?.asked, self.route.content.as_ref()?);
        other_forms.iter().find_map(|other| {
            let hit = self.hit_in_memory(request.clone().into_parts().0, other, effective).filter(|hit| !hit.wants_refresh)?;
            let content_type = hit.stored.head.headers.get(&CONTENT_TYPE);
            let body = self.route.plain_body(&hit.stored)?;
            rules.converted(asked, content_type.as_ref(), &body).map(|_| (Arc::clone(&hit.stored), hit.age))
        })
    }

    /// What the tiers behind the memory have for a request that would ask them, from the nearest to the farthest. Nothing is taken into memory,
    /// and no lease is asked for.
    pub async fn ask_tiers(&self, run: &DryRun) -> Vec<TierLook> {
        let Some(newer_than) = run.asks_tiers() else { return Vec::new() };
        let mut looks = Vec::new();
        for tier in self.cache.tiers.iter().filter(|tier| self.route.tiers.has(tier.store.name())) {
            let (key, request) = (&run.request.key, &run.request.parts.headers);
            let load = tier.store.load(LoadRequest { key, request, spec: None, newer_than, lease: None, awaited: None });
            let loaded = within(tier.store.deadline(), load).await.unwrap_or(Err(RemoteError::Timeout));
            looks.push(TierLook { tier: tier.store.name(), found: loaded.map(|loaded| self.judge_loaded(run, loaded)) });
        }
        looks
    }

    fn judge_loaded(&self, run: &DryRun, loaded: Loaded) -> Option<(Arc<StoredHead>, Reason)> {
        let (store, now) = (&self.cache.store, run.now);
        let (head, validity) = match loaded {
            Loaded::Response(stored) => {
                let validity = store.ledger().check(&stored.subject(), stored.position);
                (Arc::new(stored.head.clone()), validity)
            }
            Loaded::Arriving(arriving) => {
                let record = &arriving.record;
                let subject = larder_store::Subject { url: run.request.key.url(), tags: record.tags().into() };
                (Arc::clone(record.head()), store.ledger().check(&subject, record.position()))
            }
            Loaded::Nothing(_) | Loaded::Awaited(_) | Loaded::Relayed(_) | Loaded::Failed(_) => return None,
        };
        let vouched = store.vouches_for(&head, now);
        let policy = &self.route.policy;
        let reason = match validity {
            Validity::Invalid => Reason::Purged,
            _ if !vouched => Reason::Unvouched,
            Validity::Stale => larder_semantics::decide_soft_purged(policy, &run.request.context, &head, now).reason(),
            Validity::Valid => larder_semantics::decide(policy, &run.request.context, Some(&head), now).reason(),
        };
        Some((head, reason))
    }

    /// Whether one of the surrogate keys that this route gives a request's answer is the name of one of these tags; the names that are.
    pub fn names_of_tags(&self, request: &Parts, stored: &StoredResponse) -> Vec<String> {
        let names = self.route.tags.tags(request).unwrap_or_default();
        let names = names.into_iter().chain(self.route.tags.tags_of_key(&stored.key()));
        names.filter(|name| stored.tags().iter().any(|tag| tag == Tag::surrogate(name))).collect()
    }
}

impl<S: Upstream> CacheService<S> {
    /// Asks the origin once, and says what would be done with its answer: nothing is stored, no other request waits, and the body is not read.
    /// `extend` may add extensions to the request for the inner service.
    ///
    /// # Errors
    /// Those of the inner service.
    pub async fn try_out(&self, run: &DryRun, extend: impl FnOnce(&mut Extensions)) -> Result<TriedOut, FetchError> {
        let mut parts = run.request.parts.clone();
        extend(&mut parts.extensions);
        let (context, key, content) = (run.request.context.clone(), run.request.key.clone(), run.request.content.clone());
        let request = ClientRequest { parts, context, key, content };
        steps::try_out(self.clone(), Arc::new(request).to_store()).await
    }

    /// Asks the origin once for the whole, in the background, and gives what it answers: nothing is stored, and no other request waits. `extend` as for
    /// [`Self::try_out`].
    ///
    /// # Errors
    /// Those of the inner service.
    pub async fn ask_origin(&self, run: &DryRun, extend: impl FnOnce(&mut Extensions)) -> Result<Response<S::Body>, FetchError> {
        let mut parts = run.request.parts.clone();
        extend(&mut parts.extensions);
        parts.extensions.insert(InBackground);
        let (context, key, content) = (run.request.context.clone(), run.request.key.clone(), run.request.content.clone());
        let request = ClientRequest { parts, context, key, content };
        steps::ask_whole(self, Arc::new(request).to_store()).await
    }
}

/// What becomes of a request whose parts are looked up one by one.
fn verdict_about(parts: &[DryPart]) -> Verdict {
    match parts.iter().map(|part| part.age).collect::<Option<Vec<_>>>() {
        Some(ages) => Verdict::Hit { reason: Reason::Fresh, status: StatusCode::OK, age: ages.into_iter().max(), refreshes: false },
        None => Verdict::Fetch { reason: Reason::Absent, forward: ForwardReason::UriMiss },
    }
}

impl Cache {
    /// Everything stored in memory, as far as a walk of at most `max` entries comes by, in no order. Whether there is more. No request waits for
    /// it.
    pub fn walk(&self, max: usize, visit: impl FnMut(&Slot)) -> bool {
        self.store.walk(max, visit)
    }

    /// All that lies in memory under a key, valid or not.
    pub fn slots_of(&self, key: &PrimaryKey) -> Vec<Slot> {
        self.store.slots_of(self.store.slot_key_of(key))
    }

    /// Whether an invalidation concerns a stored response, its cascades included.
    pub fn is_valid(&self, stored: &StoredResponse) -> bool {
        stored.is_valid(self.store.ledger())
    }

    /// The body of a stored response, as a client would get it.
    pub fn body_of<B>(&self, stored: &StoredResponse) -> CacheBody<B> {
        CacheBody::stored(stored.body(), &self.in_flight)
    }

    /// The time, as this cache has it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
