//! A request of a client, once its key is known.

use std::sync::Arc;

use http::Method;
use http::request::Parts;
use larder_semantics::{MethodKind, PrimaryKey, RequestContext};

/// A request on its way to the origin. Shared with the task that asks, which may outlive it.
#[derive(Debug)]
pub(crate) struct ClientRequest {
    pub(crate) parts: Parts,
    pub(crate) context: RequestContext,
    pub(crate) key: PrimaryKey,
}

impl ClientRequest {
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
