//! The configuration that comes out.

use std::fmt::Write as _;

use super::syntax::Directive;
use super::values::{quoted, size};
use crate::Note;

const HEAD: &str = "\
# Carried over from a configuration of nginx by `larder import nginx`: a beginning, to be read and completed. The notes on standard error name what has
# no equivalent. What Larder does otherwise than nginx unless it is told: the key has the client's host, the query is sorted, and answers to requests
# with cookies are not stored for everybody under a lifetime that only the configuration gives (`cookies`). `X-Accel-Expires` and `X-Accel-Redirect` of
# backends mean nothing here: let them send Cache-Control. `larder check` looks for mistakes.
";

/// A listener with TLS or other settings of its own, or a plain one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) address: String,
    /// Files of chain and key.
    pub(super) certificates: Vec<(String, String)>,
    pub(super) min_version: Option<&'static str>,
    pub(super) http2: bool,
    /// Networks that begin with a PROXY header.
    pub(super) proxy_protocol: Vec<String>,
    /// It only sends clients to https.
    pub(super) redirects: bool,
}

impl Listener {
    fn is_plain(&self) -> bool {
        self.certificates.is_empty() && self.proxy_protocol.is_empty() && !self.redirects && !self.address.starts_with("unix:")
    }
}

/// A backend: its lines, but for the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) settings: Vec<String>,
}

/// A route: its lines, but for the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) host: Option<String>,
    pub(super) path: String,
    pub(super) upstream: String,
    /// The settings by which answers are stored; `None` where nothing is.
    pub(super) cached: Option<Vec<String>>,
    /// The other ones.
    pub(super) settings: Vec<String>,
}

/// Routes for the paths that go on within the last segment of a location's.
#[derive(Clone, Debug)]
pub(super) struct Longer {
    /// `None` where its settings do not suit them.
    pub(super) routes: Option<Vec<Route>>,
    /// What they are without settings.
    pub(super) refusals: Vec<Refusal>,
    /// What is told where they have no routes.
    pub(super) note: Note,
}

/// A path that nginx does not give to the backend of the routes around it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) host: Option<String>,
    pub(super) path: String,
    /// Whether it has a route in any case: otherwise only where another one would take its requests.
    pub(super) always: bool,
    /// Its location.
    pub(super) location: Directive,
}

/// A server, for the requests that none of its locations takes.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// `None` for every host.
    pub(super) hosts: Vec<Option<String>>,
    /// Whether it turns all requests away.
    pub(super) is_closed: bool,
    /// Where it begins.
    pub(super) directive: Directive,
}

impl Route {
    /// Whether its requests are treated as those of another one.
    fn is_like(&self, other: &Self) -> bool {
        (&self.upstream, &self.cached, &self.settings) == (&other.upstream, &other.cached, &other.settings)
    }

    fn is_for(&self, host: Option<&str>, path: &str) -> bool {
        self.host.as_deref() == host && self.path == path
    }

    /// Whether it takes requests for this path where no other route does.
    fn takes(&self, host: Option<&str>, path: &str) -> bool {
        let suits = self.host.is_none() || self.host.as_deref() == host;
        suits && self.path.strip_suffix("{*rest}").is_some_and(|stem| path.starts_with(stem))
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Output {
    pub(super) listeners: Vec<Listener>,
    pub(super) trusted_proxies: Vec<String>,
    /// Bytes that were for the cache.
    pub(super) capacity: Option<u64>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) routes: Vec<Route>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) longer: Vec<Longer>,
    pub(super) servers: Vec<Server>,
    /// Whether routes are for every host that were for a pattern of hosts.
    pub(super) has_patterns: bool,
}

/// The path of a route for all that no other one takes.
const REST: &str = "/{*rest}";

/// Nothing listens there, so that each request is answered with 502.
const NOWHERE: &str = "http://127.0.0.1:1";

/// The least that a store on disk has; less fits into memory.
const LEAST_DISK: u64 = 1 << 30;

impl Output {
    /// The upstream of this name, made where there is none yet.
    pub(super) fn upstream(&mut self, name: &str, settings: impl FnOnce() -> Vec<String>) -> &mut Upstream {
        let place = self.upstreams.iter().position(|upstream| upstream.name == name).unwrap_or_else(|| {
            self.upstreams.push(Upstream { name: name.to_owned(), settings: settings() });
            self.upstreams.len() - 1
        });
        &mut self.upstreams[place]
    }

    /// Adds the routes of the refusals, to an upstream where nothing listens: without them, broader routes would open what nginx keeps shut.
    pub(super) fn refuse(&mut self, notes: &mut Vec<Note>) {
        let mut upstream = "refused".to_owned();
        while self.upstreams.iter().any(|known| known.name == upstream) {
            upstream.push('-');
        }
        self.lengthen(notes);
        let servers = std::mem::take(&mut self.servers);
        let mut refusals = self.closed(&servers);
        refusals.append(&mut self.refusals);
        for Refusal { host, path, always, location } in refusals {
            let is_there = |route: &Route| route.is_for(host.as_deref(), &path);
            if always {
                // Another server may have the path, open: both cannot be, and this one is to stay shut.
                self.routes.retain(|route| !is_there(route));
            } else if self.routes.iter().any(is_there) || !self.routes.iter().any(|route| route.takes(host.as_deref(), &path)) {
                continue;
            }
            let of = host.as_deref().unwrap_or("every host");
            let text = format!("requests for {path} of {of} are refused here (upstream = \"{upstream}\"): name a backend to open it");
            notes.push(location.note(text));
            self.refuse_at(host, path, &upstream);
        }
        self.refuse_rest(&servers, &upstream, notes);
    }

    /// Adds a route, or a note where there is one for its place.
    pub(super) fn route(&mut self, route: Route, directive: &Directive, notes: &mut Vec<Note>) {
        let Some(known) = self.routes.iter_mut().find(|known| known.is_for(route.host.as_deref(), &route.path)) else {
            return self.routes.push(route);
        };
        let of = route.host.as_deref().unwrap_or("every host");
        let mut text = format!("there is a route for {} of {of} already; this one is left out", route.path);
        if (&known.upstream, &known.cached) != (&route.upstream, &route.cached) && known.cached.take().is_some() {
            text += ", and since it stores otherwise, nothing is stored there (cache = false)";
        }
        notes.push(directive.note(text));
    }

    /// Adds routes for longer paths where those around them would treat their requests in another way.
    fn lengthen(&mut self, notes: &mut Vec<Note>) {
        for longer in std::mem::take(&mut self.longer) {
            let Some(routes) = longer.routes else {
                self.refusals.extend(longer.refusals);
                notes.push(longer.note);
                continue;
            };
            for route in routes {
                let takes = self.routes.iter().filter(|known| known.takes(route.host.as_deref(), &route.path));
                match takes.max_by_key(|known| (known.host.is_some(), known.path.len())) {
                    None => notes.push(longer.note.clone()),
                    Some(around) if around.is_like(&route) => {}
                    Some(_) if self.routes.iter().any(|known| known.is_for(route.host.as_deref(), &route.path)) => {}
                    Some(_) => self.routes.push(route),
                }
            }
        }
    }

    /// Takes out the routes of hosts that a server turns away, and refuses everything there.
    fn closed(&mut self, servers: &[Server]) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for server in servers.iter().filter(|server| server.is_closed) {
            for host in &server.hosts {
                // A pattern of hosts was not turned away by a server for all others.
                let always = host.is_some() || !self.has_patterns;
                self.routes.retain(|route| !always || route.host != *host);
                refusals.push(Refusal { host: host.clone(), path: REST.to_owned(), always, location: server.directive.clone() });
            }
        }
        refusals
    }

    fn refuse_at(&mut self, host: Option<String>, path: String, upstream: &str) {
        self.upstream(upstream, || vec![format!("url = {}", quoted(NOWHERE))]);
        self.routes.push(Route { host, path, upstream: upstream.to_owned(), cached: None, settings: Vec::new() });
    }

    /// Requests that nginx gave to no backend, since no location of their server names them, or no server their host. Routes for every host would take
    /// those, and Larder gives what no route takes to the only upstream.
    fn refuse_rest(&mut self, servers: &[Server], upstream: &str, notes: &mut Vec<Note>) {
        let opens_all = self.routes.iter().any(|route| route.host.is_none() && route.upstream != upstream);
        for server in servers.iter().filter(|_| opens_all) {
            for host in server.hosts.iter().flatten() {
                if self.routes.iter().any(|route| route.is_for(Some(host), REST)) {
                    continue;
                }
                let text = format!("requests of {host} that none of its locations takes are refused here (upstream = \"{upstream}\")");
                notes.push(server.directive.note(text));
                self.refuse_at(Some(host.clone()), REST.to_owned(), upstream);
            }
        }
        let has_fallback = self.upstreams.len() == 1 && self.upstreams[0].name != upstream;
        if let Some(first) = servers.first().filter(|_| has_fallback && !self.routes.iter().any(|route| route.is_for(None, REST))) {
            let text = format!(
                "requests that no route takes, other hosts included, are refused here (upstream = \"{upstream}\"); a route without `host` is for every host"
            );
            notes.push(first.directive.note(text));
            self.refuse_at(None, REST.to_owned(), upstream);
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        self.server(&mut text);
        self.stores(&mut text);
        for upstream in &self.upstreams {
            section(&mut text, &format!("[upstreams.{}]", quoted(&upstream.name)), &upstream.settings);
        }
        // nginx guesses no lifetimes from Last-Modified.
        section(&mut text, "[cache]", &["heuristic_max = \"0s\"".to_owned()]);
        for route in &self.routes {
            let mut lines: Vec<String> = route.host.iter().map(|host| format!("host = {}", quoted(host))).collect();
            lines.push(format!("path = {}", quoted(&route.path)));
            lines.push(format!("upstream = {}", quoted(&route.upstream)));
            lines.extend(route.cached.clone().unwrap_or_else(|| vec!["cache = false".to_owned()]));
            lines.extend(route.settings.iter().cloned());
            section(&mut text, "[[routes]]", &lines);
        }
        text
    }

    fn server(&self, text: &mut String) {
        let (plain, own): (Vec<&Listener>, Vec<_>) = self.listeners.iter().partition(|listener| listener.is_plain());
        let mut lines = Vec::new();
        if !plain.is_empty() {
            let addresses: Vec<String> = plain.iter().map(|listener| quoted(&listener.address)).collect();
            let one = addresses.len() == 1;
            lines.push(format!("listen = {}", if one { addresses.concat() } else { format!("[{}]", addresses.join(", ")) }));
        }
        if !self.trusted_proxies.is_empty() {
            lines.push(format!("trusted_proxies = {}", super::values::list(&self.trusted_proxies)));
        }
        if !lines.is_empty() {
            section(text, "[server]", &lines);
        }
        for listener in own {
            let mut lines = vec![format!("address = {}", quoted(&listener.address))];
            if !listener.certificates.is_empty() {
                let pair = |(chain, key): &(String, String)| format!("{{ chain = {}, key = {} }}", quoted(chain), quoted(key));
                let pairs: Vec<String> = listener.certificates.iter().map(pair).collect();
                let version = listener.min_version.map_or_else(String::new, |version| format!(", min_version = {}", quoted(version)));
                lines.push(format!("tls = {{ certificates = [{}]{version} }}", pairs.join(", ")));
                if !listener.http2 {
                    lines.push("http2 = false".to_owned());
                }
            }
            if !listener.proxy_protocol.is_empty() {
                lines.push(format!("proxy_protocol = {{ from = {} }}", super::values::list(&listener.proxy_protocol)));
            }
            if listener.redirects {
                lines.push("redirect = \"https\"".to_owned());
            }
            section(text, "[[listeners]]", &lines);
        }
    }

    fn stores(&self, text: &mut String) {
        match self.capacity {
            Some(capacity) if capacity >= LEAST_DISK => {
                section(
                    text,
                    "[store.disk]",
                    &["path = \"/var/lib/larder/cache\"".to_owned(), format!("capacity = {}", quoted(&size(capacity)))],
                );
            }
            Some(capacity) => section(text, "[store.memory]", &[format!("capacity = {}", quoted(&size(capacity)))]),
            None => {}
        }
    }
}

fn section(text: &mut String, head: &str, lines: &[String]) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\n{head}\n{}{}", lines.join("\n"), if lines.is_empty() { "" } else { "\n" });
}
