//! The tower layer.

use std::sync::Arc;

use tower_layer::Layer;

use crate::cache::Cache;
use crate::rules::RouteRules;
use crate::service::CacheService;

/// Puts a cache in front of a service, for one set of rules. Layers with one cache share what is stored; see [`CacheService`] for what a layer does.
///
/// ```
/// use axum::{Router, routing::get};
/// use larder_tower::{Cache, CacheLayer, RouteRules};
///
/// let cache = Cache::new(256 << 20);                  // bytes
/// let app: Router = Router::new()
///     .route("/", get(async || ([("cache-control", "max-age=60")], "hello")))
///     .layer(CacheLayer::new(cache, RouteRules::default()));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put in front of a service"]
pub struct CacheLayer {
    cache: Arc<Cache>,
    route: Arc<RouteRules>,
}

impl CacheLayer {
    /// `cache` may be shared by many layers, each with its own rules.
    pub fn new(cache: Arc<Cache>, rules: impl Into<Arc<RouteRules>>) -> Self {
        Self { cache, route: rules.into() }
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService::new(inner, Arc::clone(&self.cache), Arc::clone(&self.route))
    }
}
