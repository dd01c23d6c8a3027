//! The target of a write, and the URLs that templates name below it.

use std::sync::Arc;

use http::request::Parts;
use larder_semantics::Target;
use larder_store::InvalidationTarget;
use larder_tower::Refetch;

use super::in_force::InForce;
use super::writes::named;
use crate::config::PurgeTemplate;
use crate::routing::RouteTable;
use crate::routing::tagging::Values;
use crate::upstream::ClientContext;

/// Where a write went.
#[derive(Clone, Debug)]
pub(super) struct UrlBase {
    pub(super) scheme: Box<str>,
    pub(super) authority: Box<str>,
    pub(super) routes: Option<Arc<RouteTable>>,
    pub(super) in_force: InForce,
    /// Whether some route's tags have parts of paths in lower case.
    pub(super) tags_in_lower_case: bool,
}

impl UrlBase {
    /// The routes in force.
    fn current(&self) -> Option<Arc<RouteTable>> {
        self.in_force.get().and_then(|rules| rules.routes())
    }

    /// A target URI as the keys of its routes have it: of those that the write began with, and of those in force.
    pub(super) fn urls(&self, target: Target<'_>) -> Vec<InvalidationTarget> {
        let current = self.current().filter(|current| self.routes.as_ref().is_none_or(|routes| !Arc::ptr_eq(routes, current)));
        let mut urls = self.routes.as_ref().map(|routes| routes.urls(target)).unwrap_or_default();
        let new: Vec<_> = current.iter().flat_map(|routes| routes.urls(target)).filter(|url| !urls.contains(url)).collect();
        urls.extend(new);
        urls
    }

    /// As [`refetch`], by the routes in force.
    pub(super) fn refetch(&self, request: &Parts, old: &[InvalidationTarget]) -> Vec<Refetch> {
        let routes = self.current().or_else(|| self.routes.clone());
        routes.map(|routes| refetch(&routes, request, old)).unwrap_or_default()
    }

    pub(super) fn targets(&self, template: &PurgeTemplate, values: Values<'_>) -> Vec<InvalidationTarget> {
        match template {
            // Only under the authority that was written to: a write purges nothing of another origin.
            PurgeTemplate::Url(url) => {
                let Some(url) = values.fill_url(url) else { return Vec::new() };
                let (path, query) = url.split_once('?').map_or((url.as_str(), None), |(path, query)| (path, Some(query)));
                self.urls(Target { scheme: &self.scheme, authority: &self.authority, path, query })
            }
            PurgeTemplate::Prefix(path) => {
                let prefix = values.fill_url(path).map(|path| format!("{}://{}{path}", self.scheme, self.authority));
                prefix.map(InvalidationTarget::Prefix).into_iter().collect()
            }
            template => named(template, values, self.tags_in_lower_case).collect(),
        }
    }
}

/// Refetches of the URLs that this write invalidates and that were served from the store. They carry the context of the client that wrote,
/// since an origin may answer according to how it was reached.
pub(super) fn refetch(routes: &RouteTable, request: &Parts, old: &[InvalidationTarget]) -> Vec<Refetch> {
    let (mut template, ()) = http::Request::new(()).into_parts();
    if let Some(context) = request.extensions.get::<ClientContext>() {
        // No client waits for its 1xx responses.
        template.extensions.insert(ClientContext { interim: None, observer: None, ..context.clone() });
    }
    let forwarded = |name: &http::HeaderName| name == http::header::FORWARDED || name.as_str().starts_with("x-forwarded-");
    template.headers.extend(request.headers.iter().filter(|(name, _)| forwarded(name)).map(|(name, value)| (name.clone(), value.clone())));
    let urls = old.iter().filter_map(|target| match target {
        InvalidationTarget::Url(url) => Some(url.as_str()),
        _ => None,
    });
    urls.flat_map(|url| routes.refetch_hot(url, &template)).collect()
}
