//! What a log does not tell, and what is taken for it.

use http::header::{CACHE_CONTROL, EXPIRES, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};
use larder_simulate::Assumed;

use crate::config::{Config, Route};

/// Stands for every route.
const EVERY: &str = "*";

/// Fields that the origin of a route would have sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedFields {
    route: String,
    fields: HeaderMap,
}

impl AssumedFields {
    /// For a route.
    pub(super) fn new(route: &str, fields: HeaderMap) -> Self {
        Self { route: route.to_owned(), fields }
    }

    /// Reads `ROUTE=DIRECTIVES`, or `ROUTE=vary: FIELDS`; `*` stands for every route.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || "it is ROUTE=DIRECTIVES, as in issue.list=max-age=60, or *=max-age=60; or ROUTE=vary: FIELDS".to_owned();
        let (route, said) = text.split_once('=').map(|(route, said)| (route.trim(), said.trim())).ok_or_else(form)?;
        let vary = said.split_once(':').filter(|(name, _)| name.trim().eq_ignore_ascii_case(VARY.as_str()));
        let (name, value): (HeaderName, &str) = vary.map_or((CACHE_CONTROL, said), |(_, fields)| (VARY, fields.trim()));
        if route.is_empty() || value.is_empty() {
            return Err(form());
        }
        let value = HeaderValue::from_str(value).map_err(|_| "a field cannot have this value".to_owned())?;
        Ok(Self::new(route, HeaderMap::from_iter([(name, value)])))
    }
}

/// What is assumed of the routes of one configuration.
#[derive(Clone, Debug)]
pub(super) struct Assumptions {
    /// The host of lines without one.
    pub(super) host: HeaderValue,
    /// By route, the one for everything else last.
    fields: Vec<Option<HeaderMap>>,
}

impl Assumptions {
    /// For a configuration. A name that no route has is a mistake.
    pub(super) fn new(config: &Config, given: &[AssumedFields], host: Option<&str>) -> Result<Self, String> {
        let routes: Vec<&Route> = config.routes.iter().chain(&config.fallback).collect();
        let names: Vec<&str> = routes.iter().map(|route| &*route.name).collect();
        if let Some(unknown) = given.iter().find(|given| given.route != EVERY && !names.contains(&given.route.as_str())) {
            let hint = crate::config::nearest_hint(&unknown.route, &names, "a route");
            return Err(format!("--assume: there is no route `{}` ({hint})", unknown.route));
        }
        let of_route = |name: &str| {
            // What is said of the route itself comes last, so that it counts.
            let of = |wanted| given.iter().filter(move |given| given.route == wanted);
            let mut fields = HeaderMap::new();
            of(EVERY).chain(of(name)).flat_map(|given| &given.fields).for_each(|(name, value)| _ = fields.insert(name, value.clone()));
            (!fields.is_empty()).then_some(fields)
        };
        let host = host.map_or_else(|| only_host(&routes), str::to_owned);
        let host = HeaderValue::from_str(&host).map_err(|_| format!("--host: `{host}` is no host"))?;
        Ok(Self { host, fields: names.into_iter().map(of_route).collect() })
    }

    /// Whether anything is assumed of a route.
    pub(super) fn are_of(&self, route: usize) -> bool {
        matches!(self.fields.get(route), Some(Some(_)))
    }

    /// Adds what is assumed of a route to an answer: what bears on lifetimes where it says nothing of these itself, and `Vary` where it has none.
    pub(super) fn add_to(&self, route: usize, fields: &mut HeaderMap) {
        let Some(Some(assumed)) = self.fields.get(route) else { return };
        let says_lifetime = fields.contains_key(CACHE_CONTROL) || fields.contains_key(EXPIRES);
        for (name, value) in assumed {
            let is_said = if *name == VARY { fields.contains_key(VARY) } else { says_lifetime };
            if !is_said {
                fields.insert(name, value.clone());
            }
        }
    }

    /// What was assumed, in sentences.
    pub(super) fn sentences(&self, assumed: &Assumed, names: &[std::sync::Arc<str>]) -> Vec<String> {
        let mut sentences = Vec::new();
        let mut say = |count: u64, text: &str| {
            if count > 0 {
                sentences.push(format!("{count} {} {text}", if count == 1 { "line" } else { "lines" }));
            }
        };
        let without =
            "tell nothing of a lifetime: the route's `ttl` counts, or --assume, or --probe, and where there is none, nothing is stored";
        say(assumed.without_lifetime, without);
        let host = self.host.to_str().unwrap_or_default();
        say(assumed.without_host, &format!("tell no host: `{host}` is assumed (--host)"));
        say(assumed.unknown_sizes, "are 304s of URLs whose size no line before tells: the mean of all is assumed");
        say(assumed.parts, "are 206s, whose range is taken to begin at the first byte");
        say(assumed.users, "tell a user: they are replayed with credentials (Authorization)");
        say(assumed.hits_elsewhere, "were answered by another cache: the mean of the route stands for their origin's time");
        for (name, fields) in names.iter().zip(&self.fields) {
            for (field, value) in fields.iter().flatten() {
                sentences.push(format!("{name}: `{field}: {}` is assumed", value.to_str().unwrap_or_default()));
            }
        }
        sentences
    }
}

/// The host that routes are for, where they are for one; otherwise any will do.
fn only_host(routes: &[&Route]) -> String {
    let mut hosts = routes.iter().filter_map(|route| route.host.as_deref());
    let first = hosts.next().filter(|first| hosts.all(|other| other == *first));
    first.unwrap_or("localhost").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn what_is_assumed_of_a_route_comes_after_what_is_assumed_of_all() {
        let text = "[upstreams.api]\nurl = \"http://127.0.0.1:9\"\n[[routes]]\nname = \"a\"\npath = \"/a\"\n[[routes]]\nname = \"b\"\npath = \"/b\"\n";
        let (config, _) =
            config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let given = ["*=max-age=5", "a=max-age=60", "*=Vary: accept-language"].map(|text| AssumedFields::parse(text).expect("it is right"));
        let assumptions = Assumptions::new(&config, &given, None).expect("routes that are there");
        let answer = |route, fields: &[(HeaderName, &'static str)]| {
            let mut fields: HeaderMap = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
            assumptions.add_to(route, &mut fields);
            [CACHE_CONTROL, VARY].map(|name| fields.get(name).map_or("", |value| value.to_str().unwrap_or_default()).to_owned())
        };
        assert_eq!(answer(0, &[]), ["max-age=60", "accept-language"]);
        assert_eq!(answer(1, &[]), ["max-age=5", "accept-language"]);
        assert_eq!(answer(0, &[(CACHE_CONTROL, "no-store")]), ["no-store", "accept-language"]);
        assert_eq!(answer(0, &[(EXPIRES, "0"), (VARY, "cookie")]), ["", "cookie"]);
        for wrong in ["a", "=max-age=5", "a=", "a=vary:"] {
            assert!(AssumedFields::parse(wrong).is_err(), "{wrong}");
        }
    }
}
