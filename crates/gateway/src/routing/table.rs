//! The routes of one configuration, each with its way to an origin.

use std::net::Ipv4Addr;

use http::request::Parts;
use http::{Method, Request};
use larder_semantics::Target;
use larder_store::InvalidationTarget;
use larder_tower::{CacheService, Refetch};

use crate::routing::{RouteEdits, RouteUpstream, Router};
use crate::upstream::ClientContext;

/// The services of all routes, by what they are for.
#[derive(Debug)]
pub(crate) struct RouteTable {
    pub(crate) services: Vec<CacheService<RouteUpstream>>,
    pub(crate) router: Router,
    /// Where requests go that no route is for.
    pub(crate) fallback: Option<CacheService<RouteUpstream>>,
    /// By route, that of the fallback last.
    pub(crate) edits: Vec<Option<RouteEdits>>,
}

impl RouteTable {
    /// The service for a request, if there is one.
    pub(crate) fn route<B>(&self, request: &Request<B>, authority: &str) -> Option<&CacheService<RouteUpstream>> {
        let uri = request.uri();
        self.service(self.router.route_for(request.method(), authority, uri.path(), uri.query(), request.headers()))
    }

    fn service(&self, index: Option<usize>) -> Option<&CacheService<RouteUpstream>> {
        match index {
            Some(index) => self.services.get(index),
            None => self.fallback.as_ref(),
        }
    }

    /// The services that some request with this method for this target may take.
    pub(crate) fn all(&self, method: &Method, target: Target<'_>) -> Vec<&CacheService<RouteUpstream>> {
        let routes: Vec<usize> = self.router.all(method, target.authority, target.path).collect();
        let has_plain = self.router.route(method, target.authority, target.path).is_some();
        let fallback = if has_plain { None } else { self.fallback.as_ref() };
        routes.into_iter().filter_map(|index| self.services.get(index)).chain(fallback).collect()
    }

    /// A target URI as the keys of its routes have it: GET's and HEAD's may differ.
    pub(crate) fn urls(&self, target: Target<'_>) -> Vec<InvalidationTarget> {
        let mut urls: Vec<String> = Vec::new();
        for service in [Method::GET, Method::HEAD].iter().flat_map(|method| self.all(method, target)) {
            let url = service.route().key().url_of(target);
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls.into_iter().map(InvalidationTarget::Url).collect()
    }

    /// Refetches of the stored responses for a key's URL that were served from the store. Those of routes with conditions are left out: a key does not tell
    /// the fields that a request needs for them. Each goes up with what its route changes in requests.
    pub(crate) fn refetch_hot(&self, url: &str, template: &Parts) -> Vec<Refetch> {
        let Some((scheme, rest)) = url.split_once("://") else { return Vec::new() };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let target = Target { scheme, authority, path, query };
        let Some(service) = self.service(self.router.route(&Method::GET, authority, path)) else { return Vec::new() };
        let Some(edits) = self.edits_of(service.route().index()) else { return service.refetch_hot(target, template) };
        let client = template.extensions.get::<ClientContext>().map_or(Ipv4Addr::UNSPECIFIED.into(), |context| context.connection.peer);
        let mut template = template.clone();
        // None of its fields is meant for Larder, so it does not matter who is believed.
        if let Some(answer) = edits.apply(&mut template.headers, client, false) {
            template.extensions.insert(answer);
        }
        service.refetch_hot(target, &template)
    }

    /// What a route changes in the fields of its requests, where it does.
    pub(crate) fn edits_of(&self, route: usize) -> Option<&RouteEdits> {
        self.edits.get(route)?.as_ref()
    }
}
