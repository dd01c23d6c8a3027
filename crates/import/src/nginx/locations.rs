//! `server` and `location`: hosts and paths, as routes.

use super::access;
use super::conditions;
use super::fields;
use super::keys;
use super::lifetimes;
use super::listeners;
use super::output::{Longer, Output, Refusal, Route, Server};
use super::scope::Scope;
use super::syntax::Directive;
use super::unknown;
use super::upstreams::{Passed, passed};
use super::values::{bytes, quoted, size};
use crate::Note;

/// Directives of a server that are read elsewhere.
const OF_SERVERS: &[&str] = &["listen", "server_name", "location", "return", "http2"];
const OF_LOCATIONS: &[&str] = &["proxy_pass", "location"];
/// By which a location answers without a backend.
const ANSWERS: &[&str] = &["return", "root", "alias", "try_files"];

/// Adds the routes of a server.
pub(super) fn routes_of(server: &Directive, scope: Scope<'_>, output: &mut Output, notes: &mut Vec<Note>) {
    let hosts = hosts(scope, output, notes);
    let patterns = Pattern::all(scope);
    // It comes before all locations.
    let returns = server.block.iter().any(|directive| directive.name == "return");
    for directive in &server.block {
        if directive.name != "location" {
            notes.extend(unknown(directive, OF_SERVERS));
        } else if !returns {
            location(directive, Around { scope: &scope, hosts: &hosts, patterns: &patterns }, output, notes);
        }
    }
    output.servers.push(Server { hosts, is_closed: returns && !listeners::redirects(scope), directive: server.clone() });
}

/// What stands around a location.
#[derive(Clone, Copy)]
struct Around<'a> {
    scope: &'a Scope<'a>,
    hosts: &'a [Option<String>],
    patterns: &'a [Pattern<'a>],
}

/// The hosts of a server; `None` for every host.
fn hosts(server: Scope<'_>, output: &mut Output, notes: &mut Vec<Note>) -> Vec<Option<String>> {
    let mut hosts = Vec::new();
    for directive in server.block.iter().filter(|directive| directive.name == "server_name") {
        for name in &directive.args {
            if name == "_" || name.is_empty() {
                hosts.push(None);
            } else if name.starts_with(['~', '*', '.']) || name.ends_with('*') || name.contains('$') {
                notes.push(directive.note(format!("`{name}`: a route names one host or none; its routes here are for every host")));
                output.has_patterns = true;
                hosts.push(None);
            } else {
                hosts.push(Some(name.to_ascii_lowercase()));
            }
        }
    }
    hosts.dedup();
    if hosts.is_empty() { vec![None] } else { hosts }
}

fn location(directive: &Directive, around: Around<'_>, output: &mut Output, notes: &mut Vec<Note>) {
    let scope = around.scope.within(&directive.block);
    let own = Pattern::all(scope);
    let patterns: Vec<Pattern<'_>> = around.patterns.iter().cloned().chain(own).collect();
    for inner in directive.block.iter() {
        if inner.name == "location" {
            location(inner, Around { scope: &scope, hosts: around.hosts, patterns: &patterns }, output, notes);
        } else if !ANSWERS.contains(&inner.name.as_str()) {
            notes.extend(unknown(inner, OF_LOCATIONS));
        }
    }
    let Some(paths) = paths(directive, notes) else { return };
    let refusals = |paths: &[String], always: bool| -> Vec<Refusal> {
        let refusal =
            |host: &Option<String>, path: &String| Refusal { host: host.clone(), path: path.clone(), always, location: directive.clone() };
        around.hosts.iter().flat_map(|host| paths.iter().map(|path| refusal(host, path))).collect()
    };
    let refuse = |output: &mut Output, always: bool| {
        output.refusals.extend(refusals(&paths.templates, always));
        output.refusals.extend(refusals(&paths.longer, always));
    };
    // `proxy_pass` is of its own block alone.
    let Some(pass) = passes(directive) else {
        let answers = directive.block.iter().find(|inner| ANSWERS.contains(&inner.name.as_str()));
        // The redirect of a whole server is its listener's.
        let leads_to_https =
            paths.prefix == "/" && answers.is_some_and(|inner| inner.name == "return" && inner.arg(1).starts_with("https://"));
        if let Some(answers) = answers.filter(|_| !leads_to_https) {
            notes.push(
                directive.note(format!("this location answers by itself (`{}`): files and fixed answers are a web server's", answers.name)),
            );
        }
        if !leads_to_https {
            refuse(output, false);
        }
        return;
    };
    if let Some(check) = access::check(scope) {
        notes
            .push(check.note(format!("`{}`: nginx asks this before each answer, and Larder does not: let the backend ask it", check.name)));
        return refuse(output, true);
    }
    let Some(Passed { upstream, path: replaced }) = passed(pass, output, notes) else { return refuse(output, false) };
    let cached = cached(scope, notes).filter(|cached| {
        let otherwise = applying(directive, &patterns).find(|pattern| !pattern.stores_the_same(pass, cached));
        if let Some(otherwise) = otherwise {
            let text = format!(
                "`location {}`: its requests take the route for {} here, so that nothing is stored there (cache = false){}",
                otherwise.directive.args.join(" "),
                paths.templates[0],
                if otherwise.pass.is_none() { "; they reach its backend" } else { "" }
            );
            notes.push(otherwise.directive.note(text));
        }
        otherwise.is_none()
    });
    let mut settings = settings(scope, cached.is_some(), &upstream, output, notes);
    let is_whole = replaced.is_none();
    match rewrite(&paths.prefix, replaced.as_deref()) {
        Ok(rewrite) => settings.extend(rewrite),
        Err(text) => notes.push(pass.note(text)),
    }
    let routes = |paths: &[String]| -> Vec<Route> {
        let route = |host: &Option<String>, path: &String| Route {
            host: host.clone(),
            path: path.clone(),
            upstream: upstream.clone(),
            cached: cached.clone(),
            settings: settings.clone(),
        };
        around.hosts.iter().flat_map(|host| paths.iter().map(|path| route(host, path))).collect()
    };
    for route in routes(&paths.templates) {
        output.route(route, directive, notes);
    }
    if !paths.longer.is_empty() {
        let path = &paths.prefix;
        let note = directive.note(format!("`{path}`: routes are for it and what is below it, not for paths such as {path}x"));
        // Larder replaces whole segments of a path.
        let longer = Longer { routes: is_whole.then(|| routes(&paths.longer)), refusals: refusals(&paths.longer, false), note };
        output.longer.push(longer);
    }
}

/// The `proxy_pass` that requests come to: none where the location answers before.
fn passes(location: &Directive) -> Option<&Directive> {
    let returns = location.block.iter().any(|inner| inner.name == "return");
    location.block.iter().find(|inner| inner.name == "proxy_pass" && !returns)
}

/// A location that no route can have, such as one by a regular expression. nginx tries it before most of those by a prefix, so that routes take
/// requests that were its own.
#[derive(Clone)]
struct Pattern<'a> {
    directive: &'a Directive,
    /// The backend that it gives its requests to, where it does.
    pass: Option<&'a str>,
    /// As [`cached`] says.
    cached: Option<Vec<String>>,
}

impl<'a> Pattern<'a> {
    /// Those that stand in this block.
    fn all(scope: Scope<'a>) -> Vec<Self> {
        let by_pattern = |directive: &&Directive| directive.name == "location" && parsed(directive).is_none_or(is_pattern);
        let of = |directive: &'a Directive| {
            let own = scope.within(&directive.block);
            let pass = passes(directive).filter(|_| access::check(own).is_none()).map(|pass| pass.arg(0));
            Self { directive, pass, cached: pass.and_then(|_| cached(own, &mut Vec::new())) }
        };
        // Requests do not take a location with a name by themselves.
        let has_name = |directive: &&Directive| directive.arg(0).starts_with('@');
        scope.block.iter().filter(by_pattern).filter(|directive| !has_name(directive)).map(of).collect()
    }

    /// Whether what a location with this backend and these settings stores of its requests is what nginx stores of them.
    fn stores_the_same(&self, pass: &Directive, cached: &[String]) -> bool {
        self.pass == Some(pass.arg(0)) && self.cached.as_deref() == Some(cached)
    }
}

/// The patterns that nginx tries before it takes this location: after `=` none, and after `^~` its own alone.
fn applying<'a>(location: &'a Directive, patterns: &'a [Pattern<'a>]) -> impl Iterator<Item = &'a Pattern<'a>> {
    let modifier = parsed(location).map_or("", |(modifier, _)| modifier);
    let is_own = |pattern: &Pattern<'_>| location.block.iter().any(|inner| std::ptr::eq(inner, pattern.directive));
    patterns.iter().filter(move |pattern| modifier != "=" && (modifier != "^~" || is_own(pattern)))
}

/// The paths of a location.
struct Paths {
    templates: Vec<String>,
    /// Those that go on within the last segment, as nginx's prefixes may.
    longer: Vec<String>,
    /// What nginx replaces with the path of `proxy_pass`.
    prefix: String,
}

fn paths(directive: &Directive, notes: &mut Vec<Note>) -> Option<Paths> {
    let Some((modifier, path)) = parsed(directive) else {
        notes.push(directive.note("this location cannot be read"));
        return None;
    };
    if is_pattern((modifier, path)) {
        let text = format!(
            "`location {}`: write routes with {{name}} for a segment and {{*rest}} for everything to the end",
            directive.args.join(" ")
        );
        notes.push(directive.note(text));
        return None;
    }
    let templates = match (modifier, path.strip_suffix('/')) {
        ("=", _) => vec![path.to_owned()],
        (_, Some(stem)) => vec![format!("{stem}/{{*rest}}")],
        (_, None) => vec![path.to_owned(), format!("{path}/{{*rest}}")],
    };
    let goes_on = modifier != "=" && !path.ends_with('/');
    let longer = if goes_on { vec![format!("{path}{{more}}"), format!("{path}{{more}}/{{*rest}}")] } else { Vec::new() };
    Some(Paths { templates, longer, prefix: path.to_owned() })
}

/// The modifier of a location and its path.
fn parsed(location: &Directive) -> Option<(&str, &str)> {
    match location.args.as_slice() {
        [path] => Some(("", path)),
        [modifier, path] => Some((modifier, path)),
        _ => None,
    }
}

/// Whether no route can stand for it.
fn is_pattern((modifier, path): (&str, &str)) -> bool {
    matches!(modifier, "~" | "~*") || path.starts_with(['@', '~']) || path.contains(['{', '}', '*']) || !path.starts_with('/')
}

/// How a path changes on its way to the backend.
fn rewrite(location: &str, replaced: Option<&str>) -> Result<Option<String>, String> {
    let Some(replaced) = replaced else { return Ok(None) };
    if replaced == location {
        return Ok(None);
    }
    if location.ends_with('/') != replaced.ends_with('/') {
        return Err(format!("nginx puts {replaced} in place of {location}, slash or not; say it in `rewrite`"));
    }
    let (strip, add) = (location.trim_end_matches('/'), replaced.trim_end_matches('/'));
    let parts = [("strip_prefix", strip), ("add_prefix", add)];
    let parts: Vec<String> =
        parts.iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| format!("{key} = {}", quoted(text))).collect();
    Ok((!parts.is_empty()).then(|| format!("rewrite = {{ {} }}", parts.join(", "))))
}

/// How answers of this place are stored; `None` where nothing is.
fn cached(scope: Scope<'_>, notes: &mut Vec<Note>) -> Option<Vec<String>> {
    let mut outermost = scope;
    while let Some(around) = outermost.around() {
        outermost = around;
    }
    let mut settings = lifetimes::settings(scope, outermost.block, notes)?;
    settings.extend(keys::settings(scope, notes)?);
    settings.extend(conditions::settings(scope, notes)?);
    if let Some(condition) = access::condition(scope) {
        let text = format!(
            "nginx asks this `{}` before each answer, and Larder does not, so nothing is stored here (cache = false)",
            condition.name
        );
        notes.push(condition.note(text));
        return None;
    }
    Some(settings)
}

/// The settings of this place but for those by which answers are stored.
fn settings(scope: Scope<'_>, is_cached: bool, upstream: &str, output: &mut Output, notes: &mut Vec<Note>) -> Vec<String> {
    let mut settings = fields::settings(scope, upstream, is_cached, output, notes);
    settings.extend(fields::timeouts(scope, upstream, output, notes));
    settings.extend(lifetimes::compress(scope));
    // nginx's own limit where nothing stands is 1 MiB.
    let limit = scope.one("client_max_body_size").map_or(Some(1 << 20), |limit| bytes(limit.arg(0)));
    settings.extend(limit.filter(|limit| *limit > 0).map(|limit| format!("max_request_body = {}", quoted(&size(limit)))));
    settings
}
