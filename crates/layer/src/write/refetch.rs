//! What a write made old, fetched again at once, where it was asked for.

use std::pin::Pin;
use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Method, Request};
use larder_semantics::{KeyBuffer, Target};
use larder_store::StoredResponse;

use crate::collapse::flight::Join;
use crate::fetch::walk::in_background;
use crate::lookup::request::Asked;
use crate::service::CacheService;
use crate::upstream::Upstream;

/// A fetch that begins when it is polled: after what it replaces has been made old.
pub type Again = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<S: Upstream> CacheService<S> {
    /// The fetches that bring back what is stored for GETs of `target` and has been served from the store since it was fetched: one for
    /// each variant. What is stored for one caller only is left out, and so are variants for values that stand in keys as hashes. Each
    /// request is `template` with the variant's own fields.
    pub fn hot(&self, target: Target<'_>, template: &Parts) -> Vec<Again> {
        if !self.route.cache || !self.route.key.identity.is_empty() {
            return Vec::new();
        }
        let mut key = KeyBuffer::default();
        self.route.key.derive(target, &template.headers, &mut key);
        let stored = self.cache.store.variants(self.cache.store.place(&key)).into_iter().filter(|stored| stored.was_asked());
        stored.filter_map(|stored| self.again(target, template, &key, &stored)).collect()
    }

    fn again(&self, target: Target<'_>, template: &Parts, key: &KeyBuffer, stored: &StoredResponse) -> Option<Again> {
        let query = target.query.map(|query| format!("?{query}")).unwrap_or_default();
        let uri = format!("{}{query}", target.path);
        let (mut parts, ()) = Request::builder().method(Method::GET).uri(uri).body(()).ok()?.into_parts();
        parts.headers.clone_from(&template.headers);
        parts.extensions.clone_from(&template.extensions);
        parts.headers.insert(HOST, HeaderValue::from_str(target.authority).ok()?);
        if let Some(variant) = stored.variant() {
            parts.headers.extend(variant.secondary.fields()?);
        }
        let rules = &self.route;
        let context = rules.context(&parts.method, &parts.headers, key);
        let asked = Arc::new(Asked { parts, context, key: key.to_key() });
        Some(Box::pin(fetch(self.clone(), asked)))
    }
}

/// Through the flights like any other: whoever is under way already need not be joined, for nobody waits here.
async fn fetch<S: Upstream>(service: CacheService<S>, asked: Arc<Asked>) {
    let Some(_turn) = service.cache.refresh_turn() else { return };
    let (store, found) = (&service.cache.store, service.stored_for(&asked));
    if found.response().is_some() {
        return;
    }
    let hash = store.flight_hash(store.place_key(&asked.key), &found, &asked.parts.headers);
    let Join::Lead(permit) = service.join(hash, &asked) else { return };
    in_background(&service, asked, found, permit).await;
}
