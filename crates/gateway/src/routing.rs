//! Which route a request takes: host before no host, then the most specific path, then the method.

use std::collections::HashMap;

use http::Method;
use matchit::InsertError;

use crate::config::Route;

/// The routes by host and path. Routes are named by their place in the list they were built from.
#[derive(Debug, Default)]
pub(crate) struct Router {
    by_host: HashMap<Box<str>, Paths>,
    any_host: Paths,
}

#[derive(Debug, Default)]
struct Paths(matchit::Router<Vec<Entry>>);

#[derive(Clone, Debug)]
struct Entry {
    /// `None`: every method.
    methods: Option<Vec<Method>>,
    route: usize,
}

impl Router {
    /// Routes as they stand in the configuration.
    pub(crate) fn new(routes: &[Route]) -> Result<Self, InsertError> {
        let mut router = Self::default();
        let mut tables: HashMap<Option<&str>, Vec<(String, Vec<Entry>)>> = HashMap::new();
        // `/files/{*rest}` is for `/files/` too, which matchit does not see; a route that names `/files/` itself comes first.
        let named = routes.iter().map(|route| Some(route.path.shape()));
        let implied = routes.iter().map(|route| route.path.without_rest());
        for (index, shape) in named.enumerate().chain(implied.enumerate()) {
            let (route, Some(shape)) = (&routes[index], shape) else { continue };
            let table = tables.entry(route.host.as_deref()).or_default();
            let entry = Entry { methods: route.methods.clone(), route: index };
            match table.iter_mut().find(|(known, _)| known == shape) {
                Some((_, entries)) => entries.push(entry),
                None => table.push((shape.to_owned(), vec![entry])),
            }
        }
        for (host, table) in tables {
            let paths = match host {
                Some(host) => router.by_host.entry(host.into()).or_default(),
                None => &mut router.any_host,
            };
            for (shape, entries) in table {
                paths.0.insert(shape, entries)?;
            }
        }
        Ok(router)
    }

    /// The route for a request to `authority`, if any suits. Allocates nothing, unless the client spelt the host in capitals.
    pub(crate) fn route(&self, method: &Method, authority: &str, path: &str) -> Option<usize> {
        let own = if self.by_host.is_empty() { None } else { self.host_paths(without_port(authority)) };
        own.and_then(|paths| paths.route(method, path)).or_else(|| self.any_host.route(method, path))
    }

    fn host_paths(&self, host: &str) -> Option<&Paths> {
        match self.by_host.get(host) {
            None if host.bytes().any(|byte| byte.is_ascii_uppercase()) => self.by_host.get(host.to_ascii_lowercase().as_str()),
            found => found,
        }
    }
}

/// The host of an authority; the port follows the last colon outside the brackets of an IPv6 address.
fn without_port(authority: &str) -> &str {
    let after_brackets = authority.rfind(']').map_or(0, |end| end + 1);
    authority[after_brackets..].find(':').map_or(authority, |colon| &authority[..after_brackets + colon])
}

impl Paths {
    fn route(&self, method: &Method, path: &str) -> Option<usize> {
        let entries = self.0.at(path).ok()?.value;
        let suits = |entry: &&Entry| entry.methods.as_ref().is_none_or(|methods| methods.contains(method));
        entries.iter().find(suits).map(|entry| entry.route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn router(routes: &str) -> Router {
        let text = format!("[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n{routes}");
        let (config, _) =
            config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
        Router::new(&config.routes).expect("routes that do not collide")
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
        for (authority, route) in [("other", 0), ("api.example.com", 1), ("API.example.com:8080", 1), ("[::1]:8080", 0)] {
            assert_eq!(get(&router, authority, "/a"), Some(route), "{authority}");
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
}
