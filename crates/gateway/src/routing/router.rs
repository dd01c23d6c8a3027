//! Which route a request takes: host before no host, then the routes that are for its method, then the most specific path, and of those for one path
//! the one with most conditions that the request meets.
//!
//! Other spellings of an equivalent URI take the same route; spellings that only lenient origins take for the same are looked at apart
//! ([`Router::is_near_private`]).

use std::collections::HashMap;

use http::{HeaderMap, Method};
use matchit::InsertError;

use super::conditional::Conditional;
use super::guard::Guard;
use crate::config::Route;
use crate::path_reading;

/// The routes by host and path. Routes are named by their place in the list they were built from.
#[derive(Debug, Default)]
pub(crate) struct Router {
    by_host: HashMap<Box<str>, Paths>,
    any_host: Paths,
    /// Routes that take more than their paths and methods; they are not among those above. `None`: there are none.
    conditional: Option<Box<Conditional>>,
    /// The paths near to routes that keep responses apart; `None`: there are none.
    guard: Option<Box<Guard>>,
}

/// The paths of one host, for each method that some route names, and for all others.
#[derive(Debug, Default)]
struct Paths {
    by_method: Vec<(Method, matchit::Router<usize>)>,
    other: matchit::Router<usize>,
}

impl Router {
    /// Routes as they stand in the configuration. `fallback` takes what none of them takes.
    pub(crate) fn new(routes: &[Route], fallback: Option<&Route>) -> Result<Self, InsertError> {
        let plain = routes.iter().enumerate().filter(|(_, route)| route.matches.is_none());
        let mut router = Self::over(plain, |shape| shape.to_owned())?;
        router.conditional = Conditional::new(routes)?.map(Box::new);
        router.guard = Guard::new(routes, fallback).map(Box::new);
        Ok(router)
    }

    /// As [`Self::over`], without those routes that exclude others in this spelling: they are no protection for each other.
    pub(super) fn of_those_that_fit<'r>(routes: impl Iterator<Item = (usize, &'r Route)>, spelt: impl Fn(&str) -> String + Copy) -> Self {
        let routes: Vec<(usize, &Route)> = routes.collect();
        if let Ok(router) = Self::over(routes.iter().copied(), spelt) {
            return router;
        }
        let mut fitting = Vec::with_capacity(routes.len());
        for route in routes {
            fitting.push(route);
            if Self::over(fitting.iter().copied(), spelt).is_err() {
                fitting.pop();
            }
        }
        Self::over(fitting.into_iter(), spelt).unwrap_or_default()
    }

    /// With the shapes of the routes' paths spelt in this way.
    fn over<'r>(all: impl Iterator<Item = (usize, &'r Route)>, spelt: impl Fn(&str) -> String + Copy) -> Result<Self, InsertError> {
        let mut by_host: HashMap<Option<&str>, Vec<(usize, &Route)>> = HashMap::new();
        for (index, route) in all {
            by_host.entry(route.host.as_deref()).or_default().push((index, route));
        }
        let mut router = Self::default();
        for (host, routes) in by_host {
            let paths = Paths::new(&routes, spelt)?;
            match host {
                Some(host) => _ = router.by_host.insert(host.into(), paths),
                None => router.any_host = paths,
            }
        }
        Ok(router)
    }

    /// The route for a request, if any suits.
    pub(crate) fn route_for(
        &self,
        method: &Method,
        authority: &str,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<usize> {
        let plain = self.route(method, authority, path);
        match &self.conditional {
            None => plain,
            Some(conditional) => conditional.route(plain, (method, authority, &path_reading::normal(path)), headers, query),
        }
    }

    /// All routes that some request with this method to this path may take.
    pub(crate) fn all(&self, method: &Method, authority: &str, path: &str) -> impl Iterator<Item = usize> {
        let conditional: Vec<usize> = match &self.conditional {
            None => Vec::new(),
            Some(conditional) => conditional.all(method, authority, &path_reading::normal(path)).collect(),
        };
        self.route(method, authority, path).into_iter().chain(conditional)
    }

    /// The route without conditions for a request to `authority`, if any suits: another spelling of an equivalent URI evades none. Allocates nothing, unless the
    /// client spelt the host in capitals, or the path in another way than the usual.
    pub(crate) fn route(&self, method: &Method, authority: &str, path: &str) -> Option<usize> {
        let path = &*path_reading::normal(path);
        let own = if self.by_host.is_empty() { None } else { self.host_paths(host_of(authority)) };
        own.and_then(|paths| paths.route(method, path)).or_else(|| self.any_host.route(method, path))
    }

    /// Whether an origin may take this path for one of a route that keeps responses apart (`cache = false`, `scope = "identity"`), while the route that
    /// the path takes, `own`, is another.
    pub(crate) fn is_near_private(&self, own: usize, method: &Method, authority: &str, path: &str) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.is_near_private(own, method, authority, path))
    }

    fn host_paths(&self, host: &str) -> Option<&Paths> {
        match self.by_host.get(host) {
            None if host.bytes().any(|byte| byte.is_ascii_uppercase()) => self.by_host.get(host.to_ascii_lowercase().as_str()),
            found => found,
        }
    }
}

/// The host of an authority; the port follows the last colon outside the brackets of an IPv6 address. A name may be written with the root's
/// dot at its end.
pub(crate) fn host_of(authority: &str) -> &str {
    let after_brackets = authority.rfind(']').map_or(0, |end| end + 1);
    let host = authority[after_brackets..].find(':').map_or(authority, |colon| &authority[..after_brackets + colon]);
    host.strip_suffix('.').unwrap_or(host)
}

impl Paths {
    fn new(routes: &[(usize, &Route)], spelt: impl Fn(&str) -> String + Copy) -> Result<Self, InsertError> {
        let mut methods: Vec<&Method> = routes.iter().filter_map(|(_, route)| route.methods.as_ref()).flatten().collect();
        methods.sort_by_key(|method| method.as_str());
        methods.dedup();
        let by_method = methods.into_iter().map(|method| Ok((method.clone(), table(routes, Some(method), spelt)?)));
        Ok(Self { by_method: by_method.collect::<Result<_, InsertError>>()?, other: table(routes, None, spelt)? })
    }

    fn route(&self, method: &Method, path: &str) -> Option<usize> {
        let named = self.by_method.iter().find(|(named, _)| named == method);
        let table = named.map_or(&self.other, |(_, table)| table);
        table.at(path).ok().map(|found| *found.value)
    }
}

/// The routes for one method: those that name it, and where none does, those for every method.
fn table(
    routes: &[(usize, &Route)],
    method: Option<&Method>,
    spelt: impl Fn(&str) -> String,
) -> Result<matchit::Router<usize>, InsertError> {
    let names = |route: &Route| route.methods.as_ref().is_some_and(|methods| method.is_some_and(|method| methods.contains(method)));
    let naming = routes.iter().filter(|(_, route)| names(route));
    let general = routes.iter().filter(|(_, route)| route.methods.is_none());
    let mut shapes: Vec<(String, usize)> = Vec::new();
    let mut add = |shape: String, index| {
        if !shapes.iter().any(|(known, _)| *known == shape) {
            shapes.push((shape, index));
        }
    };
    for (index, route) in naming.clone().chain(general.clone()) {
        add(spelt(route.path.shape()), *index);
    }
    // `/files/{*rest}` is for `/files/` too, which matchit does not see; a route that names `/files/` itself came first.
    for (index, route) in naming.chain(general) {
        if let Some(bare) = route.path.without_rest() {
            add(spelt(bare), *index);
        }
    }
    let mut table = matchit::Router::new();
    for (shape, index) in shapes {
        table.insert(shape, index)?;
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config;

    fn router(routes: &str) -> Router {
        let text = format!("[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n{routes}");
        let (config, _) =
            config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
        Router::new(&config.routes, config.fallback.as_ref()).expect("routes that do not collide")
    }

    fn get(router: &Router, authority: &str, path: &str) -> Option<usize> {
        router.route(&Method::GET, authority, path)
    }

    #[test]
    fn the_most_specific_path_wins() {
        let router = router("[[routes]]\npath = \"/{*rest}\"\n[[routes]]\npath = \"/issues/{id}\"\n[[routes]]\npath = \"/issues/mine\"\n");
        for (path, route) in [("/", 0), ("/a/b", 0), ("/issues/7", 1), ("/issues/mine", 2), ("/issues/7/x", 0)] {
            assert_eq!(get(&router, "a", path), Some(route), "{path}");
        }
    }

    #[test]
    fn a_route_for_a_host_comes_before_one_for_every_host() {
        let router = router("[[routes]]\npath = \"/a\"\n[[routes]]\npath = \"/a\"\nhost = \"api.example.com\"\n");
        for (authority, route) in [
            ("other", 0),
            ("api.example.com", 1),
            ("API.example.com:8080", 1),
            ("api.example.com.", 1),
            ("api.example.com.:80", 1),
            ("[::1]:8080", 0),
        ] {
            assert_eq!(get(&router, authority, "/a"), Some(route), "{authority}");
        }
    }

    #[test]
    fn another_spelling_of_a_path_evades_no_route() {
        let router = router("[[routes]]\npath = \"/admin/{*rest}\"\ncache = false\n[[routes]]\npath = \"/%7Eme\"\nscope = \"identity\"\n");
        for (path, route) in [
            ("/%61dmin/x", Some(0)),
            ("/admin/%61%2F", Some(0)),
            ("/~me", Some(1)),
            ("/%7eme", Some(1)),
            ("/%2561dmin/x", None),
            ("//admin/x", Some(0)),
            ("/x/../admin/y", Some(0)),
            ("/%2e/~me", Some(1)),
            ("/admin/../~me", Some(1)),
            ("/admin//", Some(0)),
        ] {
            assert_eq!(get(&router, "a", path), route, "{path}");
        }
    }

    #[test]
    fn a_rest_may_be_empty_unless_another_route_names_that_path() {
        let router = router("[[routes]]\npath = \"/f/{*rest}\"\n[[routes]]\npath = \"/g/{*rest}\"\n[[routes]]\npath = \"/g/\"\n");
        for (path, route) in [("/f/", Some(0)), ("/f", None), ("/g/", Some(2)), ("/g/x", Some(1))] {
            assert_eq!(get(&router, "a", path), route, "{path}");
        }
    }

    #[test]
    fn a_route_is_for_its_methods_only() {
        let router = router("[[routes]]\npath = \"/a\"\nmethods = [\"GET\", \"HEAD\"]\n");
        assert_eq!(router.route(&Method::HEAD, "a", "/a"), Some(0));
        assert_eq!(router.route(&Method::POST, "a", "/a"), None);
    }

    #[test]
    fn a_method_that_a_path_is_not_for_goes_to_the_next_path_that_is() {
        let router = router("[[routes]]\npath = \"/a\"\nmethods = [\"GET\"]\n[[routes]]\npath = \"/{*rest}\"\n");
        assert_eq!(get(&router, "a", "/a"), Some(0));
        assert_eq!(router.route(&Method::POST, "a", "/a"), Some(1));
    }

    #[test]
    fn a_route_that_names_the_method_wins_over_one_for_every_method() {
        let router = router("[[routes]]\npath = \"/a\"\n[[routes]]\npath = \"/a\"\nmethods = [\"GET\"]\n");
        assert_eq!(get(&router, "a", "/a"), Some(1));
        assert_eq!(router.route(&Method::PUT, "a", "/a"), Some(0));
    }

    proptest! {
        /// Segments that collide in every way: the check of a configuration must find all that the router would refuse.
        #[test]
        fn the_router_takes_whatever_passes_the_check(paths in proptest::collection::vec("/(a|b|\\{x\\}|a\\{x\\}|\\{x\\}a|a\\{x\\}b)(/(a|\\{z\\}|a\\{z\\}|\\{z\\}a))?(/\\{\\*r\\}|/)?", 1..6)) {
            let mut text = "[upstreams.api]\nurl = \"http://h\"\n".to_owned();
            for path in &paths {
                text.push_str(&format!("[[routes]]\npath = \"{path}\"\n"));
            }
            if let Ok((config, _)) = crate::config::parse("test.toml", text.as_bytes(), &Default::default()) {
                prop_assert!(Router::new(&config.routes, None).is_ok(), "{paths:?}");
            }
        }
    }
}
