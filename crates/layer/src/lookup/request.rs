//! A request of a client, once its key is known.

use std::sync::Arc;

use http::Method;
use http::request::Parts;
use larder_semantics::{MethodKind, PrimaryKey, RequestContext};

use crate::rules::RouteRules;

/// A request on its way to the origin. Shared with the task that asks, which may outlive it.
#[derive(Debug)]
pub(crate) struct ClientRequest {
    pub(crate) parts: Parts,
    pub(crate) context: RequestContext,
    pub(crate) key: PrimaryKey,
}

impl ClientRequest {
    /// A request under the rules of a route: it has its path as the key has it, so that the origin and the tags are told the same.
    pub(crate) fn new(rules: &RouteRules, mut parts: Parts, context: RequestContext, key: PrimaryKey) -> Self {
        parts.uri = rules.key.path_as_in_key(&parts.uri).unwrap_or(parts.uri);
        Self { parts, context, key }
    }

    /// The request whose answer can be stored: an answer to HEAD has no content.
    pub(crate) fn to_store(self: Arc<Self>) -> Arc<Self> {
        if self.context.method != MethodKind::Head {
            return self;
        }
        let mut parts = self.parts.clone();
        parts.method = Method::GET;
        Arc::new(Self { parts, context: RequestContext { method: MethodKind::Get, ..self.context.clone() }, key: self.key.clone() })
    }
}
