//! What a log does not tell, and what is taken for it.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
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

    /// Reads `ROUTE=DIRECTIVES`; `*` stands for every route.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let example = "as in issue.list=max-age=60, or *=max-age=60";
        let (route, directives) = text.split_once('=').ok_or_else(|| format!("it is ROUTE=DIRECTIVES, {example}"))?;
        if route.trim().is_empty() || directives.trim().is_empty() {
            return Err(format!("it is ROUTE=DIRECTIVES, {example}"));
        }
        let value = HeaderValue::from_str(directives.trim()).map_err(|_| "a field cannot have this value".to_owned())?;
        Ok(Self::new(route.trim(), HeaderMap::from_iter([(CACHE_CONTROL, value)])))
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
            let own = given.iter().rfind(|given| given.route == name);
            own.or_else(|| given.iter().rfind(|given| given.route == EVERY)).map(|given| given.fields.clone())
        };
        let host = host.map_or_else(|| only_host(&routes), str::to_owned);
        let host = HeaderValue::from_str(&host).map_err(|_| format!("--host: `{host}` is no host"))?;
        Ok(Self { host, fields: names.into_iter().map(of_route).collect() })
    }

    /// Adds what is assumed of a route to an answer that says nothing itself.
    pub(super) fn add_to(&self, route: usize, fields: &mut HeaderMap) {
        if let Some(Some(assumed)) = self.fields.get(route) {
            assumed.iter().for_each(|(name, value)| _ = fields.insert(name, value.clone()));
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
