//! `proxy_set_header`, `proxy_hide_header` and `add_header`.

use super::output::Output;
use super::scope::Scope;
use super::syntax::Directive;
use super::upstreams;
use super::values::{list, quoted};
use crate::Note;

/// What Larder tells backends by itself.
const TOLD: &[&str] =
    &["connection", "upgrade", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip", "forwarded"];

/// The changes to fields of requests and answers; `Host` is the upstream's.
pub(super) fn settings(scope: Scope<'_>, upstream: &str, is_cached: bool, output: &mut Output, notes: &mut Vec<Note>) -> Vec<String> {
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    let mut host = "\"upstream\"";
    let mut says_host = None;
    for directive in scope.all("proxy_set_header") {
        let (name, value) = (directive.arg(0).to_ascii_lowercase(), directive.arg(1));
        match name.as_str() {
            "host" => match value {
                "$host" | "$http_host" => (host, says_host) = ("\"preserve\"", Some(directive)),
                "$proxy_host" => {}
                _ => notes.push(directive.note(format!("`Host {value}`: `host` of the upstream is \"preserve\" or \"upstream\""))),
            },
            told if TOLD.contains(&told) => {}
            _ if value.is_empty() => removed.push(name),
            _ => match filled(value) {
                Some(value) => set.push((name, value)),
                None => notes.push(
                    directive.note(format!("`{name} {value}`: `request` knows {{client.ip}}, {{route}}, {{request_id}}, {{header.NAME}}")),
                ),
            },
        }
    }
    // nginx sends the name of the backend, unless it is told otherwise.
    let place = says_host.or_else(|| scope.one("proxy_pass"));
    if let Some(directive) = place {
        upstreams::set(output, upstream, "host", host, directive, notes);
    }
    let mut settings: Vec<String> = changes("request", &removed, "set", &set).into_iter().collect();
    settings.extend(answers(scope, is_cached, notes));
    settings
}

/// Changes to answers. nginx makes them as it sends; Larder before it decides what is stored. So fields that decide stay as they are where answers are
/// stored: the backend's `private`, `Vary` or `Set-Cookie` would be lost.
fn answers(scope: Scope<'_>, is_cached: bool, notes: &mut Vec<Note>) -> Option<String> {
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for directive in scope.all("proxy_hide_header").into_iter().chain(scope.all("add_header")) {
        let (change, value) = (directive.name.as_str(), directive.arg(1));
        let name = directive.arg(0).to_ascii_lowercase();
        if value.contains("$upstream_cache_status") {
            // X-Cache and Cache-Status say it in any case.
        } else if let Some(reason) = deciding(&name).filter(|_| is_cached) {
            notes.push(directive.note(format!("`{change} {}`: {reason}", directive.arg(0))));
        } else if change == "proxy_hide_header" {
            removed.push(name);
        } else if let Some(value) = plain(value) {
            added.push((name, value));
        } else {
            let text = format!("`{change} {} {value}`: a stored answer is for everybody, so no variables", directive.arg(0));
            notes.push(directive.note(text));
        }
    }
    // Beside those of the same name, as in nginx.
    changes("response", &removed, "add", &added)
}

/// Why a field of answers is not changed where they are stored; `None` where it decides nothing.
fn deciding(name: &str) -> Option<&'static str> {
    const LIFETIME: &str = "Larder decides by it what is stored, so the backend's stays as it is; `client_ttl` says what clients are told";
    match name {
        "set-cookie" | "vary" => Some("Larder decides by it what is stored, and for whom, so the backend's stays as it is"),
        "cache-control" | "expires" | "pragma" | "surrogate-control" => Some(LIFETIME),
        other => other.ends_with("-cache-control").then_some(LIFETIME),
    }
}

/// `lines` stand beside those of the same name ("add") or in their place ("set"), as `how` says.
fn changes(key: &str, removed: &[String], how: &str, lines: &[(String, String)]) -> Option<String> {
    let mut parts = Vec::new();
    if !removed.is_empty() {
        parts.push(format!("remove = {}", list(removed)));
    }
    if !lines.is_empty() {
        let pairs: Vec<String> = lines.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value))).collect();
        parts.push(format!("{how} = {{ {} }}", pairs.join(", ")));
    }
    (!parts.is_empty()).then(|| format!("{key} = {{ {} }}", parts.join(", ")))
}

/// A value with nothing to be filled in.
fn plain(value: &str) -> Option<String> {
    (!value.contains(['$', '{', '}'])).then(|| value.to_owned())
}

/// A value of a request's field, where Larder knows what is filled in.
fn filled(value: &str) -> Option<String> {
    match value {
        "$remote_addr" => Some("{client.ip}".to_owned()),
        "$request_id" => Some("{request_id}".to_owned()),
        other => match other.strip_prefix("$http_") {
            Some(name) if name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') => {
                Some(format!("{{header.{}}}", name.replace('_', "-")))
            }
            _ => plain(other),
        },
    }
}

/// The times that `proxy_*_timeout` give.
pub(super) fn timeouts(scope: Scope<'_>, upstream: &str, output: &mut Output, notes: &mut Vec<Note>) -> Option<String> {
    let time = |directive: &Directive| upstreams::quoted_time(directive.arg(0));
    if let Some((directive, time)) = scope.one("proxy_connect_timeout").and_then(|found| Some((found, time(found)?))) {
        upstreams::set(output, upstream, "connect_timeout", &time, directive, notes);
    }
    scope.one("proxy_read_timeout").and_then(time).map(|time| format!("timeout = {time}"))
}
