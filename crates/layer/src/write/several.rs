//! A request for several things: those that are stored are not asked for again, and each of the others is stored by itself.
//!
//! 1. Look-up: what is stored and fresh for each part, in memory and in the tiers.
//! 2. [`Several::fetch`]: one request for the others. Those who ask for the same at the same time share its answer.
//! 3. [`Several::keep`]: its answer is cut, and each part stored as if it had been asked for alone, when the request was.
//! 4. The parts are joined. Where one of these steps cannot be done without a loss, the whole is asked for, and its answer passed on as it came.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use larder_semantics::content::model::{Judged, USAGE_SAVED, Usage, read_saved, saved_field};
use larder_semantics::content::several::{Part, Split};
use larder_semantics::content::{Asked, ContentRequest, ContentRules};
use larder_semantics::{ForwardReason, KeyBuffer, PrimaryKey, Reason};
use tokio::sync::oneshot;

use super::content::drop_fields_of_bytes;
use super::fresh::{Fresh, without_conditions};
use super::pass;
use crate::body::CacheBody;
use crate::body::collected::{Collected, collect};
use crate::body::content::Content;
use crate::body::request::RequestBody;
use crate::effective_target::EffectiveTarget;
use crate::error::FetchError;
use crate::fetch::state::{Fetch, NamedForParts};
use crate::fetch::store::Began;
use crate::lookup::request::ClientRequest;
use crate::outcome::{CacheResult, Served};
use crate::respond::{CACHE_STATUS, OriginFields, X_CACHE};
use crate::service::CacheService;
use crate::task::detached::DetachedTask;
use crate::task::gathered::gathered;
use crate::upstream::Upstream;

/// Parts that are looked for, or stored, at the same time where there are tiers.
const AT_ONCE: usize = 32;

/// Answers a request of several parts. What has been fetched is stored even where the client has left.
pub(super) async fn answer<S: Upstream>(
    service: CacheService<S>,
    parts: Parts,
    content: Content,
    rules: ContentRules,
    effective: EffectiveTarget,
) -> Result<Served<S::Body>, FetchError> {
    let (reply, answer) = oneshot::channel();
    let answering = async move {
        // A client that left does not want the answer.
        let _ = reply.send(answer_parts(service, parts, &content, &rules, effective).await);
    };
    DetachedTask::new(answering).run_until(answer).await.unwrap_or_else(|_| Err(FetchError::lost()))
}

async fn answer_parts<S: Upstream>(
    service: CacheService<S>,
    parts: Parts,
    content: &Content,
    rules: &ContentRules,
    effective: EffectiveTarget,
) -> Result<Served<S::Body>, FetchError> {
    let request = ContentRequest { path: parts.uri.path(), fields: &parts.headers, content: content.bytes() };
    let Some(split) = rules.split(&request) else {
        let request = Request::from_parts(parts, content.to_body());
        return pass::pass_read(service, request, Reason::BodyNotKeyed, ForwardReason::Request).await;
    };
    let whole = whole_of(&parts);
    let several = Several { service, whole, content, rules, effective, split };
    let known = several.find().await;
    let places: Vec<usize> = (0..known.len()).filter(|place| known[*place].is_none()).collect();
    let served = match places.len() {
        0 => several.all_stored(known),
        rest if rest < known.len() => several.fetch_the_rest(&known, &places).await?,
        _ => None,
    };
    match served {
        Some(served) => Ok(served),
        None => several.fetch_all().await,
    }
}

/// One part of a request, as a dry run finds it.
#[derive(Debug)]
#[non_exhaustive]
pub struct DryPart {
    /// The key of a request for this part alone.
    pub key: PrimaryKey,
    /// The age in seconds of what memory has for it; `None`: nothing that is fresh.
    pub age: Option<u32>,
}

/// What a dry run finds of a request that asks for several things.
pub(crate) enum DryParts {
    /// It asks for one thing, or goes on as a whole.
    One,
    /// One of them has no key, so all of them pass by the store.
    Unkeyed,
    Each(Vec<DryPart>),
}

impl<S: Upstream> CacheService<S> {
    /// The parts of a request as memory has them. Nothing counts that as a use.
    pub(crate) fn parts_dry(&self, rules: &ContentRules, parts: &Parts, content: &[u8], effective: &EffectiveTarget) -> DryParts {
        if !self.has_parts(rules, parts, content) {
            return DryParts::One;
        }
        let Some(split) = rules.split(&ContentRequest { path: parts.uri.path(), fields: &parts.headers, content }) else {
            return DryParts::Unkeyed;
        };
        let whole = whole_of(parts);
        let find = |part: &Part| {
            let (key, hit) = self.peek_in_memory(whole.clone(), &part.keyed.key, effective)?;
            Some(DryPart { key, age: hit.filter(|hit| !hit.wants_refresh).map(|hit| hit.age) })
        };
        // Without keys of their own nothing is known of them.
        split.parts().iter().map(find).collect::<Option<_>>().map_or(DryParts::One, DryParts::Each)
    }
}

/// The request for all of what is stored of each part.
fn whole_of(parts: &Parts) -> Parts {
    let mut whole = without_conditions(parts.clone());
    whole.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    whole
}

/// A request of several parts.
struct Several<'a, S> {
    service: CacheService<S>,
    /// Without conditions and content codings.
    whole: Parts,
    content: &'a Content,
    rules: &'a ContentRules,
    effective: EffectiveTarget,
    split: Split<'a>,
}

/// The answers to some parts.
struct Parted {
    answers: Vec<Vec<u8>>,
    /// The fields that they are stored with, and the tags; `None` where they are not stored here.
    kept: Option<(HeaderMap, Vec<String>)>,
}

/// The answer to a request for some parts.
enum Fetched<B> {
    Parts(Parted, Served<B>, Bytes),
    /// As it came: it cannot be cut.
    Other(Served<B>),
}

impl<S: Upstream> Several<'_, S> {
    /// What is stored for each part.
    async fn find(&self) -> Vec<Option<Fresh>> {
        let find = |key| self.service.find_fresh(self.whole.clone(), key, &self.effective);
        let mut found = Vec::with_capacity(self.split.parts().len());
        for group in self.split.parts().chunks(AT_ONCE) {
            found.extend(gathered(group.iter().map(|part| find(&part.keyed.key))).await);
        }
        found
    }

    /// Asks for all parts with the request as it came.
    async fn fetch_all(&self) -> Result<Served<S::Body>, FetchError> {
        let places: Vec<usize> = (0..self.split.parts().len()).collect();
        let began = self.service.cache.begin();
        Ok(match self.fetch(&places, self.content.bytes().clone()).await? {
            Fetched::Parts(parted, served, body) => {
                self.keep(&places, &parted, began).await;
                with_body(served, body)
            }
            Fetched::Other(served) => served,
        })
    }

    /// Asks for the parts in these places; `None` where what is known and what comes make no answer.
    async fn fetch_the_rest(&self, known: &[Option<Fresh>], places: &[usize]) -> Result<Option<Served<S::Body>>, FetchError> {
        let began = self.service.cache.begin();
        let (parted, mut served) = match self.fetch(places, self.split.rest(places).into()).await? {
            Fetched::Parts(parted, served, _) => (parted, served),
            // The origin refuses, and would have refused the whole.
            Fetched::Other(served) if served.response.status() != StatusCode::OK => return Ok(Some(served)),
            Fetched::Other(_) => return Ok(None),
        };
        self.keep(places, &parted, began).await;
        let Some(joined) = self.join(known, &parted.answers) else { return Ok(None) };
        let headers = served.response.headers_mut();
        drop_fields_of_bytes(headers);
        tell_saved(headers, known);
        Ok(Some(with_body(served, joined)))
    }

    /// Asks for the parts in these places with this content.
    async fn fetch(&self, places: &[usize], content: Bytes) -> Result<Fetched<S::Body>, FetchError> {
        let mut parts = self.whole.clone();
        if parts.headers.contains_key(CONTENT_LENGTH) {
            parts.headers.insert(CONTENT_LENGTH, content.len().into());
        }
        let request = ContentRequest { path: parts.uri.path(), fields: &parts.headers, content: &content };
        // The parts have keys, so all of them together have one.
        let Ok(keyed) = self.rules.key(&request) else { return Err(FetchError::lost()) };
        let content = Content::of(content, &self.service.cache.in_flight).asking(Asked::Several);
        let named = NamedForParts::default();
        parts.extensions.insert(named.clone());
        let request = Request::from_parts(parts, RequestBody::empty());
        let served = self.service.look_up_content(request, (content, keyed.key), self.effective.clone()).await?;
        if served.response.status() != StatusCode::OK || served.response.headers().contains_key(CONTENT_ENCODING) {
            return Ok(Fetched::Other(served));
        }
        let kept = kept_fields(&served).zip(named.get());
        let Served { response, outcome } = served;
        let (head, body) = response.into_parts();
        let serve = |body| Served { response: Response::from_parts(head, body), outcome };
        Ok(match collect(body, self.service.route.max_object).await {
            Collected::Whole(body) => match self.split.cut(places, &body) {
                Some(answers) => Fetched::Parts(Parted { answers, kept }, serve(CacheBody::empty()), body),
                None => Fetched::Other(serve(CacheBody::from_bytes(body))),
            },
            Collected::Begun(body) => Fetched::Other(serve(body)),
        })
    }

    /// Stores the answers to the parts in these places, which were asked for when the fetch began: what is purged meanwhile is not stored.
    async fn keep(&self, places: &[usize], Parted { answers, kept }: &Parted, began: Began) {
        let Some((fields, named)) = kept else { return };
        let keep = |(place, answer): (&usize, &Vec<u8>)| {
            let request = self.request_for(&self.split.parts()[*place]);
            let mut response = Response::new(Full::new(Bytes::copy_from_slice(answer)));
            *response.headers_mut() = fields.clone();
            let service = self.service.clone();
            async move {
                if let Some(request) = request {
                    Fetch::store_given(service, request, response, named, began).await;
                }
            }
        };
        for (places, answers) in places.chunks(AT_ONCE).zip(answers.chunks(AT_ONCE)) {
            gathered(places.iter().zip(answers).map(keep)).await;
        }
    }

    /// The request for one part alone; `None` where it has no key.
    fn request_for(&self, part: &Part) -> Option<Arc<ClientRequest>> {
        let (mut request, mut key) = (Request::from_parts(self.whole.clone(), ()), KeyBuffer::default());
        let context = self.service.prepare(&mut request, Some(&part.keyed.key), &self.effective, &mut key).ok()?;
        let content = Content::of(part.content.clone().into(), &self.service.cache.in_flight).asking(part.keyed.asked.clone());
        Some(self.service.client_request(request, Some(content), |_| (), context, &key))
    }

    /// The answer that what is known and `others`, in their order, make up.
    fn join(&self, known: &[Option<Fresh>], others: &[Vec<u8>]) -> Option<Bytes> {
        let mut others = others.iter().map(|answer| Bytes::copy_from_slice(answer));
        let answers = known.iter().map(|known| match known {
            Some(fresh) => self.service.route.plain_body(fresh.stored()),
            None => others.next(),
        });
        self.split.join(&answers.collect::<Option<Vec<_>>>()?).map(Bytes::from)
    }

    /// The answer where all parts are stored: as old as the oldest of them.
    fn all_stored(&self, known: Vec<Option<Fresh>>) -> Option<Served<S::Body>> {
        let joined = self.join(&known, &[])?;
        let mut saved = HeaderMap::new();
        tell_saved(&mut saved, &known);
        let mut served = known.into_iter().flatten().max_by_key(Fresh::age)?.served(&self.service, Reason::Fresh);
        let headers = served.response.headers_mut();
        drop_fields_of_bytes(headers);
        [CONTENT_ENCODING, USAGE_SAVED].iter().for_each(|name| _ = headers.remove(name));
        headers.extend(saved);
        Some(with_body(served, joined))
    }
}

/// The fields that the parts of an answer are stored with; `None` where it is that of another request's fetch, which stores them. Their age is at least
/// what it is here: the time since the fetch began is added to it, of which it may have a part already.
fn kept_fields<B>(served: &Served<B>) -> Option<HeaderMap> {
    if served.outcome.collapsed || served.outcome.result != CacheResult::Miss {
        return None;
    }
    let response = &served.response;
    let mut fields = response.extensions().get::<OriginFields>().map_or_else(|| response.headers(), |own| &own.0).clone();
    drop_fields_of_bytes(&mut fields);
    [X_CACHE, CACHE_STATUS].iter().for_each(|name| _ = fields.remove(name));
    Some(fields)
}

fn with_body<B>(served: Served<B>, body: Bytes) -> Served<B> {
    Served { response: served.response.map(|_| CacheBody::from_bytes(body)), ..served }
}

/// Tells what the parts that are known did not cost again.
fn tell_saved(headers: &mut HeaderMap, known: &[Option<Fresh>]) {
    let (mut usage, mut judged) = (Usage::default(), Judged::default());
    for field in known.iter().flatten().filter_map(|fresh| fresh.stored().head.headers.get(&USAGE_SAVED)) {
        let Some((saved, model)) = read_saved(&field) else { continue };
        usage.input = usage.input.saturating_add(saved.input);
        usage.output = usage.output.saturating_add(saved.output);
        judged.usage = Some(usage);
        judged.model = model.map(str::to_owned);
    }
    saved_field(&judged).and_then(|field| headers.insert(USAGE_SAVED, field));
}
