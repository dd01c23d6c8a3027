//! The configuration that comes out.

use std::fmt::Write as _;

use super::syntax::Directive;
use super::values::{quoted, size};
use crate::Note;

const HEAD: &str = "\
# Carried over from a configuration of nginx by `larder import nginx`: a beginning, to be read and completed. The notes on standard error name what has
# no equivalent. What Larder does otherwise than nginx unless it is told: the key has the client's host, the query is sorted, and answers to requests
# with cookies are not stored for everybody under a lifetime that only the configuration gives (`cookies`). `larder check` looks for mistakes.
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
    pub(super) settings: Vec<String>,
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

impl Route {
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
}

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
        for Refusal { host, path, always, location } in std::mem::take(&mut self.refusals) {
            let is_there = |route: &Route| route.host == host && route.path == path;
            if always {
                // Another server may have the path, open: both cannot be, and this one is to stay shut.
                self.routes.retain(|route| !is_there(route));
            } else if self.routes.iter().any(is_there) || !self.routes.iter().any(|route| route.takes(host.as_deref(), &path)) {
                continue;
            }
            self.upstream(&upstream, || vec![format!("url = {}", quoted(NOWHERE))]);
            let of = host.as_deref().unwrap_or("every host");
            notes.push(
                location
                    .note(format!("requests for {path} of {of} are refused here (upstream = \"{upstream}\"): name a backend to open it")),
            );
            self.routes.push(Route { host, path, upstream: upstream.clone(), settings: vec!["cache = false".to_owned()] });
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
