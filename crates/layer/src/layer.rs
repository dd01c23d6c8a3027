//! The tower layer.

use std::sync::Arc;

use tower_layer::Layer;

use crate::cache::Cache;
use crate::rules::RouteRules;
use crate::service::CacheService;

/// Puts a cache in front of a service, for one set of rules.
#[derive(Clone, Debug)]
pub struct CacheLayer {
    cache: Arc<Cache>,
    route: Arc<RouteRules>,
}

impl CacheLayer {
    /// `cache` may be shared by many layers, each with its own rules.
    pub fn new(cache: Arc<Cache>, route: Arc<RouteRules>) -> Self {
        Self { cache, route }
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService::new(inner, Arc::clone(&self.cache), Arc::clone(&self.route))
    }
}
