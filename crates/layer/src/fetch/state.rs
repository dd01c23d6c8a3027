//! The state of a fetch under way.

use std::sync::{Arc, Mutex, PoisonError};

use larder_semantics::content::Asked;
use larder_semantics::content::rpc::RpcRequest;
use larder_semantics::{CacheGroup, Policy, Reason, StatusTtls, StoredHead, TtlMode, may_steer};
use larder_store::{Lease, Lookup, Position, Remembered, StoredResponse, Tag, Tags};
use tokio::sync::oneshot;

use crate::body::offered::OfferedResponse;
use crate::body::pending::PendingResponse;
use crate::cache::Cache;
use crate::collapse::flight::{Landed, Permit};
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::lookup::plan::UpstreamMode;
use crate::lookup::request::ClientRequest;
use crate::rules::{CACHE_TTL, RouteRules, group_tags};
use crate::service::CacheService;
use crate::tiers::look_up::FetchBasis;
use crate::tiers::waiting::Overdue;
use crate::upstream::Upstream;

/// A fetch: the request it is for, the stored responses it may confirm, and its duties to other requests and replicas.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(super) request: Arc<ClientRequest>,
    /// Stored responses that may be confirmed, the selected one first.
    pub(super) candidates: Vec<Arc<StoredResponse>>,
    /// Whether the first candidate is what the request selects, and not just another variant.
    pub(super) selected: bool,
    /// May stand in for an answer that does not come (RFC 5861 §4).
    pub(super) stand_in: Option<Arc<StoredResponse>>,
    pub(super) mode: UpstreamMode,
    pub(super) permit: Option<Permit>,
    /// Other replicas wait. Dropped without an answer, it lets the next one try.
    pub(super) lease: Option<Lease>,
    /// Another replica's fetch, which was waited for in vain, and may succeed before this one.
    pub(super) overdue: Option<Overdue>,
    pub(super) position: Position,
    pub(super) number: u64,
    pub(super) tags: Tags,
    pub(super) naming: Naming,
    /// It has no client, so it continues when no request waits.
    pub(crate) in_background: bool,
    /// Whether the answer is stored, where it may be. Otherwise it is for those who wait for it.
    pub(super) keeps: bool,
    /// It is a dry run's, whose request is not counted.
    pub(super) is_trial: bool,
    /// The policy for this request, where it is not the route's.
    pub(super) policy: Option<Box<Policy>>,
}

/// How the tags known beforehand and those that the origin's answer names add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// The answer names none: a response that it confirms keeps those it has.
    Nothing,
    /// The answer names some: they take the place of those before.
    Tags,
    /// More than are kept.
    TooMany,
}

/// In the extensions of a request of several parts: the tags that its answer named, with which the parts are stored. They are no longer among its fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamedForParts(Arc<Mutex<Option<Vec<String>>>>);

impl NamedForParts {
    /// `None`: they were too many.
    pub(super) fn set(&self, named: Option<Vec<String>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = named;
    }

    /// `None`: they were too many, or there was no answer.
    pub(crate) fn get(&self) -> Option<Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The policy for a request that has a lifetime of its own: by what it says, or by its method.
pub(super) fn own_policy(request: &ClientRequest, rules: &RouteRules) -> Option<Box<Policy>> {
    let said = if rules.client_controls { said_ttl(request) } else { None };
    let ttl = match request.asked() {
        Asked::Rpc(RpcRequest { ttl: Some(ttl), .. }) => Some(*ttl),
        _ => None,
    };
    let ttl = said.or(ttl)?;
    Some(Box::new(rules.policy.clone().with(|policy| {
        (policy.ttl, policy.ttl_mode, policy.status_ttls) = (ttl, TtlMode::Override, StatusTtls::default());
        if ttl == 0 {
            policy.max_ttl = Some(0);
        }
    })))
}

/// The lifetime that a client wants.
fn said_ttl(request: &ClientRequest) -> Option<u32> {
    request.parts.headers.get(CACHE_TTL)?.to_str().ok()?.trim().parse().ok()
}

impl Fetch {
    /// Everything that has to be known from before the fetch.
    pub(crate) fn new<S: Upstream>(
        service: &CacheService<S>,
        request: Arc<ClientRequest>,
        found: &Lookup,
        mode: UpstreamMode,
        permit: Option<Permit>,
    ) -> Box<Self> {
        let store = &service.cache.store;
        let candidates = match found {
            _ if !matches!(mode, UpstreamMode::Whole) => Vec::new(),
            Lookup::Found(stored) | Lookup::Unvouched(stored) => vec![Arc::clone(stored)],
            Lookup::VaryMiss(index, _) => store.candidates(index, &request.parts.headers),
            Lookup::Partial(_) | Lookup::HitForMiss { .. } | Lookup::Absent(_) => Vec::new(),
        };
        let position = permit.as_ref().map_or_else(|| store.ledger().position(), Permit::position);
        let selected = found.response().is_some() && !candidates.is_empty();
        let policy = own_policy(&request, &service.route);
        let tags = permit.as_ref().map_or_else(|| service.known_tags(&request), |permit| permit.tags().cloned());
        let naming = if tags.is_some() { Naming::Nothing } else { Naming::TooMany };
        let mut fetch = Box::new(Self {
            request,
            candidates,
            selected,
            stand_in: found.response().cloned(),
            mode,
            permit,
            lease: None,
            overdue: None,
            position,
            number: service.cache.next_fetch(),
            tags: tags.unwrap_or_default(),
            naming,
            in_background: false,
            keeps: true,
            is_trial: false,
            policy,
        });
        fetch.forgo_purged(&service.cache);
        fetch
    }

    /// Asks about nothing that was purged since it was found. The answer is stored under a position from after that purge, so a 304 would bring
    /// it back as fresh.
    fn forgo_purged(&mut self, cache: &Cache) {
        let ledger = cache.store.ledger();
        if self.candidates.iter().any(|stored| !stored.is_valid(ledger)) {
            self.selected &= self.candidates.first().is_some_and(|stored| stored.is_valid(ledger));
            self.candidates.retain(|stored| stored.is_valid(ledger));
        }
        if self.mode.part().is_some_and(|part| !part.is_valid(ledger)) {
            self.mode = UpstreamMode::Verbatim;
        }
    }

    /// For the answer to a write, which is there already.
    pub(crate) fn of_write(request: Arc<ClientRequest>, position: Position, number: u64, tags: Tags) -> Box<Self> {
        let (candidates, mode, naming) = (Vec::new(), UpstreamMode::Verbatim, Naming::Nothing);
        let (selected, stand_in, permit, lease, overdue, in_background) = (false, None, None, None, None, false);
        Box::new(Self {
            request,
            candidates,
            selected,
            stand_in,
            mode,
            permit,
            lease,
            overdue,
            position,
            number,
            tags,
            naming,
            in_background,
            keeps: true,
            is_trial: false,
            policy: None,
        })
    }
}

impl Fetch {
    /// The fetch begins after other replicas were asked: invalidations from before do not concern it.
    pub(super) fn begin_now(&mut self, cache: &Cache, FetchBasis { candidate, lease, overdue }: FetchBasis) {
        (self.lease, self.overdue) = (lease, overdue);
        self.permit.iter().for_each(Permit::begin);
        self.position = cache.store.ledger().position();
        self.number = cache.next_fetch();
        if let Some(candidate) = candidate {
            self.stand_in = Some(Arc::clone(&candidate));
            if matches!(self.mode, UpstreamMode::Whole) {
                self.candidates = vec![candidate];
                self.selected = true;
            }
        }
        self.forgo_purged(cache);
    }

    /// Hands the outcome to the followers and the client. Requests join until the flight that comes back is dropped.
    pub(super) fn deliver<B>(&mut self, outcome: FetchOutcome, own: Own<B>, reply: oneshot::Sender<Reply<B>>) -> Option<Landed> {
        let landed = self.permit.take().and_then(|permit| permit.land(outcome.clone()));
        // A client that left does not want it.
        let _ = reply.send(Reply { outcome, own });
        landed
    }

    /// Drops the stored response that the origin was asked about, unless the answer is about one client's credentials or may be about another
    /// resource, or that response is for requests without any.
    pub(super) fn forget(&self, cache: &Cache) {
        if self.request.context.authorization || may_steer(&self.request.parts.headers) {
            return;
        }
        if self.selected {
            let first = self.candidates.iter().take(1).filter(|stored| stored.head.suits(&self.request.context));
            first.for_each(|stored| cache.remove(stored));
        }
        self.forget_part(cache);
    }

    /// Remembers that requests for the key need not wait for each other, unless the answer may be about another resource.
    pub(super) fn remember(&self, cache: &Cache, reason: Reason) {
        if may_steer(&self.request.parts.headers) {
            return;
        }
        self.request.remember_hit_for_miss(cache, reason == Reason::TooLarge, self.number);
    }

    /// What other replicas may remember with this one. They can tell by themselves what is too large.
    pub(super) fn remembered(&self, reason: Reason) -> Remembered {
        match self.request.context.has_credentials() {
            _ if reason == Reason::TooLarge => Remembered::No,
            true => Remembered::OfCredentials,
            false => Remembered::Plain,
        }
    }

    /// Adds the tags that the origin named; `None`: they were too many.
    pub(super) fn tag(&mut self, named: Option<&[String]>) {
        if self.naming == Naming::TooMany || named.is_some_and(<[_]>::is_empty) {
            return;
        }
        let named = named.and_then(|named| Tag::surrogates(named.iter().map(String::as_str)));
        match named.and_then(|named| Tag::joined(&self.tags, &named)) {
            Some(tags) => (self.tags, self.naming) = (tags, Naming::Tags),
            None => self.naming = Naming::TooMany,
        }
    }

    /// Adds those of the groups that a head which is to be stored names.
    pub(super) fn tag_by_groups(&mut self, head: &StoredHead) {
        // Nearly none names any, and where the URL stands in a key has to be looked for.
        if !CacheGroup::are_named_by(head) {
            return;
        }
        let groups = group_tags(self.request.key.url(), head);
        match Tag::joined(&self.tags, &groups) {
            Some(tags) => self.tags = tags,
            None => self.naming = Naming::TooMany,
        }
    }

    /// The body is on its way. Other replicas may read one that the tier behind keeps while it arrives, and do not wait for another. Nor for one that
    /// names tags, or that is judged at its end: only that tells what invalidates it, and whether it is for everyone.
    pub(super) fn body_is_arriving<S>(&mut self, service: &CacheService<S>, pending: &Arc<PendingResponse>, is_judged_at_its_end: bool) {
        self.share_no_more_than(&service.cache, pending.length.unwrap_or(0));
        if let Some(lease) = &mut self.lease {
            let (key, pending, fetch) = (self.request.key.clone(), Arc::clone(pending), self.number);
            let is_known = !pending.more_tags && !is_judged_at_its_end;
            lease.arriving(is_known.then(|| Box::new(OfferedResponse { key, pending, fetch }) as _));
        }
    }

    /// Other replicas do not wait for a body that is too long for the tier behind.
    pub(super) fn share_no_more_than(&mut self, cache: &Cache, length: u64) {
        if let Some(lease) = self.lease.take_if(|lease| cache.tiers.get(lease.tier()).is_some_and(|tier| !tier.store.takes(length))) {
            lease.not_shared();
        }
    }
}
