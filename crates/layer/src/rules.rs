//! What one route asks of the cache.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use larder_semantics::{KeyRules, Policy};

/// The settings of one route.
#[derive(Clone, Debug)]
pub struct RouteRules {
    /// Its place in the list of routes; what metrics are counted under.
    pub index: usize,
    /// Its name.
    pub name: Arc<str>,
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
    /// The tags; called once per stored response, never on a hit.
    fn tags(&self, request: &Parts) -> Vec<String>;
}

/// No tags.
#[derive(Clone, Copy, Debug)]
pub struct NoTags;

impl TagSource for NoTags {
    fn tags(&self, _: &Parts) -> Vec<String> {
        Vec::new()
    }
}
