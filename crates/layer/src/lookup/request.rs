//! A request of a client, once its key is known.

use std::sync::Arc;

use http::Method;
use http::request::Parts;
use larder_semantics::content::model::ModelRequest;
use larder_semantics::{MethodKind, PrimaryKey, RequestContext};

use crate::body::content::Content;
use crate::body::request::RequestBody;
use crate::rules::RouteRules;

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

    /// The request to a model that it is.
    pub(crate) fn model(&self) -> Option<ModelRequest> {
        self.content.as_ref()?.model
    }

    /// The body of the request to the origin.
    pub(crate) fn body(&self) -> RequestBody {
        self.content.as_ref().map_or_else(RequestBody::empty, |content| content.to_body())
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
