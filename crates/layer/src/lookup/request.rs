//! A request of a client, once its key is known.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::request::Parts;
use larder_semantics::content::Asked;
use larder_semantics::{MethodKind, PrimaryKey, RequestContext, Timestamp};
use larder_store::HitForMiss;

use crate::body::content::Content;
use crate::body::request::RequestBody;
use crate::cache::Cache;
use crate::rules::RouteRules;

/// How long a key is remembered as not worth waiting for (Varnish's default for hit-for-miss).
const HIT_FOR_MISS: Duration = Duration::from_secs(120);

/// In a request's extensions: it is sent so that its answer is stored, and nobody waits for that. How often it was asked for, and how long it took,
/// do not count then ([`RouteRulesBuilder::min_hits`](crate::RouteRulesBuilder)).
#[derive(Clone, Copy, Debug, Default)]
pub struct ForTheStore;

/// A request on its way to the origin. Shared with the task that asks, which may outlive it.
#[derive(Debug)]
pub(crate) struct ClientRequest {
    pub(crate) parts: Parts,
    pub(crate) context: RequestContext,
    pub(crate) key: PrimaryKey,
    /// The content, where it is part of the key.
    pub(crate) content: Option<Arc<Content>>,
}

impl ClientRequest {
    /// A request under the rules of a route: it has its path as the key has it, so that the origin and the tags are told the same.
    pub(crate) fn new(rules: &RouteRules, mut parts: Parts, context: RequestContext, key: PrimaryKey) -> Self {
        parts.uri = rules.key.path_as_in_key(&parts.uri).unwrap_or(parts.uri);
        Self { parts, context, key, content: None }
    }

    /// The same with its content.
    pub(crate) fn with_content(mut self, content: Option<Content>) -> Self {
        self.content = content.map(Arc::new);
        self
    }

    /// The method by whose rules its answer is judged: with a content that is part of the key, that of a GET.
    pub(crate) fn method(&self) -> &Method {
        if self.content.is_some() { &Method::GET } else { &self.parts.method }
    }

    /// What is asked for.
    pub(crate) fn asked(&self) -> &Asked {
        self.content.as_ref().map_or(&Asked::Other, |content| &content.asked)
    }

    /// The body of the request to the origin.
    pub(crate) fn body(&self) -> RequestBody {
        self.content.as_ref().map_or_else(RequestBody::empty, |content| content.to_body())
    }

    /// Remembers for a while that requests for this key need not wait for each other, as this fetch has shown; `too_large`: for the size of the answer.
    pub(crate) fn remember_hit_for_miss(&self, cache: &Cache, too_large: bool, fetch: u64) {
        let until = cache.clock.now().as_millis().saturating_add(HIT_FOR_MISS.as_millis() as u64);
        let (key, until, of_credentials) = (self.key.clone(), Timestamp::from_millis(until), self.context.has_credentials());
        cache.store.mark_hit_for_miss(HitForMiss { key, until, too_large, of_credentials, fetch }, cache.clock.now());
    }

    /// The request whose answer can be stored: an answer to HEAD has no content.
    pub(crate) fn to_store(self: Arc<Self>) -> Arc<Self> {
        if self.context.method != MethodKind::Head {
            return self;
        }
        let mut parts = self.parts.clone();
        parts.method = Method::GET;
        let context = RequestContext { method: MethodKind::Get, ..self.context.clone() };
        Arc::new(Self { parts, context, key: self.key.clone(), content: None })
    }
}
