//! The routes of one configuration, each with its way to an origin.

use http::Method;
use larder_semantics::Target;
use larder_store::InvalidationTarget;
use larder_tower::CacheService;

use crate::routing::Router;
use crate::upstream::UpstreamService;

/// The services of all routes, by what they are for.
#[derive(Debug)]
pub(crate) struct RouteTable {
    pub(crate) services: Vec<CacheService<UpstreamService>>,
    pub(crate) router: Router,
    /// Where requests go that no route is for.
    pub(crate) fallback: Option<CacheService<UpstreamService>>,
}

impl RouteTable {
    /// The service for a request, if there is one.
    pub(crate) fn route(&self, method: &Method, authority: &str, path: &str) -> Option<&CacheService<UpstreamService>> {
        match self.router.route(method, authority, path) {
            Some(index) => self.services.get(index),
            None => self.fallback.as_ref(),
        }
    }

    /// A target URI as the keys of its routes have it: GET's and HEAD's may differ.
    pub(crate) fn urls(&self, target: Target<'_>) -> Vec<InvalidationTarget> {
        let mut urls: Vec<String> = [Method::GET, Method::HEAD]
            .iter()
            .filter_map(|method| self.route(method, target.authority, target.path))
            .map(|service| service.route().key.url_of(target))
            .collect();
        urls.dedup();
        urls.into_iter().map(InvalidationTarget::Url).collect()
    }
}
