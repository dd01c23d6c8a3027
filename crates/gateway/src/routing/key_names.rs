//! `key.name`: the names by which people know what is stored.
//!
//! A name follows from a key alone, so it is the same wherever it is asked for: where a response is stored (as a tag), where stored responses are listed,
//! and where they are looked for in Redis. It is a handle and no key: two responses may have one name, and neither answers for the other.

use std::fmt::Write as _;
use std::sync::Arc;

use http::{HeaderMap, Method};
use larder_semantics::{KeyBuffer, KeyParts, KeyRules, PathCase, PrimaryKey, Target};
use larder_store::Tag;
use matchit::InsertError;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Router;
use crate::config::{Config, KeyNameTemplate, NamePart, Route};
use crate::path_matcher::PathMatcher;

/// Bytes of the longest name.
const MAX_LENGTH: usize = 256;

/// Stand for themselves in a name. All else is percent-encoded, so that a value never ends a family (`:`) and means nothing in a pattern or to a Cluster.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b'=')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    // What is encoded already stays so.
    .remove(b'%');

/// The names of one configuration.
#[derive(Debug)]
pub(crate) struct KeyNames {
    router: Router,
    /// By route, the one for everything else last, where there is one.
    routes: Vec<NamedRoute>,
    /// Its place.
    fallback: usize,
}

#[derive(Debug)]
struct NamedRoute {
    name: Arc<str>,
    namespace: String,
    template: Option<KeyNameTemplate>,
    path: PathMatcher,
    /// As it stands in keys.
    mark: Option<Box<str>>,
    is_conditional: bool,
    /// Whether its keys leave out what the router looks at: the host, or the case of the path.
    is_loose: bool,
    is_for_any_host: bool,
}

/// The URL of a key, taken apart.
struct KeyUrl<'k> {
    authority: &'k str,
    path: &'k str,
    query: &'k str,
}

impl KeyNames {
    /// `None` where no route names anything.
    pub(crate) fn of(config: &Config) -> Result<Option<Arc<Self>>, InsertError> {
        let all = || config.routes.iter().chain(&config.fallback);
        if all().all(|route| route.settings.key_name.is_none()) {
            return Ok(None);
        }
        let routes = all().map(NamedRoute::of).collect::<Result<_, _>>()?;
        Ok(Some(Arc::new(Self { router: Router::new(&config.routes, config.fallback.as_ref())?, routes, fallback: config.routes.len() })))
    }

    /// The name of what is stored under a key; `None` where its route gives none.
    pub(crate) fn name(&self, key: &PrimaryKey) -> Option<String> {
        let parts = KeyParts::of(key.text())?;
        let (_, rest) = parts.url.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let url = KeyUrl { authority, path, query };
        let route = self.route_of(&parts, &url)?;
        let template = route.template.as_ref()?;
        let captures = route.captures(path).unwrap_or_default();
        let mut name = String::new();
        for part in template.parts() {
            push(&mut name, part, route, &parts, &url, &captures);
        }
        Some(bounded(name))
    }

    /// The route that a key is of. It says so itself where requests take the route by more than their URL; routes of one host or upstream may have one
    /// mark.
    fn route_of(&self, parts: &KeyParts<'_>, url: &KeyUrl<'_>) -> Option<&NamedRoute> {
        let mark = mark_in(parts);
        let is_marked = |route: &&NamedRoute| route.mark.as_deref() == mark;
        if let Some(route) = self.routes.iter().filter(is_marked).find(|route| route.is_conditional) {
            return Some(route);
        }
        let is_of = |route: &&NamedRoute| {
            route.is_loose
                && route.namespace == parts.namespace
                && route.is_for_any_host == (url.authority == "*")
                && route.captures(url.path).is_some()
        };
        if let Some(route) = self.routes.iter().filter(is_marked).find(is_of) {
            return Some(route);
        }
        let method = Method::from_bytes(parts.method.as_bytes()).ok()?;
        self.routes.get(self.router.route(&method, url.authority, url.path).unwrap_or(self.fallback)).filter(is_marked)
    }
}

/// What stands in a key besides its URL, of the route.
fn mark_in<'k>(parts: &KeyParts<'k>) -> Option<&'k str> {
    parts.others.iter().find(|(kind, _)| *kind == "route").map(|(_, mark)| *mark)
}

/// The same of all keys of these rules.
fn mark_of(rules: &KeyRules) -> Option<Box<str>> {
    let mut key = KeyBuffer::default();
    rules.derive(Target { scheme: "http", authority: "h", path: "/", query: None }, &HeaderMap::new(), &mut key);
    KeyParts::of(key.text()).and_then(|parts| mark_in(&parts).map(Box::from))
}

impl NamedRoute {
    fn of(route: &Route) -> Result<Self, InsertError> {
        let key = &route.settings.key;
        Ok(Self {
            name: Arc::clone(&route.name),
            namespace: key.namespace.clone(),
            template: route.settings.key_name.clone(),
            path: PathMatcher::new(&route.path)?,
            mark: mark_of(key),
            is_conditional: route.matches.is_some(),
            is_loose: route.settings.key_name.is_some() && (!key.host || key.path == PathCase::Lower),
            is_for_any_host: !key.host,
        })
    }

    fn captures(&self, path: &str) -> Option<Vec<String>> {
        self.path.captures(path).or_else(|| self.path.captures_in_any_reading(path).into_iter().next())
    }
}

fn push(name: &mut String, part: &NamePart, route: &NamedRoute, parts: &KeyParts<'_>, url: &KeyUrl<'_>, captures: &[String]) {
    let value = match part {
        NamePart::Literal(text) => return name.push_str(text),
        NamePart::Capture(position) => captures.get(*position).map_or("", String::as_str),
        NamePart::Namespace => parts.namespace,
        NamePart::Route => &route.name,
        NamePart::Method => parts.method,
        NamePart::Host => url.authority,
        NamePart::Path => url.path,
        NamePart::Query => url.query,
        NamePart::Parameter(wanted) => {
            let mut pairs = url.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.find(|(own, _)| own == wanted).map_or("", |(_, value)| value)
        }
        NamePart::Header(wanted) => {
            let fields = parts.others.iter().find(|(kind, _)| *kind == "headers").map_or("", |(_, fields)| fields);
            let mut fields = fields.split(';').filter_map(|field| field.split_once('='));
            fields.find(|(own, _)| *own == wanted.as_str()).map_or("", |(_, value)| value)
        }
    };
    // Writing to a String cannot fail.
    let _ = write!(name, "{}", utf8_percent_encode(value, PLAIN));
}

/// One that is too long ends in a hash of the whole, so that it is still one name.
fn bounded(mut name: String) -> String {
    if name.len() > MAX_LENGTH {
        let hash = format!("~{:016x}", Tag::surrogate(&name).to_bits());
        name.truncate(MAX_LENGTH - hash.len());
        name.push_str(&hash);
    }
    name
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::config;

    const ROUTES: &str = r#"
        [upstreams.api]
        url = "http://127.0.0.1:3000"
        [[routes]]
        path = "/issues/{id}"
        key = { name = "{namespace}:issue:{id}:{query}", headers = ["x-branch"] }
        [[routes]]
        path = "/issues/new"
        [[routes]]
        name = "branches"
        path = "/branches"
        key = { name = "{route}:{method}:{header.x-branch}:{query.lang}", headers = ["x-a", "x-branch"] }
        [[routes]]
        path = "/Any/{id}"
        namespace = "any"
        host = "api.example"
        key = { name = "{namespace}:{host}:{path}:{id}", host = false, path = "lower" }
        [[routes]]
        path = "/Any/{id}"
        namespace = "any"
        key = { name = "others:{id}", host = false, path = "lower" }
        [[routes]]
        name = "second#"
        path = "/branches"
        match = { headers = { x-api = "2" } }
        key = { name = "{route}:{method}" }
    "#;

    fn parsed() -> Config {
        config::parse("test.toml", ROUTES.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false))).0
    }

    fn name(route: usize, path: &str, query: Option<&str>, fields: &[(&'static str, &'static str)]) -> Option<String> {
        let config = parsed();
        let rules = &config.routes[route].settings.key;
        let headers: HeaderMap =
            fields.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        let mut key = KeyBuffer::default();
        rules.derive(Target { scheme: "http", authority: "api.example", path, query }, &headers, &mut key);
        let names = KeyNames::of(&config).expect("routes that do not collide").expect("some names");
        names.name(&key.to_key())
    }

    #[test]
    fn a_name_is_filled_from_the_key() {
        assert_eq!(name(0, "/issues/7", Some("b=2&a=1&utm_source=x"), &[]).as_deref(), Some("default:issue:7:a=1&b=2"));
        assert_eq!(name(0, "/issues/7", None, &[("x-branch", "main")]).as_deref(), Some("default:issue:7:"));
        assert_eq!(name(2, "/branches", Some("lang=de"), &[("x-a", "1"), ("x-branch", "main")]).as_deref(), Some("branches:GET:main:de"));
        assert_eq!(name(1, "/issues/new", None, &[]), None, "its route gives none");
    }

    #[test]
    fn what_a_client_sends_ends_no_family_and_is_no_pattern() {
        let found = name(0, "/issues/a:b*%3A", Some("q={x}[?]\\:"), &[]).expect("a name");
        assert_eq!(found, "default:issue:a%3Ab%2A%3A:q=%7Bx%7D%5B%3F%5D%5C%3A");
    }

    #[test]
    fn a_key_without_host_and_case_is_known_by_its_route() {
        assert_eq!(name(3, "/ANY/7", None, &[]).as_deref(), Some("any:%2A:/any/7:7"));
        assert_eq!(name(4, "/ANY/7", None, &[]).as_deref(), Some("others:7"), "which is not for that host");
        assert_eq!(name(5, "/branches", None, &[]).as_deref(), Some("second%23:GET"), "which is for some requests");
    }

    #[test]
    fn a_long_name_is_cut_and_still_one_name() {
        let long = |end: char| name(0, &format!("/issues/{}{end}", "7".repeat(400)), None, &[]).expect("a name");
        assert_eq!((long('1').len(), long('1') == long('1'), long('1') == long('2')), (256, true, false));
    }

    #[test]
    fn without_a_template_there_are_no_names() {
        let text = "[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n";
        let (config, _) = config::parse("test.toml", text.as_bytes(), &Default::default()).expect("right");
        assert!(KeyNames::of(&config).expect("no routes").is_none());
    }
}
