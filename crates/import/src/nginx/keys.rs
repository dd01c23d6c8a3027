//! `proxy_cache_key`: what makes two requests the same.

use super::scope::Scope;
use super::values::list;
use crate::Note;

/// The settings that come to the same key; `None` where nothing can: another key would give one client's answer to others.
pub(super) fn settings(scope: Scope<'_>, notes: &mut Vec<Note>) -> Option<Vec<String>> {
    let Some(directive) = scope.one("proxy_cache_key") else { return Some(Vec::new()) };
    let text = directive.args.join("");
    let variables = variables(&text);
    let has = |names: &[&str]| variables.iter().any(|variable| names.contains(&variable.as_str()));
    let (mut headers, mut cookies, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut settings, mut is_whole) = (Vec::new(), true);
    for variable in &variables {
        match variable.as_str() {
            "scheme" | "host" | "http_host" | "server_name" | "proxy_host" | "request_method" | "uri" | "request_uri" | "document_uri"
            | "args" | "query_string" | "is_args" => {}
            // What an identity is made of unless it is said.
            "http_authorization" => settings.push("scope = \"identity\"".to_owned()),
            other => {
                if let Some(name) = other.strip_prefix("http_").filter(|name| *name != "cookie") {
                    headers.push(name.replace('_', "-"));
                } else if let Some(name) = other.strip_prefix("cookie_") {
                    cookies.push(name.to_owned());
                } else if other.starts_with("arg_") && !has(&["request_uri", "args", "query_string"]) {
                    notes.push(
                        directive.note(format!("`${other}`: the whole query is in the key; name what it should not have in query.drop")),
                    );
                } else if !other.starts_with("arg_") {
                    is_whole = false;
                    notes.push(directive.note(format!("`${other}` has no equivalent in `key`, so nothing is stored here (cache = false)")));
                }
            }
        }
    }
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
    if !parts.is_empty() {
        settings.push(format!("key = {{ {} }}", parts.join(", ")));
    }
    is_whole.then_some(settings)
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
