//! `proxy_cache_key`: what makes two requests the same.

use super::scope::Scope;
use super::values::list;
use crate::Note;

/// The settings that come to the same key.
pub(super) fn settings(scope: Scope<'_>, notes: &mut Vec<Note>) -> Vec<String> {
    let Some(directive) = scope.one("proxy_cache_key") else { return Vec::new() };
    let text = directive.args.join("");
    let variables = variables(&text);
    let has = |names: &[&str]| variables.iter().any(|variable| names.contains(&variable.as_str()));
    let (mut headers, mut cookies) = (Vec::new(), Vec::new());
    for variable in &variables {
        match variable.as_str() {
            "scheme" | "host" | "http_host" | "server_name" | "proxy_host" | "request_method" | "uri" | "request_uri" | "document_uri"
            | "args" | "query_string" | "is_args" => {}
            "http_authorization" => {
                notes.push(
                    directive
                        .note("`$http_authorization`: say scope = \"identity\" on the route, with identity = [\"header:authorization\"]"),
                );
            }
            other => {
                if let Some(name) = other.strip_prefix("http_") {
                    headers.push(name.replace('_', "-"));
                } else if let Some(name) = other.strip_prefix("cookie_") {
                    cookies.push(name.to_owned());
                } else if other.starts_with("arg_") && !has(&["request_uri", "args", "query_string"]) {
                    notes.push(
                        directive.note(format!("`${other}`: the whole query is in the key; name what it should not have in query.drop")),
                    );
                } else if !other.starts_with("arg_") {
                    notes.push(directive.note(format!("`${other}` has no equivalent in `key`")));
                }
            }
        }
    }
    let mut parts = Vec::new();
    if !headers.is_empty() {
        parts.push(format!("headers = {}", list(&headers)));
    }
    if !cookies.is_empty() {
        parts.push(format!("cookies = {}", list(&cookies)));
    }
    // Without a host, all hosts share an answer: that is what it says, and so is the scheme.
    if !has(&["host", "http_host", "server_name", "proxy_host"]) {
        parts.push("host = false".to_owned());
    }
    if !has(&["scheme"]) {
        parts.push("scheme = false".to_owned());
    }
    if parts.is_empty() { Vec::new() } else { vec![format!("key = {{ {} }}", parts.join(", "))] }
}

/// The names of the variables in a text: `$name` and `${name}`.
fn variables(text: &str) -> Vec<String> {
    let mut variables = Vec::new();
    for part in text.split('$').skip(1) {
        let part = part.strip_prefix('{').unwrap_or(part);
        let name: String = part.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect();
        if !name.is_empty() {
            variables.push(name);
        }
    }
    variables
}
