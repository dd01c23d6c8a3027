//! `upstream` blocks, and the addresses of `proxy_pass`.

use super::output::{Output, Upstream};
use super::syntax::Directive;
use super::values::{duration, quoted, time};
use crate::Note;

/// Reads the `upstream` blocks.
pub(super) fn collect(http: &[Directive], output: &mut Output, notes: &mut Vec<Note>) {
    for block in http.iter().filter(|directive| directive.name == "upstream") {
        let mut settings = Vec::new();
        let servers: Vec<String> =
            block.block.iter().filter(|directive| directive.name == "server").filter_map(|server| self::server(server, notes)).collect();
        if servers.is_empty() {
            notes.push(block.note(format!("the upstream `{}` has no server that could be carried over", block.arg(0))));
            continue;
        }
        settings.push(format!("servers = [{}]", servers.join(", ")));
        for directive in &block.block {
            match directive.name.as_str() {
                "server" | "zone" | "keepalive_requests" | "keepalive_timeout" | "keepalive_time" => {}
                "keepalive" => settings.extend(directive.arg(0).parse::<u32>().ok().map(|idle| format!("max_idle = {idle}"))),
                "least_conn" => settings.push("balance = \"least-requests\"".to_owned()),
                "random" => settings.push("balance = \"least-time\"".to_owned()),
                "ip_hash" => settings.push("balance = \"hash:{client}\"".to_owned()),
                "hash" => match hash_part(directive.arg(0)) {
                    Some(part) => settings.push(format!("balance = \"hash:{part}\"")),
                    None => notes.push(directive.note(format!("`hash {}`: `balance` knows no such part", directive.arg(0)))),
                },
                other => notes.push(directive.note(format!("`{other}` has no equivalent in an upstream"))),
            }
        }
        if !settings.iter().any(|line| line.starts_with("balance")) {
            settings.push("balance = \"round-robin\"".to_owned());
        }
        output.upstreams.push(Upstream { name: name(block.arg(0)), settings });
    }
}

/// A server of a block, as an element of `servers`.
fn server(directive: &Directive, notes: &mut Vec<Note>) -> Option<String> {
    let address = directive.arg(0);
    if address.starts_with("unix:") {
        notes
            .push(directive.note(format!("`{address}`: backends on Unix sockets are not supported; let it listen on a port of 127.0.0.1")));
        return None;
    }
    let mut more = Vec::new();
    for arg in &directive.args[1..] {
        match arg.split_once('=') {
            Some(("weight", weight)) => more.push(format!("weight = {weight}")),
            None if arg == "backup" => more.push("backup = true".to_owned()),
            None if arg == "down" => return None,
            Some(("max_fails" | "fail_timeout" | "slow_start" | "max_conns", _)) => {
                notes
                    .push(directive.note(format!("`{arg}`: see `eject`, `warm_up` and `max_requests` of the upstream; the defaults hold")));
            }
            _ => notes.push(directive.note(format!("`{arg}` of a server has no equivalent"))),
        }
    }
    let url = quoted(&format!("http://{address}"));
    Some(if more.is_empty() { url } else { format!("{{ url = {url}, {} }}", more.join(", ")) })
}

fn hash_part(key: &str) -> Option<String> {
    Some(match key {
        "$uri" | "$document_uri" => "{path}".to_owned(),
        "$request_uri" => "{path}{query}".to_owned(),
        "$host" | "$http_host" => "{host}".to_owned(),
        "$remote_addr" | "$binary_remote_addr" => "{client}".to_owned(),
        other => match (other.strip_prefix("$http_"), other.strip_prefix("$cookie_")) {
            (Some(field), _) => format!("{{header.{}}}", field.replace('_', "-")),
            (_, Some(cookie)) => format!("{{cookie.{cookie}}}"),
            _ => return None,
        },
    })
}

/// A name that metrics and fields can carry.
fn name(text: &str) -> String {
    text.chars().map(|char| if char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.') { char } else { '-' }).collect()
}

/// Where a `proxy_pass` leads: the name of the upstream, and the path that replaces the location's, where there is one.
pub(super) struct Passed {
    pub(super) upstream: String,
    pub(super) path: Option<String>,
}

/// Finds the upstream of a `proxy_pass`, or makes one.
pub(super) fn passed(directive: &Directive, output: &mut Output, notes: &mut Vec<Note>) -> Option<Passed> {
    let url = directive.arg(0);
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if url.contains('$') || rest.starts_with("unix:") || !matches!(scheme, "http" | "https") {
        notes.push(
            directive.note(format!("`proxy_pass {url}`: name the backend in [upstreams]; variables and Unix sockets are not supported")),
        );
        return None;
    }
    let (address, path) = match rest.find('/') {
        Some(slash) => (&rest[..slash], Some(rest[slash..].to_owned())),
        None => (rest, None),
    };
    let known = name(address);
    if let Some(upstream) = output.upstreams.iter_mut().find(|upstream| upstream.name == known) {
        if scheme == "https" {
            upstream.settings.iter_mut().for_each(|line| *line = line.replace("\"http://", "\"https://"));
        }
        return Some(Passed { upstream: known, path });
    }
    output.upstream(&known, || vec![format!("url = {}", quoted(&format!("{scheme}://{address}")))]);
    Some(Passed { upstream: known, path })
}

/// Adds a setting of the upstream that nginx has at its locations; a second one with another value is told.
pub(super) fn set(output: &mut Output, upstream: &str, key: &str, value: &str, directive: &Directive, notes: &mut Vec<Note>) {
    let upstream = output.upstream(upstream, Vec::new);
    let line = format!("{key} = {value}");
    match upstream.settings.iter().find(|known| known.split(" = ").next() == Some(key)) {
        Some(known) if *known == line => {}
        Some(known) => notes.push(directive.note(format!("the upstream `{}` has `{known}` already; `{line}` is left out", upstream.name))),
        None => upstream.settings.push(line),
    }
}

/// A time of nginx as a value of Larder.
pub(super) fn quoted_time(text: &str) -> Option<String> {
    time(text).map(|time| quoted(&duration(time)))
}
