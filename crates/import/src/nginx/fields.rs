//! `proxy_set_header`, `proxy_hide_header` and `add_header`.

use super::names;
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
            _ if value.is_empty() && names::is_removable_in_requests(&name) => removed.push(name),
            _ => {
                let is_set =
                    names::is_settable_in_requests(&name) && filled(value).is_some_and(|value| names::join(&mut set, name.clone(), value));
                if !is_set {
                    notes.push(directive.note(format!("`proxy_set_header {} {value}`: {}", directive.arg(0), left_out(&name))));
                    // The backend believes what nginx says there: a client cannot say it instead.
                    removed.extend(Some(name).filter(|name| names::is_removable_in_requests(name)));
                }
            }
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

/// What a note says of a field of requests that is not set.
fn left_out(name: &str) -> &'static str {
    if names::is_settable_in_requests(name) {
        "`request` knows {client.ip}, {route}, {request_id}, {header.NAME}; the client's is removed"
    } else if names::is_removable_in_requests(name) {
        "many backends take `_` for `-`, so it is not set; the client's is removed"
    } else {
        "`request` does not change it"
    }
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
        } else if change == "proxy_hide_header" && names::is_removable_in_answers(&name) {
            removed.push(name);
        } else if change == "proxy_hide_header" || !names::is_addable_in_answers(&name) {
            notes.push(directive.note(format!("`{change} {}`: `response` does not change it", directive.arg(0))));
        } else if value.is_empty() {
            // nginx adds no empty line.
        } else if !plain(value).is_some_and(|value| names::join(&mut added, name, value)) {
            let text = "a stored answer is for everybody, so no variables; a value is one line of ASCII, and a cookie one line";
            notes.push(directive.note(format!("`{change} {} {value}`: {text}", directive.arg(0))));
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
    (!value.contains(['$', '{', '}']) && names::is_value(value)).then(|| value.to_owned())
}

/// A value of a request's field, where Larder knows what is filled in.
fn filled(value: &str) -> Option<String> {
    match value {
        "$remote_addr" => Some("{client.ip}".to_owned()),
        "$request_id" => Some("{request_id}".to_owned()),
        other => match other.strip_prefix("$http_") {
            Some(name) if names::is_name(name) && !name.contains(['$', '{', '}']) => Some(format!("{{header.{}}}", name.replace('_', "-"))),
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
