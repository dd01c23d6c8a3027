//! Routes that no test asks for.

use http::HeaderValue;
use http::header::HOST;

use crate::config::{Config, Route, TestAction, TestFile};
use crate::routing::Router;

/// The routes that no request of these tests takes.
pub(crate) fn untested<'c>(config: &'c Config, files: &[TestFile]) -> Vec<&'c Route> {
    // A configuration that was checked has no routes that exclude each other.
    let Ok(router) = Router::new(&config.routes, config.fallback.as_ref()) else { return Vec::new() };
    let steps = files.iter().flat_map(|file| &file.tests).flat_map(|test| &test.steps);
    let asked = steps.filter_map(|step| match &step.action {
        TestAction::Request(request) => {
            let authority = request.url.authority()?.as_str();
            let mut fields = request.headers.clone();
            fields.extend(HeaderValue::from_str(authority).map(|host| (HOST, host)));
            router.route_for(&request.method, authority, request.url.path(), request.url.query(), &fields)
        }
        TestAction::Wait | TestAction::Purge(_) | TestAction::Event(_) => None,
    });
    let asked: std::collections::BTreeSet<usize> = asked.collect();
    config.routes.iter().enumerate().filter(|(index, _)| !asked.contains(index)).map(|(_, route)| route).collect()
}
