//! The route that a request takes, and why it takes none of those that come nearest.

use std::cmp::Reverse;

use http::{Method, Request};

use super::report::{NotTaken, RouteReport};
use crate::active::ActiveConfig;
use crate::config::{Config, Route};
use crate::path_matcher::PathMatcher;
use crate::routing::host_of;

/// How many of the others are told of.
const NEAREST: usize = 2;

/// A route as people know it.
pub(crate) fn route_report(active: &ActiveConfig, index: usize) -> Option<RouteReport> {
    let route = active.settings_of(index)?;
    Some(RouteReport {
        name: route.name.to_string(),
        host: route.host.clone(),
        path: route.path.text().to_owned(),
        methods: route.methods.iter().flatten().map(Method::to_string).collect(),
        class: route.class.as_deref().map(str::to_owned),
        upstream: active.upstream_name(index).map(|name| name.to_string()).unwrap_or_default(),
    })
}

/// The nearest routes besides the one that is taken, the nearest first.
pub(super) fn not_taken<B>(config: &Config, taken: Option<usize>, request: &Request<B>, authority: &str) -> Vec<NotTaken> {
    let chosen = taken.and_then(|index| config.routes.get(index));
    let others = config.routes.iter().enumerate().filter(|(index, _)| Some(*index) != taken);
    let mut near: Vec<_> = others.map(|(_, route)| Nearness::of(route, request, authority)).collect();
    near.sort_by_key(|nearness| Reverse((nearness.matches(), nearness.common)));
    near.truncate(NEAREST);
    near.into_iter()
        .map(|nearness| NotTaken { name: nearness.route.name.to_string(), why: nearness.why(chosen, request.method()) })
        .collect()
}

/// How near a route comes to a request.
struct Nearness<'r> {
    route: &'r Route,
    host: bool,
    method: bool,
    path: bool,
    conditions: bool,
    /// Segments at the beginning that the paths have in common.
    common: usize,
}

impl<'r> Nearness<'r> {
    fn of<B>(route: &'r Route, request: &Request<B>, authority: &str) -> Self {
        let (method, path) = (request.method(), request.uri().path());
        let common = route.path.text().split('/').zip(path.split('/')).take_while(|(own, other)| own == other || own.contains('{')).count();
        Self {
            route,
            host: route.host.as_deref().is_none_or(|host| host.eq_ignore_ascii_case(host_of(authority))),
            method: route.methods.as_ref().is_none_or(|methods| methods.contains(method)),
            path: PathMatcher::new(&route.path).is_ok_and(|matcher| matcher.captures(path).is_some()),
            conditions: route.matches.as_ref().is_none_or(|matches| matches.suits(request.headers(), request.uri().query())),
            common,
        }
    }

    /// A path that matches counts for more than host and method, which are changed more easily.
    fn matches(&self) -> usize {
        2 * usize::from(self.path) + usize::from(self.host) + usize::from(self.method) + usize::from(self.conditions)
    }

    fn why(&self, chosen: Option<&Route>, method: &Method) -> String {
        let mut reasons = Vec::new();
        if !self.path {
            reasons.push(format!("its path is `{}`", self.route.path.text()));
        }
        if !self.host {
            reasons.push(format!("it is for the host {}", self.route.host.as_deref().unwrap_or_default()));
        }
        if !self.method {
            let methods: Vec<&str> = self.route.methods.iter().flatten().map(Method::as_str).collect();
            reasons.push(format!("it is for {} and not for {method}", methods.join(", ")));
        }
        if !self.conditions {
            reasons.push("the request lacks a field or a parameter that its `match` names".to_owned());
        }
        if reasons.is_empty() {
            reasons.push(
                match chosen {
                    Some(chosen) if chosen.host.is_some() && self.route.host.is_none() => {
                        "it is for every host, and the other names this one"
                    }
                    Some(chosen) if chosen.path.shape() == self.route.path.shape() => {
                        "it is for every method, and the other names this one"
                    }
                    _ => "it matches too, and the other's path is more specific",
                }
                .to_owned(),
            );
        }
        reasons.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = r#"
            [upstreams.api]
            url = "http://127.0.0.1:3000"
            [[routes]]
            name = "detail"
            path = "/issues/{id}"
            methods = ["GET"]
            [[routes]]
            name = "everything"
            path = "/{*rest}"
            [[routes]]
            name = "other-host"
            host = "b.example"
            path = "/issues/{id}"
            [[routes]]
            name = "far"
            path = "/x/y/z"
        "#;
        crate::config::parse("test.toml", text.as_bytes(), &Default::default())
            .unwrap_or_else(|report| panic!("{}", report.render(false)))
            .0
    }

    fn told(taken: Option<usize>, method: &Method, path: &str) -> Vec<(String, String)> {
        not_taken(&config(), taken, &Request::builder().method(method).uri(path).body(()).expect("a request"), "a.example")
            .into_iter()
            .map(|other| (other.name, other.why))
            .collect()
    }

    #[test]
    fn the_nearest_come_first_and_say_why_not() {
        let others = told(Some(0), &Method::GET, "/issues/7");
        assert_eq!(others[0], ("everything".to_owned(), "it matches too, and the other's path is more specific".to_owned()));
        assert_eq!(others[1], ("other-host".to_owned(), "it is for the host b.example".to_owned()));
        let others = told(Some(1), &Method::POST, "/issues/7");
        assert!(others.contains(&("detail".to_owned(), "it is for GET and not for POST".to_owned())), "{others:?}");
        let others = told(Some(1), &Method::GET, "/x/y");
        assert_eq!(others[0], ("far".to_owned(), "its path is `/x/y/z`".to_owned()));
    }
}
