//! The routes of one configuration, each with its way to an origin.

use http::Method;
use http::request::Parts;
use larder_semantics::Target;
use larder_store::InvalidationTarget;
use larder_tower::{CacheService, Refetch};

use crate::routing::{RouteUpstream, Router};

/// The services of all routes, by what they are for.
#[derive(Debug)]
pub(crate) struct RouteTable {
    pub(crate) services: Vec<CacheService<RouteUpstream>>,
    pub(crate) router: Router,
    /// Where requests go that no route is for.
    pub(crate) fallback: Option<CacheService<RouteUpstream>>,
}

impl RouteTable {
    /// The service for a request, if there is one.
    pub(crate) fn route(&self, method: &Method, authority: &str, path: &str) -> Option<&CacheService<RouteUpstream>> {
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
            .map(|service| service.route().key().url_of(target))
            .collect();
        urls.dedup();
        urls.into_iter().map(InvalidationTarget::Url).collect()
    }

    /// Refetches of the stored responses for a key's URL that were served from the store.
    pub(crate) fn refetch_hot(&self, url: &str, template: &Parts) -> Vec<Refetch> {
        let Some((scheme, rest)) = url.split_once("://") else { return Vec::new() };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let service = self.route(&Method::GET, authority, path);
        service.map(|service| service.refetch_hot(Target { scheme, authority, path, query }, template)).unwrap_or_default()
    }
}
