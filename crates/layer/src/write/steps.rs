//! A request with an unsafe method. It makes what it names invalid before its answer goes out (RFC 9111 §4.4), and that answer may be good
//! for later GETs (RFC 9110 §9.3.3).
//!
//! 1. [`Write::begin`]: what is known to become old, and the ledger's position from before the request goes out.
//! 2. [`Write::end`]: with the answer's head, what becomes old with it, and whether it may be stored.
//! 3. [`Written::settle`]: makes it old, here and everywhere.
//! 4. [`body_invalidation`](super::body_invalidation): what only JSON in the bodies names, before the last frame of the answer.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use larder_semantics::CacheStatus;
use larder_semantics::invalidation::invalidated;
use larder_semantics::{
    Disposition, Exchange, KeyBuffer, Reason, RequestContext, StoredHead, Target, Timestamp, VarySpec, on_write_response,
};
use larder_store::{Invalidation, InvalidationTarget, Position, Subject, Tag, Tags};
use tokio::sync::oneshot;

use crate::body::CacheBody;
use crate::body::request::RequestBody;
use crate::cache::Cache;
use crate::caller::Caller;
use crate::clock::monotonic;
use crate::collapse::answer::leaders_answer;
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::error::FetchError;
use crate::fetch::state::Job;
use crate::lookup::request::Asked;
use crate::outcome::{CacheResult, Served};
use crate::rules::{MadeOld, RouteRules, TagsInBody};
use crate::service::CacheService;
use crate::task::detached::{Errand, detach};
use crate::upstream::{ClientBody, Upstream, UpstreamBody, announced_length, call};
use crate::write::body_invalidation::{Told, Watched, pass_along};
use crate::write::pass::passed;
use crate::write::refetch::Again;

/// Sends a write and makes old what it names. To be run to its end, whether its client is there or not: what the origin has done cannot be
/// told from what it has not.
pub(crate) async fn write<S: Upstream, R: ClientBody>(
    service: CacheService<S>,
    request: Request<R>,
    caller: Caller,
    reason: Reason,
    status: CacheStatus,
) -> Result<Served<S::Body>, FetchError> {
    let (mut parts, body) = request.into_parts();
    let (write, body) = Write::begin(&service, &parts, caller, body);
    parts.uri = service.upstream_uri(&parts.uri);
    let started = monotonic();
    let mut answer = call(&service.inner, || Request::from_parts(parts, body)).await;
    let upstream = monotonic().saturating_duration_since(started);
    let named = answer.as_mut().ok().and_then(|answer| service.route.tags.take_tags(answer.headers_mut()));
    let never_arrived = answer.as_ref().err().is_some_and(|error| service.route.writes.never_arrived(error));
    let written = (!never_arrived).then(|| write.end(&service, answer.as_ref().ok(), named)).flatten();
    let (kept, told) = match written {
        Some(written) => written.settle(&service).await,
        None => (None, None),
    };
    let (response, cache) = (answer?, Arc::clone(&service.cache));
    let mut served = match (kept, told) {
        (Some(kept), Some(told)) => kept.stream(service, watched(&cache, told, response), status).await?,
        (Some(kept), None) => kept.stream(service, response, status).await?,
        (None, Some(told)) => passed(pass_along(&cache, watched(&cache, told, response)), status, reason),
        (None, None) => passed(response.map(CacheBody::upstream), status, reason),
    };
    served.outcome.upstream = Some(upstream);
    Ok(served)
}

fn watched<B: Body<Data = Bytes>>(cache: &Arc<Cache>, told: Told, response: Response<B>) -> Response<Watched<B>> {
    let (head, body) = response.into_parts();
    let body = Watched::new(Arc::clone(cache), told, &head.headers, body);
    Response::from_parts(head, body)
}

/// A request with an unsafe method on its way.
struct Write {
    parts: Parts,
    caller: Caller,
    /// The ledger's position from before it was sent.
    began: Position,
    request_time: Timestamp,
    /// What it makes old besides the URLs that RFC 9111 names.
    made_old: Vec<InvalidationTarget>,
    /// What more only the bodies tell.
    told: Option<Told>,
}

/// A write that was answered.
struct Written {
    /// What it makes old.
    old: Invalidation,
    /// The ledger's position from before it was sent.
    began: Position,
    /// Its answer, where that may be stored.
    answer: Option<Representation>,
    /// What the rest of its answer may tell.
    told: Option<Told>,
    /// What is to be fetched again once it is old.
    again: Vec<Again>,
}

/// The answer to a write that is good for later GETs.
struct Representation {
    /// Those of a GET.
    rules: Arc<RouteRules>,
    asked: Arc<Asked>,
    tags: Tags,
    head: Arc<StoredHead>,
    vary: Option<VarySpec>,
}

/// As [`Representation`], with its place in the sequences of fetches and invalidations.
struct Kept {
    rules: Arc<RouteRules>,
    asked: Arc<Asked>,
    job: Box<Job>,
    head: Arc<StoredHead>,
    vary: Option<VarySpec>,
}

impl Write {
    /// The write, and its body to be sent in place of the client's.
    fn begin<S: Upstream, R: ClientBody>(service: &CacheService<S>, parts: &Parts, caller: Caller, body: R) -> (Self, RequestBody) {
        let (began, request_time) = (service.cache.store.ledger().position(), service.cache.clock.now());
        let MadeOld { known, told } = service.route.writes.made_old(parts, caller.target(&parts.uri, &parts.headers));
        let (told, body) = match told {
            Some(rules) => {
                let (told, body) = Told::about(rules, &parts.headers, body);
                (Some(told), body)
            }
            None => (None, RequestBody::new(body)),
        };
        (Self { parts: parts.clone(), caller, began, request_time, made_old: known, told }, body)
    }

    /// What it makes old, and what of its answer may be stored with the tags that its origin `named`, unless those were too many. `None`
    /// where it makes nothing old.
    fn end<S: Upstream>(
        mut self,
        service: &CacheService<S>,
        answer: Option<&Response<S::Body>>,
        named: Option<Vec<String>>,
    ) -> Option<Written> {
        let mut told = self.told.take();
        let target = self.caller.target(&self.parts.uri, &self.parts.headers);
        let Some(answer) = answer else {
            // Nobody knows whether the write took place; what is stored may be old now.
            let mut old = urls_of(service, target, StatusCode::NO_CONTENT, &HeaderMap::new());
            old.extend(self.made_old.iter().cloned());
            old.extend(told.iter().flat_map(Told::unanswered));
            return Some(Written { old: Invalidation::hard(old), began: self.began, answer: None, told: None, again: Vec::new() });
        };
        let mut old = urls_of(service, target, answer.status(), answer.headers());
        if old.is_empty() {
            return None;
        }
        old.extend(self.made_old.iter().cloned());
        old.extend(told.iter_mut().flat_map(Told::early));
        let told = told.filter(|told| told.waits_for(answer.headers(), answer.body().is_end_stream()));
        let kept = named.and_then(|named| self.representation(service, answer, &named));
        // What the answer itself will be stored for need not be fetched.
        let own = kept.as_ref().map(|kept| InvalidationTarget::Url(kept.asked.key.url().to_owned()));
        let others: Vec<_> = old.iter().filter(|target| Some(*target) != own.as_ref()).cloned().collect();
        let again = service.route.writes.again(&self.parts, target, &others);
        Some(Written { old: Invalidation::hard(old), began: self.began, answer: kept, told, again })
    }

    fn representation<S: Upstream>(
        &self,
        service: &CacheService<S>,
        answer: &Response<S::Body>,
        named: &[String],
    ) -> Option<Representation> {
        let target = self.caller.target(&self.parts.uri, &self.parts.headers);
        let (rules, headers) = (reading(service, target), &self.parts.headers);
        let mut key = KeyBuffer::default();
        rules.key.derive(target, headers, &mut key);
        let context = rules.context(&self.parts.method, headers, &key);
        let (head, vary) = self.storable(service, &rules, answer, &context, target)?;
        let asked = Arc::new(Asked { parts: self.parts.clone(), context, key: key.to_key() });
        let known = rules.known_tags(&asked.parts, &asked.key)?;
        let tags = Tag::joined(&known, &Tag::surrogates(named.iter().map(String::as_str))?)?;
        Some(Representation { rules, asked, tags, head, vary })
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
            Disposition::Store { head, vary } if rules.cache && fits => Some((head, vary)),
            _ => None,
        }
    }
}

/// The rules under which a GET of `target` is stored: often those of another route than the write's own.
fn reading<S>(service: &CacheService<S>, target: Target<'_>) -> Arc<RouteRules> {
    service.route.writes.reading(target).unwrap_or_else(|| Arc::clone(&service.route))
}

/// The URLs that RFC 9111 §4.4 names, as reads are stored under them.
fn urls_of<S: Upstream>(
    service: &CacheService<S>,
    target: Target<'_>,
    status: StatusCode,
    response: &HeaderMap,
) -> Vec<InvalidationTarget> {
    let url = |target: Target<'_>| reading(service, target).key.url_of(target);
    invalidated(target, status, response).iter().map(|invalid| InvalidationTarget::Url(url(invalid.target()))).collect()
}

impl Written {
    /// Invalidates what it makes old, here and everywhere. What comes back is stored, unless something else made it old meanwhile.
    async fn settle<S: Upstream>(self, service: &CacheService<S>) -> (Option<Kept>, Option<Told>) {
        let (cache, mut told) = (&service.cache, self.told);
        let kept = match self.answer {
            None => {
                cache.invalidate_by_write(&self.old).await;
                None
            }
            Some(Representation { rules, asked, tags, head, vary }) => {
                // Whatever was fetched before has a smaller number, and is invalid from the next step on.
                let fetch = cache.next_fetch();
                let subject = Subject { url: asked.key.url(), tags: (&tags).into() };
                let (position, untouched) = cache.invalidate_since(&self.old, &subject, self.began).await;
                let job = Job::of_write(Arc::clone(&asked), position, fetch, tags);
                untouched.then_some(Kept { rules, asked, job, head, vary })
            }
        };
        match &mut told {
            // What the rest of the answer names would make old what is fetched before.
            Some(told) => told.fetch_again(self.again),
            None => self.again.into_iter().for_each(detach),
        }
        (kept, told)
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
        match Errand::new(self.job.store(service, response, self.head, self.vary, reply)).bring(answer).await {
            Ok(Reply { outcome: FetchOutcome::Fetched(live), own: Own::Head { head, reader } }) => {
                Ok(leaders_answer(&self.asked, head, &live, reader, status, CacheResult::Bypass))
            }
            _ => Err(FetchError::new("the exchange with the upstream was lost")),
        }
    }
}
