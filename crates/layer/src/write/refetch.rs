//! Refetches: responses that a write invalidated, and that were served from the store before, are fetched again at once.

use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Method, Request};
use larder_semantics::{KeyBuffer, Target};
use larder_store::StoredResponse;

use crate::collapse::flight::Join;
use crate::fetch::walk::in_background;
use crate::lookup::request::ClientRequest;
use crate::rules::Refetch;
use crate::service::CacheService;
use crate::upstream::Upstream;

impl<S: Upstream> CacheService<S> {
    /// The fetches that bring back what is stored for GETs of `target` and has been served from the store since it was fetched: one for
    /// each variant. Responses for one client only are left out, and so are variants for values that stand in keys as hashes. Each
    /// request is `template` with the variant's own fields.
    pub fn refetch_hot(&self, target: Target<'_>, template: &Parts) -> Vec<Refetch> {
        if !self.route.cache || !self.route.key.identity.is_empty() {
            return Vec::new();
        }
        let mut key = KeyBuffer::default();
        self.route.key.derive(target, &template.headers, &mut key);
        if key.unverified() {
            return Vec::new();
        }
        let stored = self.cache.store.variants(self.cache.store.slot_key(&key)).into_iter().filter(|stored| stored.was_asked());
        stored.filter_map(|stored| self.refetch(target, template, &key, &stored)).collect()
    }

    fn refetch(&self, target: Target<'_>, template: &Parts, key: &KeyBuffer, stored: &StoredResponse) -> Option<Refetch> {
        let query = target.query.map(|query| format!("?{query}")).unwrap_or_default();
        let uri = format!("{}{query}", target.path);
        let (mut parts, ()) = Request::builder().method(Method::GET).uri(uri).body(()).ok()?.into_parts();
        parts.headers.clone_from(&template.headers);
        parts.extensions.clone_from(&template.extensions);
        self.route.key.strip_ignored_cookies(&mut parts.headers);
        // A key without a host does not tell which one its origin has.
        if self.route.key.host {
            parts.headers.insert(HOST, HeaderValue::from_str(target.authority).ok()?);
        }
        if let Some(variant) = stored.variant() {
            parts.headers.extend(variant.secondary.fields()?);
        }
        let rules = &self.route;
        let context = rules.context(&parts.method, &parts.headers, key);
        let request = Arc::new(ClientRequest::new(rules, parts, context, key.to_key()));
        Some(Box::pin(fetch(self.clone(), request)))
    }
}

/// Fetches through the flights like any other request. No client waits for this refetch, so it does not join a running one.
async fn fetch<S: Upstream>(service: CacheService<S>, request: Arc<ClientRequest>) {
    let Some(_slot) = service.cache.refresh_slot() else { return };
    let found = service.stored_for(&request);
    if found.response().is_some() {
        return;
    }
    let hash = service.flight_hash(&request, &found);
    let Join::Lead(permit) = service.join(hash, &request) else { return };
    in_background(&service, request, found, permit).await;
}
