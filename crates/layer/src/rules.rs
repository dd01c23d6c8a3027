//! What one route asks of the cache.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::request::Parts;
use larder_semantics::{KeyRules, Policy, PrimaryKey, Target};
use larder_store::{Invalidation, InvalidationTarget, Tag, Tags};

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
    /// Who may bypass the cache with the bypass parameter.
    pub may_bypass: MayBypass,
    /// The tags of what is stored.
    pub tags: Arc<dyn TagSource>,
    /// What writes make old.
    pub writes: Arc<dyn WriteRules>,
}

impl RouteRules {
    /// Everything that is known of an answer's tags before it is there.
    pub(crate) fn known_tags(&self, request: &Parts, key: &PrimaryKey) -> Tags {
        let own = [Tag::url(key.url()), Tag::route(&self.name), Tag::namespace(&self.key.namespace)];
        let named = self.tags.tags(request);
        let class = self.class.as_deref().map(Tag::class);
        let identity = key.identity().map(Tag::identity);
        own.into_iter().chain(class).chain(identity).chain(named.iter().map(|name| Tag::surrogate(name))).collect()
    }
}

/// Whether a client may bypass the cache, given its address where that is known.
#[derive(Clone)]
pub struct MayBypass(Arc<dyn Fn(Option<IpAddr>) -> bool + Send + Sync>);

impl MayBypass {
    /// From a predicate.
    pub fn new(predicate: impl Fn(Option<IpAddr>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(predicate))
    }

    /// Anyone may.
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
    /// The tags; called once per exchange with the origin, before it begins, never on a hit.
    fn tags(&self, request: &Parts) -> Vec<String>;

    /// The tags that the origin names in its answer's fields; `None` where it names too many, so that the answer is not stored. Fields
    /// that are not for clients are taken out.
    fn take_tags(&self, response: &mut HeaderMap) -> Option<Vec<String>> {
        let _ = response;
        Some(Vec::new())
    }
}

/// No tags.
#[derive(Clone, Copy, Debug)]
pub struct NoTags;

impl TagSource for NoTags {
    fn tags(&self, _: &Parts) -> Vec<String> {
        Vec::new()
    }
}

/// Says what a write makes old, beyond the URLs that RFC 9111 §4.4 names.
pub trait WriteRules: Send + Sync + fmt::Debug {
    /// What becomes old when this request is answered without an error; asked before it goes out, for unsafe methods only.
    fn made_old(&self, request: &Parts, target: Target<'_>) -> Vec<InvalidationTarget>;
}

/// Says what becomes old with what an invalidation names.
pub trait Cascade: Send + Sync + fmt::Debug {
    /// Adds it. Asked once an invalidation, before it is told to anybody: what replicas share is the whole.
    fn widen(&self, invalidation: &mut Invalidation);
}

/// Nothing more.
#[derive(Clone, Copy, Debug)]
pub struct NoWrites;

impl WriteRules for NoWrites {
    fn made_old(&self, _: &Parts, _: Target<'_>) -> Vec<InvalidationTarget> {
        Vec::new()
    }
}
