//! Routes that only some of the requests for their paths take: `match = { headers, query }`.

use std::cmp::Reverse;

use http::{HeaderMap, Method};

use super::router::host_of;
use crate::config::{RequestMatch, Route};

/// All routes with conditions, and how specific each route is.
#[derive(Debug)]
pub(super) struct Conditional {
    /// The most specific first.
    routes: Vec<ConditionalRoute>,
    ranks: Vec<Rank>,
}

#[derive(Debug)]
struct ConditionalRoute {
    index: usize,
    host: Option<Box<str>>,
    methods: Option<Vec<Method>>,
    paths: matchit::Router<()>,
    matches: RequestMatch,
}

/// How specific a route is: its host, then its path segment by segment, then its methods, then its conditions. Of two that are alike in all of this, the
/// one that stands first counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    has_host: bool,
    segments: Vec<SegmentKind>,
    has_methods: bool,
    conditions: usize,
    place: Reverse<usize>,
}

/// The less it stands for, the more specific it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SegmentKind {
    Rest,
    Any,
    Partly,
    Literal,
}

impl Conditional {
    /// `None` where no route has conditions.
    pub(super) fn new(routes: &[Route]) -> Result<Option<Self>, matchit::InsertError> {
        let ranks: Vec<Rank> = routes.iter().enumerate().map(|(index, route)| Rank::of(index, route)).collect();
        let of = |(index, route): (usize, &Route)| {
            let matches = route.matches.clone()?;
            Some(paths(route).map(|paths| ConditionalRoute {
                index,
                host: route.host.as_deref().map(Box::from),
                methods: route.methods.clone(),
                paths,
                matches,
            }))
        };
        let mut routes = routes.iter().enumerate().filter_map(of).collect::<Result<Vec<_>, _>>()?;
        routes.sort_by(|one, other| ranks[other.index].cmp(&ranks[one.index]));
        Ok((!routes.is_empty()).then_some(Self { routes, ranks }))
    }

    /// The route that a request takes whose path is in its usual spelling, where the most specific of the others is `plain`.
    pub(super) fn route(
        &self,
        plain: Option<usize>,
        (method, authority, path): (&Method, &str, &str),
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Option<usize> {
        let least = plain.and_then(|index| self.ranks.get(index));
        let candidates = self.routes.iter().take_while(|route| least.is_none_or(|least| self.ranks[route.index] > *least));
        let mut suiting = candidates.filter(|route| route.may_take(method, authority, path) && route.matches.suits(headers, query));
        suiting.next().map(|route| route.index).or(plain)
    }

    /// All routes that some request for this path may take, but for the one without conditions.
    pub(super) fn all(&self, method: &Method, authority: &str, path: &str) -> impl Iterator<Item = usize> {
        self.routes.iter().filter(move |route| route.may_take(method, authority, path)).map(|route| route.index)
    }
}

impl ConditionalRoute {
    fn may_take(&self, method: &Method, authority: &str, path: &str) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.contains(method))
            && self.host.as_deref().is_none_or(|host| host.eq_ignore_ascii_case(host_of(authority)))
            && self.paths.at(path).is_ok()
    }
}

fn paths(route: &Route) -> Result<matchit::Router<()>, matchit::InsertError> {
    let mut paths = matchit::Router::new();
    for shape in [Some(route.path.shape()), route.path.without_rest()].into_iter().flatten() {
        paths.insert(shape, ())?;
    }
    Ok(paths)
}

impl Rank {
    fn of(index: usize, route: &Route) -> Self {
        Self {
            has_host: route.host.is_some(),
            segments: route.path.shape().split('/').map(SegmentKind::of).collect(),
            has_methods: route.methods.is_some(),
            conditions: route.matches.as_ref().map_or(0, RequestMatch::conditions),
            place: Reverse(index),
        }
    }
}

impl SegmentKind {
    fn of(segment: &str) -> Self {
        match segment.find('{') {
            None => Self::Literal,
            Some(_) if segment.starts_with("{*") => Self::Rest,
            Some(0) if segment.find('}') == Some(segment.len() - 1) => Self::Any,
            Some(_) => Self::Partly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Router;
    use super::*;
    use crate::config;

    fn router(routes: &[&str]) -> Router {
        let routes: Vec<String> = routes.iter().map(|route| format!("[[routes]]\n{route}\n")).collect();
        let text = format!("[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n{}", routes.concat());
        let (config, _) =
            config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
        Router::new(&config.routes, config.fallback.as_ref()).expect("routes that do not collide")
    }

    fn taken(router: &Router, target: &str, fields: &[(&'static str, &'static str)]) -> Option<usize> {
        let mut headers = HeaderMap::new();
        fields.iter().for_each(|(name, value)| _ = headers.append(*name, http::HeaderValue::from_static(value)));
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        router.route_for(&Method::GET, "a.example", path, query, &headers)
    }

    #[test]
    fn of_one_path_the_route_with_more_conditions_that_a_request_meets_is_taken() {
        let router = router(&[
            "path = \"/a\"",
            "path = \"/a\"\nmatch = { headers = { x-api = \"2\" } }",
            "path = \"/a\"\nmatch = { headers = { x-api = \"2\" }, query = { v = \"*\" } }",
            "path = \"/a\"\nmatch = { query = { v = \"1.*\" } }",
        ]);
        for (target, fields, route) in [
            ("/a", &[][..], 0),
            ("/a", &[("x-api", "2")], 1),
            ("/a", &[("x-api", "1"), ("x-api", "2")], 1),
            ("/a", &[("x-api", "22")], 0),
            ("/a?b&v", &[("x-api", "2")], 2),
            ("/a?v=2", &[], 0),
            ("/a?v=1.7", &[], 3),
            ("/%61?v=1.7", &[], 3),
        ] {
            assert_eq!(taken(&router, target, fields), Some(route), "{target} {fields:?}");
        }
        let mut all: Vec<usize> = router.all(&Method::GET, "a.example", "/a").collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3]);
    }

    #[test]
    fn a_more_specific_host_path_or_method_comes_before_conditions() {
        let conditional = "match = { headers = { x-api = \"2\" } }";
        let router = router(&[
            &format!("path = \"/{{*rest}}\"\n{conditional}"),
            "path = \"/a/{id}\"",
            &format!("path = \"/a/{{id}}/x\"\n{conditional}"),
            "path = \"/b\"\nhost = \"a.example\"",
            &format!("path = \"/b\"\n{conditional}"),
            "path = \"/c\"\nmethods = [\"GET\"]",
            &format!("path = \"/c\"\n{conditional}"),
        ]);
        let api = &[("x-api", "2")][..];
        for (target, fields, route) in [
            ("/a/1", api, Some(1)),
            ("/a/1/x", api, Some(2)),
            ("/a/1/x", &[], None),
            ("/a/1/y", api, Some(0)),
            ("/z", &[], None),
            ("/b", api, Some(3)),
            ("/c", api, Some(5)),
        ] {
            assert_eq!(taken(&router, target, fields), route, "{target} {fields:?}");
        }
    }

    #[test]
    fn what_a_condition_keeps_private_is_near_to_no_route_of_the_same_path() {
        let router =
            router(&["path = \"/Me\"", "path = \"/Me\"\ncache = false\nmatch = { headers = { x-api = \"2\" } }", "path = \"/{*rest}\""]);
        let near = |path: &str| {
            let own = router.route(&Method::GET, "a", path).expect("a route");
            router.is_near_private(own, &Method::GET, "a", path)
        };
        assert!(!near("/Me"), "the request's own fields tell");
        assert!(near("/ME") && near("/me/") && near("/Me/x.css") && near("/Me;x"));
        assert!(!near("/menu"));
    }
}
