//! A request with an unsafe method. It invalidates its targets before its answer goes out (RFC 9111 §4.4), and that answer may be stored for later
//! GETs (RFC 9110 §9.3.3).
//!
//! 1. [`Write::begin`]: the known targets, and the ledger's position from before the request goes out.
//! 2. [`Write::end`]: with the answer's head, all targets that it names, and whether the answer may be stored.
//! 3. [`Written::settle`]: invalidates them, here and on all replicas.
//! 4. [`body_invalidation`](super::body_invalidation): targets that only JSON in the bodies names, before the last frame of the answer.

use std::any::Any;
use std::panic::resume_unwind;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use larder_semantics::invalidation::invalidated;
use larder_semantics::{
    CacheGroup, CacheStatus, Disposition, Exchange, KeyBuffer, Reason, RequestContext, StoredHead, Target, Timestamp, VarySpec,
    on_write_response,
};
use larder_store::{Invalidation, InvalidationTarget, Position, Subject, Tag, Tags};
use tokio::sync::oneshot;

use crate::body::CacheBody;
use crate::body::request::{ClientBody, RequestBody};
use crate::clock::monotonic;
use crate::collapse::answer::leaders_answer;
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::effective_target::EffectiveTarget;
use crate::error::FetchError;
use crate::fetch::state::Fetch;
use crate::lookup::request::ClientRequest;
use crate::outcome::{CacheResult, Served};
use crate::rules::{Guarded, Operations, Refetch, RouteRules, TagsInBody, group_tags, group_target};
use crate::service::CacheService;
use crate::steps::{ObservedSteps, Step, Stopwatch};
use crate::task::background::run_in_background;
use crate::task::caught::caught;
use crate::task::detached::DetachedTask;
use crate::upstream::{SentBefore, Upstream, UpstreamBody, announced_length, call_timed};
use crate::write::body_invalidation::{BodyWatcher, pass_watched, watch, watched};
use crate::write::pass::passed;

/// Sends a write and invalidates its targets. To be run to its end even if its client leaves: whether the origin has carried the write out is
/// not known.
pub(crate) async fn write<S: Upstream, R: ClientBody>(
    service: CacheService<S>,
    request: Request<R>,
    effective: EffectiveTarget,
    reason: Reason,
    status: CacheStatus,
) -> Result<Served<S::Body>, FetchError> {
    let (mut parts, body) = request.into_parts();
    let observed = parts.extensions.get::<ObservedSteps>().cloned();
    let (mut write, body) = Write::begin(&service, &parts, effective, body);
    parts.uri = service.upstream_uri(&parts.uri);
    let started = monotonic();
    let answer = tokio::select! {
        biased;
        answer = caught(call_timed(&service.inner, &service.cache.clock, || Request::from_parts(parts, body))) => answer,
        () = service.cache.unfinished.given_up() => Ok(Err(FetchError::lost())),
    };
    // The service may have done what it was asked for before it panicked.
    let (answer, panic) = answer.map_or_else(|panic| (Err(FetchError::lost()), Some(panic)), |answer| (answer, None));
    let upstream = monotonic().saturating_duration_since(started);
    let mut answer = answer.map(|(answer, request_time)| {
        write.request_time = request_time;
        answer
    });
    let named = answer.as_mut().ok().and_then(|answer| service.route.tags.take_tags(answer.headers_mut()));
    let never_arrived = answer.as_ref().err().is_some_and(|error| service.route.writes.never_arrived(error));
    let written = (!never_arrived).then(|| write.end(&service, answer.as_ref().ok(), named)).flatten();
    let (kept, watcher) = match written {
        Some(written) => {
            let stopwatch = Stopwatch::of(observed);
            let settled = written.settle(&service).await;
            stopwatch.stop(|| Step::Purge);
            settled
        }
        None => (None, None),
    };
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
    let (response, cache) = (answer?, Arc::clone(&service.cache));
    let mut served = match (kept, watcher) {
        (Some(kept), Some(watcher)) => kept.stream(service, watched(&cache, watcher, response), status).await?,
        (Some(kept), None) => kept.stream(service, response, status).await?,
        (None, Some(watcher)) => passed(pass_watched(&cache, watcher, response), status, reason),
        (None, None) => passed(CacheBody::upstream(response), status, reason),
    };
    served.outcome.upstream = Some(upstream);
    Ok(served)
}

/// A request with an unsafe method on its way.
struct Write {
    parts: Parts,
    effective: EffectiveTarget,
    /// The ledger's position from before it was sent.
    began: Position,
    request_time: Timestamp,
    /// Targets besides the URLs that RFC 9111 names.
    targets: Vec<InvalidationTarget>,
    /// Watches the bodies for further targets.
    watcher: Option<BodyWatcher>,
    /// What its rules need until it has ended.
    _keeps: Option<Arc<dyn Any + Send + Sync>>,
}

/// A write that was answered.
struct Written {
    /// The invalidation that follows from it.
    old: Invalidation,
    /// The ledger's position from before it was sent.
    began: Position,
    /// Its answer, where that may be stored.
    answer: Option<Representation>,
    /// Watches the rest of its answer for further targets.
    watcher: Option<BodyWatcher>,
    /// Refetches that begin once it is old.
    refetches: Vec<Refetch>,
}

/// The answer to a write that is good for later GETs.
struct Representation {
    /// Those of a GET.
    rules: Arc<RouteRules>,
    request: Arc<ClientRequest>,
    tags: Tags,
    head: Arc<StoredHead>,
    vary: Option<VarySpec>,
}

/// As [`Representation`], with its place in the sequences of fetches and invalidations.
struct Kept {
    rules: Arc<RouteRules>,
    request: Arc<ClientRequest>,
    fetch: Box<Fetch>,
    head: Arc<StoredHead>,
    vary: Option<VarySpec>,
}

impl Write {
    /// The write, and its body to be sent in place of the client's.
    fn begin<S: Upstream, R: ClientBody>(
        service: &CacheService<S>,
        parts: &Parts,
        effective: EffectiveTarget,
        body: R,
    ) -> (Self, RequestBody) {
        let (began, request_time) = (service.cache.store.ledger().position(), service.cache.clock.now());
        let mut invalidates = service.route.writes.invalidates(parts, effective.target(&parts.uri, &parts.headers));
        let keeps = invalidates.keeps.take();
        let (known, watcher, body) = watch(invalidates, &parts.headers, body);
        (Self { parts: parts.clone(), effective, began, request_time, targets: known, watcher, _keeps: keeps }, body)
    }

    /// The invalidation, and the part of its answer that may be stored with the tags that its origin `named`, unless those were too many. `None`
    /// if it invalidates nothing.
    fn end<S: Upstream>(
        mut self,
        service: &CacheService<S>,
        answer: Option<&Response<S::Body>>,
        named: Option<Vec<String>>,
    ) -> Option<Written> {
        let mut watcher = self.watcher.take();
        self.follow_rules(service);
        let target = self.effective.target(&self.parts.uri, &self.parts.headers);
        let old_at_once = |began, old| Written { old: Invalidation::hard(old), began, answer: None, watcher: None, refetches: Vec::new() };
        // Whether the write took place is unknown; the stored responses may be old now.
        let perhaps_old = |watcher: Option<&BodyWatcher>| {
            let mut old = urls_of(service, target, StatusCode::NO_CONTENT, &HeaderMap::new());
            self.keep_shared_urls(&mut old);
            old.extend(self.targets.iter().cloned());
            old.extend(watcher.into_iter().flat_map(BodyWatcher::unanswered));
            old
        };
        let Some(answer) = answer else {
            return Some(old_at_once(self.began, perhaps_old(watcher.as_ref())));
        };
        let mut old = urls_of(service, target, answer.status(), answer.headers());
        let groups = groups_of(service, target, answer.headers());
        if old.is_empty() {
            // Groups are named by the origin itself, whatever its status.
            old.extend(groups);
            if answer.extensions().get::<SentBefore>().is_some() {
                old.extend(perhaps_old(watcher.as_ref()));
            }
            return (!old.is_empty()).then(|| old_at_once(self.began, old));
        }
        self.keep_shared_urls(&mut old);
        old.extend(self.targets.iter().cloned());
        old.extend(watcher.iter_mut().flat_map(BodyWatcher::early));
        let watcher = watcher.filter(|watcher| watcher.waits_for(answer.headers(), answer.body().is_end_stream()));
        let kept = named.and_then(|named| self.representation(service, answer, &named));
        // The URL that the answer itself will be stored for need not be fetched.
        let own = kept.as_ref().map(|kept| InvalidationTarget::Url(kept.request.key.url().to_owned()));
        let others: Vec<_> = old.iter().filter(|target| Some(*target) != own.as_ref()).cloned().collect();
        let refetches = service.route.writes.refetch(&self.parts, target, &others);
        old.extend(groups);
        Some(Written { old: Invalidation::hard(old), began: self.began, answer: kept, watcher, refetches })
    }

    /// Adds the targets by rules that came into force while it was under way.
    fn follow_rules<S: Upstream>(&mut self, service: &CacheService<S>) {
        let target = self.effective.target(&self.parts.uri, &self.parts.headers);
        let since = service.route.writes.invalidates_since(&self.parts, target);
        let new: Vec<_> = since.into_iter().filter(|target| !self.targets.contains(target)).collect();
        self.targets.extend(new);
    }

    /// All operations have one URL, so that it says nothing of what one of them has changed.
    fn keep_shared_urls(&self, old: &mut Vec<InvalidationTarget>) {
        if self.parts.extensions.get::<Operations>().is_some() {
            old.clear();
        }
    }

    fn representation<S: Upstream>(
        &self,
        service: &CacheService<S>,
        answer: &Response<S::Body>,
        named: &[String],
    ) -> Option<Representation> {
        let target = self.effective.target(&self.parts.uri, &self.parts.headers);
        let (rules, headers) = (only(readings(service, target))?, &self.parts.headers);
        // A write goes up with parameters that a key leaves out, and its answer may be made of them.
        if rules.key.query.went_up_unkeyed(target.query) {
            return None;
        }
        let mut key = KeyBuffer::default();
        rules.key.derive(target, headers, &mut key);
        if key.unverified() {
            return None;
        }
        let context = rules.context(&self.parts.method, headers, &key);
        let (head, vary) = self.storable(service, &rules, answer, &context, target)?;
        let request = Arc::new(ClientRequest::new(&rules, self.parts.clone(), context, key.to_key()));
        let guarded = Guarded { parts: &request.parts, key: &request.key, vary: vary.as_ref(), is_trial: false };
        if rules.guarded_head(guarded, answer.status(), answer.headers()).is_some() {
            return None;
        }
        let known = rules.known_tags(&request.parts, &request.key)?;
        let tags = Tag::joined(&known, &Tag::surrogates(named.iter().map(String::as_str))?)?;
        let tags = Tag::joined(&tags, &group_tags(request.key.url(), &head))?;
        Some(Representation { rules, request, tags, head, vary })
    }

    fn storable<S: Upstream>(
        &self,
        service: &CacheService<S>,
        rules: &RouteRules,
        answer: &Response<S::Body>,
        context: &RequestContext,
        target: Target<'_>,
    ) -> Option<(Arc<StoredHead>, Option<VarySpec>)> {
        let exchange = Exchange {
            policy: &rules.policy,
            request: context,
            method: &self.parts.method,
            request_headers: &self.parts.headers,
            request_time: self.request_time,
            response_time: service.cache.clock.now(),
            status: answer.status(),
            headers: answer.headers(),
        };
        let fits = announced_length(answer).is_none_or(|length| length <= rules.max_object)
            && rules.tags_in(answer.headers()) != TagsInBody::Unreadable;
        match on_write_response(&exchange, target) {
            Disposition::Store { head, vary, .. } if rules.cache && fits => Some((head, vary)),
            _ => None,
        }
    }
}

/// The rules under which a GET of `target` may be stored: often those of another route than the write's own.
fn readings<S>(service: &CacheService<S>, target: Target<'_>) -> Vec<Arc<RouteRules>> {
    let readings = service.route.writes.readings(target);
    if readings.is_empty() { vec![Arc::clone(&service.route)] } else { readings }
}

/// The rules where there can be no others.
fn only(mut readings: Vec<Arc<RouteRules>>) -> Option<Arc<RouteRules>> {
    readings.pop().filter(|_| readings.is_empty())
}

/// The URLs that RFC 9111 §4.4 names, as reads are stored under them.
fn urls_of<S: Upstream>(
    service: &CacheService<S>,
    target: Target<'_>,
    status: StatusCode,
    response: &HeaderMap,
) -> Vec<InvalidationTarget> {
    let mut urls: Vec<String> = Vec::new();
    for invalid in &invalidated(target, status, response) {
        for rules in readings(service, invalid.target()) {
            let url = rules.key.url_of(invalid.target());
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
    }
    urls.into_iter().map(InvalidationTarget::Url).collect()
}

/// The groups that RFC 9875 §3 names, of the origin under which reads of the target are stored.
fn groups_of<S: Upstream>(service: &CacheService<S>, target: Target<'_>, response: &HeaderMap) -> Vec<InvalidationTarget> {
    let mut groups: Vec<InvalidationTarget> = Vec::new();
    for rules in readings(service, target) {
        let named = CacheGroup::invalidated(&rules.key.url_of(target), response);
        let new = named.iter().map(group_target).filter(|group| !groups.contains(group)).collect::<Vec<_>>();
        groups.extend(new);
    }
    groups
}

impl Written {
    /// Invalidates the targets, here and on all replicas. The answer is stored, unless something else invalidated it meanwhile.
    async fn settle<S: Upstream>(self, service: &CacheService<S>) -> (Option<Kept>, Option<BodyWatcher>) {
        let (cache, mut watcher) = (&service.cache, self.watcher);
        let kept = match self.answer {
            None => {
                cache.invalidate_by_write(&self.old).await;
                None
            }
            Some(Representation { rules, request, tags, head, vary }) => {
                // Whatever was fetched before has a smaller number, and is invalid from the next step on.
                let number = cache.next_fetch();
                let subject = Subject { url: request.key.url(), tags: (&tags).into() };
                let (position, untouched) = cache.invalidate_since(&self.old, &subject, self.began).await;
                let fetch = Fetch::of_write(Arc::clone(&request), position, number, tags);
                untouched.then_some(Kept { rules, request, fetch, head, vary })
            }
        };
        match &mut watcher {
            // The rest of the answer may name targets that would invalidate a refetch that began before.
            Some(watcher) => watcher.refetch_later(self.refetches),
            None => self.refetches.into_iter().for_each(run_in_background),
        }
        (kept, watcher)
    }
}

impl Kept {
    /// To the client, and into the store once it is complete.
    async fn stream<S: Upstream, B: UpstreamBody>(
        self,
        service: CacheService<S>,
        response: Response<B>,
        status: CacheStatus,
    ) -> Result<Served<S::Body>, FetchError> {
        let (reply, answer) = oneshot::channel();
        let service = CacheService { route: self.rules, ..service };
        match DetachedTask::new(self.fetch.store(service, response, self.head, self.vary, reply)).run_until(answer).await {
            Ok(Reply { outcome: FetchOutcome::Fetched(pending), own: Own::Head { head, reader } }) => {
                Ok(leaders_answer(&self.request, head, &pending, reader, status, CacheResult::Bypass))
            }
            // A guard refused it.
            Ok(Reply { own: Own::Response { response, reason }, .. }) => {
                Ok(passed(response, CacheStatus { detail: Some(reason.as_str()), ..status }, reason))
            }
            _ => Err(FetchError::lost()),
        }
    }
}
