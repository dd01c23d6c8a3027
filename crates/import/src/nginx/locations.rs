//! `server` and `location`: hosts and paths, as routes.

use super::conditions;
use super::fields;
use super::keys;
use super::lifetimes;
use super::output::{Output, Route};
use super::scope::Scope;
use super::syntax::Directive;
use super::unknown;
use super::upstreams::{Passed, passed};
use super::values::{bytes, quoted, size};
use crate::Note;

/// Directives of a server that are read elsewhere.
const OF_SERVERS: &[&str] = &["listen", "server_name", "location", "return", "http2"];
const OF_LOCATIONS: &[&str] = &["proxy_pass", "location"];

/// Adds the routes of a server.
pub(super) fn routes_of(server: Scope<'_>, output: &mut Output, notes: &mut Vec<Note>) {
    let hosts = hosts(server, notes);
    for directive in server.block {
        if directive.name == "location" {
            location(directive, &server, &hosts, output, notes);
        } else {
            notes.extend(unknown(directive, OF_SERVERS));
        }
    }
}

/// The hosts of a server; `None` for every host.
fn hosts(server: Scope<'_>, notes: &mut Vec<Note>) -> Vec<Option<String>> {
    let mut hosts = Vec::new();
    for directive in server.block.iter().filter(|directive| directive.name == "server_name") {
        for name in &directive.args {
            if name == "_" || name.is_empty() {
                hosts.push(None);
            } else if name.starts_with(['~', '*', '.']) || name.ends_with('*') || name.contains('$') {
                notes.push(directive.note(format!("`{name}`: a route names one host or none; its routes here are for every host")));
                hosts.push(None);
            } else {
                hosts.push(Some(name.to_ascii_lowercase()));
            }
        }
    }
    hosts.dedup();
    if hosts.is_empty() { vec![None] } else { hosts }
}

fn location(directive: &Directive, around: &Scope<'_>, hosts: &[Option<String>], output: &mut Output, notes: &mut Vec<Note>) {
    let scope = around.within(&directive.block);
    for inner in directive.block.iter() {
        if inner.name == "location" {
            location(inner, &scope, hosts, output, notes);
        } else if !matches!(inner.name.as_str(), "return" | "root" | "alias" | "try_files") {
            notes.extend(unknown(inner, OF_LOCATIONS));
        }
    }
    // `proxy_pass` is of its own block alone.
    let Some(pass) = directive.block.iter().find(|inner| inner.name == "proxy_pass") else {
        let answers = directive.block.iter().find(|inner| matches!(inner.name.as_str(), "return" | "root" | "alias" | "try_files"));
        let leads_to_https = answers.is_some_and(|inner| inner.name == "return" && inner.arg(1).starts_with("https://"));
        if let Some(answers) = answers.filter(|_| !leads_to_https) {
            notes.push(
                directive.note(format!("this location answers by itself (`{}`): files and fixed answers are a web server's", answers.name)),
            );
        }
        return;
    };
    let Some(paths) = paths(directive, notes) else { return };
    let Some(Passed { upstream, path: replaced }) = passed(pass, output, notes) else { return };
    let mut settings = settings(scope, &upstream, output, notes);
    match rewrite(&paths.prefix, replaced.as_deref()) {
        Ok(rewrite) => settings.extend(rewrite),
        Err(text) => notes.push(pass.note(text)),
    }
    for host in hosts {
        for path in &paths.templates {
            if output.routes.iter().any(|route| route.host == *host && route.path == *path) {
                let of = host.as_deref().unwrap_or("every host");
                notes.push(directive.note(format!("there is a route for {path} of {of} already; this one is left out")));
            } else {
                let route = Route { host: host.clone(), path: path.clone(), upstream: upstream.clone(), settings: settings.clone() };
                output.routes.push(route);
            }
        }
    }
}

/// The paths of a location.
struct Paths {
    templates: Vec<String>,
    /// What nginx replaces with the path of `proxy_pass`.
    prefix: String,
}

fn paths(directive: &Directive, notes: &mut Vec<Note>) -> Option<Paths> {
    let (modifier, path) = match directive.args.as_slice() {
        [path] => ("", path.as_str()),
        [modifier, path] => (modifier.as_str(), path.as_str()),
        _ => {
            notes.push(directive.note("this location cannot be read"));
            return None;
        }
    };
    if matches!(modifier, "~" | "~*") || path.starts_with(['@', '~']) || path.contains(['{', '}', '*']) || !path.starts_with('/') {
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
        (_, None) => {
            notes.push(directive.note(format!("`{path}`: routes are for it and what is below it, not for paths such as {path}x")));
            vec![path.to_owned(), format!("{path}/{{*rest}}")]
        }
    };
    Some(Paths { templates, prefix: path.to_owned() })
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

fn settings(scope: Scope<'_>, upstream: &str, output: &mut Output, notes: &mut Vec<Note>) -> Vec<String> {
    let mut outermost = scope;
    while let Some(around) = outermost.around() {
        outermost = around;
    }
    let cached = lifetimes::settings(scope, outermost.block, notes).and_then(|mut settings| {
        settings.extend(keys::settings(scope, notes)?);
        settings.extend(conditions::settings(scope, notes)?);
        Some(settings)
    });
    let mut settings = cached.unwrap_or_else(|| vec!["cache = false".to_owned()]);
    settings.extend(fields::settings(scope, upstream, output, notes));
    settings.extend(fields::timeouts(scope, upstream, output, notes));
    settings.extend(lifetimes::compress(scope));
    // nginx's own limit where nothing stands is 1 MiB.
    let limit = scope.one("client_max_body_size").map_or(Some(1 << 20), |limit| bytes(limit.arg(0)));
    settings.extend(limit.filter(|limit| *limit > 0).map(|limit| format!("max_request_body = {}", quoted(&size(limit)))));
    settings
}
