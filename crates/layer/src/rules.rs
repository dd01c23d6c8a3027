//! The settings of one route.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method};
use larder_semantics::{KeyBuffer, KeyRules, Policy, PrimaryKey, Reason, RequestContext, Target};
use larder_store::{Invalidation, InvalidationTarget, Tag, Tags};

use crate::error::FetchError;
use crate::task::pressure::Pressure;
use crate::write::json_fields::{Content, JsonFields, Scanner};
use crate::write::refetch::Refetch;

/// The settings of one route.
#[derive(Clone, Debug)]
pub struct RouteRules {
    /// Its place in the list of routes; what metrics are counted under.
    pub index: usize,
    /// Its name.
    pub name: Arc<str>,
    /// The class that it took its settings from, if there is one: what is stored can be purged by it.
    pub class: Option<Arc<str>>,
    /// What bears on decisions.
    pub policy: Policy,
    /// What bears on keys.
    pub key: KeyRules,
    /// `false`: everything passes through.
    pub cache: bool,
    /// The longest body that is stored, in bytes.
    pub max_object: u64,
    /// How long a request waits for another one's exchange before it fetches by itself.
    pub collapse_wait: Duration,
    /// Whether `Cache-Status` tells the key of what was looked up (RFC 9211 §2.7).
    pub cache_status_key: bool,
    /// Who may bypass the cache with the bypass parameter.
    pub may_bypass: MayBypass,
    /// The tags of what is stored.
    pub tags: Arc<dyn TagSource>,
    /// What writes make old.
    pub writes: Arc<dyn WriteRules>,
    /// Where the inner service says that requests wait for a place.
    pub pressure: Pressure,
}

impl RouteRules {
    /// Everything that is known of an answer's tags before it is there, besides that of its URL. `None` where they are too many or too long,
    /// so that the answer is not stored.
    pub(crate) fn known_tags(&self, request: &Parts, key: &PrimaryKey) -> Option<Tags> {
        let own = [Tag::route(&self.name), Tag::namespace(&self.key.namespace)];
        let named = Tag::surrogates(self.tags.tags(request)?.iter().map(String::as_str))?;
        let class = self.class.as_deref().map(Tag::class);
        let identity = key.identity().map(|text| [Tag::identity(text), Tag::any_identity()]);
        Some(own.into_iter().chain(class).chain(identity.into_iter().flatten()).chain(named).collect())
    }
}

impl RouteRules {
    /// What bears on caching of a request whose `key` was derived. A client that shows cookies instead of the fields that identities are
    /// made of shares nothing with others: as with `Authorization` (RFC 9111 §3.5).
    pub(crate) fn context(&self, method: &Method, headers: &HeaderMap, key: &KeyBuffer) -> RequestContext {
        let mut context = RequestContext::new(method, headers, &self.policy, key.identified(), self.key.authorization_in_key());
        context.authorization |= !context.identified && self.key.overlooks(headers);
        context
    }

    /// Whether an answer's body names tags, and whether they can be read.
    pub(crate) fn tags_in(&self, fields: &HeaderMap) -> TagsInBody {
        if self.tags.in_response().is_empty() {
            return TagsInBody::None;
        }
        match Content::of(fields) {
            Content::Other => TagsInBody::None,
            Content::Json => TagsInBody::Readable,
            Content::Coded => TagsInBody::Unreadable,
        }
    }

    /// The tags that a JSON body names.
    ///
    /// # Errors
    /// Why they cannot be kept, so that the answer is not stored.
    pub(crate) fn read_tags<'b>(&self, request: &Parts, frames: impl Iterator<Item = &'b Bytes>) -> Result<Vec<Tag>, Reason> {
        let mut scanner = Scanner::new(self.tags.in_response());
        for frame in frames {
            scanner.push(frame);
            if scanner.is_done() {
                break;
            }
        }
        if scanner.is_cut() {
            return Err(Reason::UnreadTags);
        }
        let told = self.tags.tags_in_body(request, scanner.fields());
        told.and_then(|told| Tag::surrogates(told.iter().map(String::as_str))).ok_or(Reason::TooManyTags)
    }
}

/// Whether an answer's body names tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagsInBody {
    None,
    Readable,
    /// It has a content coding.
    Unreadable,
}

/// Whether a client may bypass the cache, given its address where that is known.
#[derive(Clone)]
pub struct MayBypass(Arc<dyn Fn(Option<IpAddr>) -> bool + Send + Sync>);

impl MayBypass {
    /// From a predicate.
    pub fn new(predicate: impl Fn(Option<IpAddr>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(predicate))
    }

    /// Every client may.
    pub fn anyone() -> Self {
        Self::new(|_| true)
    }

    pub(crate) fn allows(&self, client: Option<IpAddr>) -> bool {
        (self.0)(client)
    }
}

impl fmt::Debug for MayBypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MayBypass")
    }
}

/// Names the surrogate keys of what a request's answer will be stored under.
pub trait TagSource: Send + Sync + fmt::Debug {
    /// The tags; called once per exchange with the origin, before it begins, never on a hit. `None` where they are more or longer than is
    /// kept, so that the answer is not stored: it could not be purged by all of them.
    fn tags(&self, request: &Parts) -> Option<Vec<String>>;

    /// The tags that the origin names in its answer's fields; `None` where it names too many, so that the answer is not stored. Fields
    /// that are not for clients are taken out.
    fn take_tags(&self, response: &mut HeaderMap) -> Option<Vec<String>> {
        let _ = response;
        Some(Vec::new())
    }

    /// The members of a JSON answer that tags are made of.
    fn in_response(&self) -> &[String] {
        &[]
    }

    /// The tags made of such members, besides [`Self::tags`], and `None` as there.
    fn tags_in_body(&self, request: &Parts, response: &JsonFields) -> Option<Vec<String>> {
        let _ = (request, response);
        Some(Vec::new())
    }
}

/// No tags.
#[derive(Clone, Copy, Debug)]
pub struct NoTags;

impl TagSource for NoTags {
    fn tags(&self, _: &Parts) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}

/// Names the targets that a write invalidates, beyond the URLs of RFC 9111 §4.4.
pub trait WriteRules: Send + Sync + fmt::Debug {
    /// The targets to invalidate when this request is answered without an error, or not at all. Called before the request goes out, for
    /// unsafe methods only.
    fn invalidates(&self, request: &Parts, target: Target<'_>) -> Invalidates;

    /// Whether a write that failed in this way never reached the origin. Otherwise that is unknown, and it counts as if it had
    /// taken place.
    fn never_arrived(&self, error: &FetchError) -> bool {
        let _ = error;
        false
    }

    /// The rules under which a GET of `target` is answered, where they are not those of the write: what the write makes old was stored under
    /// them, and so is an answer to it that is good for later GETs.
    fn reading(&self, target: Target<'_>) -> Option<Arc<RouteRules>> {
        let _ = target;
        None
    }

    /// The fetches that bring back what this write is about to make old among `old`, where that is wanted: [`CacheService::refetch_hot`] of the
    /// routes concerned.
    ///
    /// [`CacheService::refetch_hot`]: crate::CacheService::refetch_hot
    fn refetch(&self, request: &Parts, target: Target<'_>, old: &[InvalidationTarget]) -> Vec<Refetch> {
        let _ = (request, target, old);
        Vec::new()
    }
}

/// The invalidations of a write.
#[derive(Debug, Default)]
pub struct Invalidates {
    /// The targets that are known beforehand.
    pub known: Vec<InvalidationTarget>,
    /// The targets that only the bodies name.
    pub by_bodies: Option<Box<dyn BodyInvalidation>>,
}

/// Invalidations whose targets are members of a write's JSON bodies.
pub trait BodyInvalidation: Send + Sync + fmt::Debug {
    /// The members of the request's object that are asked for.
    fn in_request(&self) -> &[String];

    /// The members of the answer's object that are asked for.
    fn in_response(&self) -> &[String];

    /// The targets that follow from them. One that depends on a missing member is left out.
    fn targets(&self, request: &JsonFields, response: &JsonFields) -> Vec<InvalidationTarget>;

    /// As [`WriteRules::refetch`], for what followed from members.
    fn refetch(&self, old: &[InvalidationTarget]) -> Vec<Refetch> {
        let _ = old;
        Vec::new()
    }
}

/// Adds to an invalidation the targets that depend on its own.
pub trait Cascade: Send + Sync + fmt::Debug {
    /// Adds it. Called once for each invalidation, before the log has it: replicas share the whole.
    fn widen(&self, invalidation: &mut Invalidation);
}

/// Nothing more.
#[derive(Clone, Copy, Debug)]
pub struct NoWrites;

impl WriteRules for NoWrites {
    fn invalidates(&self, _: &Parts, _: Target<'_>) -> Invalidates {
        Invalidates::default()
    }
}
