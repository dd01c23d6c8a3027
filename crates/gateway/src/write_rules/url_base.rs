//! The target of a write, and the URLs that templates name below it.

use std::sync::Arc;

use http::request::Parts;
use larder_semantics::Target;
use larder_store::InvalidationTarget;
use larder_tower::Refetch;

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
}

impl UrlBase {
    pub(super) fn targets(&self, template: &PurgeTemplate, values: Values<'_>) -> Vec<InvalidationTarget> {
        match template {
            // Only under the authority that was written to: a write purges nothing of another origin.
            PurgeTemplate::Url(url) => {
                let (Some(url), Some(routes)) = (values.fill_url(url), &self.routes) else { return Vec::new() };
                let (path, query) = url.split_once('?').map_or((url.as_str(), None), |(path, query)| (path, Some(query)));
                routes.urls(Target { scheme: &self.scheme, authority: &self.authority, path, query })
            }
            PurgeTemplate::Prefix(path) => {
                let prefix = values.fill_url(path).map(|path| format!("{}://{}{path}", self.scheme, self.authority));
                prefix.map(InvalidationTarget::Prefix).into_iter().collect()
            }
            template => named(template, values).into_iter().collect(),
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
