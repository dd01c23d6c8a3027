//! Paths next to private ones: what matches another route, but what a lenient origin may answer as one that keeps responses apart.
//!
//! Many origins take `/API/Me/`, `/api/me;v=1`, `/api/me.css` and `/api/me/x.css` for `/api/me`. They are other paths to routes, so they may take
//! another one, and what is somebody's would be stored there for everybody (web cache deception).

use std::borrow::Cow;

use http::Method;
use larder_semantics::Scope;

use super::Router;
use crate::config::Route;
use crate::path_reading;

/// Behind the path of a route that keeps responses apart: any more segments.
const MORE: &str = "/{*more}";

/// The routes that keep responses apart, and the paths of all routes as lenient origins see them.
#[derive(Debug)]
pub(super) struct Guard {
    routes: Vec<Keeping>,
    /// All routes, in the spelling of [`path_reading::lenient_readings`].
    lenient: Router,
    /// Those that keep responses apart, for what goes on behind their paths.
    beneath: Router,
    /// Whether their own paths are spelt as `lenient` has them, so that only an unusual spelling can be another one of them.
    plain: bool,
}

/// How a route keeps responses apart.
#[derive(Debug)]
struct Keeping {
    /// Whether it does.
    apart: bool,
    /// Its path, with its host.
    path: (Option<String>, String),
    /// The segments of its path, in the spelling of `lenient`.
    segments: Vec<String>,
    /// The routes that keep responses apart as it does, or keep none.
    alike: Vec<usize>,
}

impl Guard {
    /// `None` where no route keeps responses apart. `fallback` takes what none of the routes takes.
    pub(super) fn new(routes: &[Route], fallback: Option<&Route>) -> Option<Self> {
        let all: Vec<&Route> = routes.iter().chain(fallback).collect();
        let keeping: Vec<Keeping> = all.iter().map(|route| Keeping::of(route, &all)).collect();
        let guarding = || routes.iter().enumerate().filter(|(index, _)| keeping[*index].apart);
        guarding().next()?;
        let plain = guarding().all(|(_, route)| spelt(route.path.shape()) == route.path.shape());
        let beneath = guarding().filter(|(_, route)| route.path.without_rest().is_none() && route.path.shape() != "/");
        // Of several for one path, those that keep responses apart stand for it.
        let (apart, others): (Vec<_>, Vec<_>) = routes.iter().enumerate().partition(|(index, _)| keeping[*index].apart);
        Some(Self {
            lenient: Router::of_those_that_fit(apart.into_iter().chain(others), |shape| spelt(shape).into_owned()),
            beneath: Router::of_those_that_fit(beneath, |shape| format!("{}{MORE}", spelt(shape))),
            plain,
            routes: keeping,
        })
    }

    /// Whether an origin may take this path, which takes the route `own`, for one of another route that keeps responses apart.
    pub(super) fn is_near_private(&self, own: usize, method: &Method, authority: &str, path: &str) -> bool {
        let is_usual = self.plain && !path.ends_with('/') && !path.bytes().any(is_unusual);
        if is_usual {
            return self.lies_beneath(own, method, authority, path);
        }
        path_reading::lenient_readings(path).iter().any(|reading| {
            let other = self.lenient.route(method, authority, reading);
            other.is_some_and(|other| self.keeps_apart(other) && !self.is_of_one_path(other, own))
                || self.lies_beneath(own, method, authority, reading)
        })
    }

    fn keeps_apart(&self, route: usize) -> bool {
        self.routes.get(route).is_some_and(|route| route.apart)
    }

    /// Whether both routes are for the same paths: then conditions tell which of them a request takes.
    fn is_of_one_path(&self, other: usize, own: usize) -> bool {
        let path = |route: usize| self.routes.get(route).map(|route| &route.path);
        other == own || path(other) == path(own)
    }

    /// Whether the path goes on behind that of a route that keeps responses apart, where `own` is not meant for just that.
    fn lies_beneath(&self, own: usize, method: &Method, authority: &str, path: &str) -> bool {
        let Some(above) = self.beneath.route(method, authority, path).filter(|above| *above != own) else { return false };
        match (self.routes.get(own), self.routes.get(above)) {
            (Some(keeping), Some(above)) => !keeping.goes_on_from(above) && !above.alike.contains(&own),
            _ => true,
        }
    }
}

impl Keeping {
    fn of(route: &Route, all: &[&Route]) -> Self {
        let is_alike = |other: &Route| !other.settings.cache || (route.settings.cache && is_of_same_identities(route, other));
        Self {
            apart: !route.settings.cache || route.settings.policy.scope == Scope::Identity,
            path: (route.host.clone(), route.path.shape().to_owned()),
            segments: spelt(route.path.shape()).split('/').map(str::to_owned).collect(),
            alike: (0..all.len()).filter(|index| is_alike(all[*index])).collect(),
        }
    }

    /// Whether its path is written as one behind `above`: whoever wrote both had what lies there in mind.
    fn goes_on_from(&self, above: &Self) -> bool {
        let same = |(own, above): (&String, &String)| own == above || above.contains('{');
        self.segments.len() > above.segments.len() && self.segments.iter().zip(&above.segments).all(same)
    }
}

fn is_of_same_identities(one: &Route, other: &Route) -> bool {
    let scopes = [one, other].map(|route| route.settings.policy.scope);
    scopes == [Scope::Identity; 2] && one.settings.key.identity == other.settings.key.identity
}

fn spelt(shape: &str) -> Cow<'_, str> {
    match path_reading::simplified(shape) {
        text if text.bytes().any(|byte| byte.is_ascii_uppercase()) => Cow::Owned(text.to_ascii_lowercase()),
        text => text,
    }
}

/// Whether a reading may differ from the path for this byte.
fn is_unusual(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b';' | b'%' | b'.' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// Whether a GET of the path is near to a private one, under these routes and `[cache]`.
    fn near(text: &str) -> impl Fn(&str) -> bool {
        let text = format!("[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n{text}");
        let (config, _) =
            config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let router = Router::new(&config.routes, config.fallback.as_ref()).expect("routes that do not collide");
        let fallback = config.routes.len();
        move |path| router.is_near_private(router.route(&Method::GET, "a", path).unwrap_or(fallback), &Method::GET, "a", path)
    }

    #[test]
    fn no_lenient_spelling_files_a_private_path_under_another_route() {
        let near = near(
            "[[routes]]\npath = \"/{*rest}\"\n[[routes]]\npath = \"/api/Me\"\nscope = \"identity\"\n[[routes]]\npath = \"/admin/{*rest}\"\n\
             cache = false\n[[routes]]\npath = \"/docs\"\n",
        );
        for path in [
            "/api/me",
            "/API/ME",
            "/api/Me/",
            "/api/Me;v=1",
            "/api;x/Me",
            "/api/me.css",
            "/api/Me.json",
            "/api/Me/x.css",
            "/api/Me/x/y",
            "/API/me/X.css",
            "/api/Me%3fx.css",
            "/api/Me%23x.css",
            "/api/Me%00.css",
            "/docs/..%2fapi/me",
            "/docs/..%2fapi/me/x.css",
            "/docs/..;/api/Me",
            "/docs\\..\\api\\Me",
            "/Admin/x",
            "/ADMIN/",
            "/admin",
            "/%41dmin/x",
        ] {
            assert!(near(path), "{path}");
        }
        for path in [
            "/api/Me",
            "//api/Me",
            "/x/../api/Me",
            "/admin/X/",
            "/admin/x.css",
            "/docs/",
            "/DOCS",
            "/docs.css",
            "/Anything/",
            "/a;b",
            "/api/menu",
        ] {
            assert!(!near(path), "{path}");
        }
    }

    #[test]
    fn a_path_without_a_route_is_near_as_well() {
        let near = near("[cache]\nttl = \"1m\"\n[[routes]]\npath = \"/api/me\"\ncache = false\n");
        assert!(near("/api/me/x.css") && near("/API/me") && near("/api/me/"));
        assert!(!near("/api/me") && !near("/api/issues") && !near("/"));
    }

    #[test]
    fn a_route_that_is_written_for_what_lies_beneath_is_meant() {
        let near = near(
            "[[routes]]\npath = \"/users/{id}\"\nscope = \"identity\"\n[[routes]]\npath = \"/users/{id}/posts\"\n[[routes]]\npath = \"/users/{id}/files/{*rest}\"\n\
             [[routes]]\npath = \"/\"\ncache = false\n",
        );
        for path in ["/users/7/posts", "/users/7/files/x.css", "/posts/1", "/x.css"] {
            assert!(!near(path), "{path}");
        }
        for path in ["/users/7/x.css", "/users/7/other", "/users/7/"] {
            assert!(near(path), "{path}");
        }
    }

    #[test]
    fn beneath_what_is_kept_apart_alike_nothing_is_near() {
        let near = near("[cache]\nscope = \"identity\"\n[[routes]]\npath = \"/issues\"\n[[routes]]\npath = \"/secret\"\ncache = false\n");
        assert!(!near("/issues/7"), "the same identities");
        assert!(near("/secret/7"), "nothing of it is to be stored");
        assert!(near("/ISSUES"), "another spelling has other tags");
    }

    #[test]
    fn methods_and_hosts_are_looked_at() {
        let near = near(
            "[[routes]]\npath = \"/a\"\nmethods = [\"POST\"]\ncache = false\n[[routes]]\npath = \"/b\"\nhost = \"other\"\ncache = false\n\
             [[routes]]\npath = \"/{*rest}\"\n",
        );
        assert!(!near("/a/x.css") && !near("/A") && !near("/b/x.css") && !near("/B"));
    }

    #[test]
    fn routes_that_exclude_each_other_in_one_spelling_do_not_turn_the_others_off() {
        let near = near(
            "[[routes]]\npath = \"/x/{a}b\"\ncache = false\n[[routes]]\npath = \"/X/{a}/{*r}\"\n[[routes]]\npath = \"/me\"\ncache = false\n\
             [[routes]]\npath = \"/{*rest}\"\n",
        );
        assert!(near("/ME") && near("/me/x.css"));
    }
}
