//! `proxy_cache_bypass` and `proxy_no_cache`: requests that get nothing from the cache, or leave nothing there.

use super::scope::Scope;
use super::syntax::Directive;
use crate::Note;

/// What a condition comes to here.
enum Carried {
    /// It never holds, or Larder heeds it by itself.
    Already,
    /// Requests with cookies pass by the cache.
    ByCookies,
    /// It is not known when it holds.
    No,
}

/// The settings by which no more is stored than under these conditions; `None` where no setting does that.
pub(super) fn settings(scope: Scope<'_>, notes: &mut Vec<Note>) -> Option<Vec<String>> {
    let (mut by_cookies, mut are_all) = (false, true);
    for directive in ["proxy_cache_bypass", "proxy_no_cache"].iter().flat_map(|name| scope.all(name)) {
        for condition in &directive.args {
            match carried(condition) {
                Carried::Already => {}
                Carried::ByCookies => {
                    by_cookies = true;
                    note(directive, "requests with cookies pass by the cache here (cookies = \"pass\"), whichever they are", notes);
                }
                Carried::No => {
                    are_all = false;
                    let text = "nothing is stored here (cache = false), since when this holds is not known; `bypass` names a parameter, and \
                                `match` of a route with cache = false fields and parameters";
                    note(directive, text, notes);
                }
            }
        }
    }
    are_all.then(|| if by_cookies { vec!["cookies = \"pass\"".to_owned()] } else { Vec::new() })
}

fn carried(condition: &str) -> Carried {
    match condition {
        "" | "0" => Carried::Already,
        // Clients' `no-cache` counts, and answers to credentials are for others only where the backend says so.
        "$http_cache_control" | "$http_pragma" | "$http_authorization" => Carried::Already,
        "$http_cookie" => Carried::ByCookies,
        _ => match condition.strip_prefix("$cookie_") {
            Some(name) if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => Carried::ByCookies,
            _ => Carried::No,
        },
    }
}

fn note(directive: &Directive, text: &str, notes: &mut Vec<Note>) {
    notes.push(directive.note(format!("`{} {}`: {text}", directive.name, directive.args.join(" "))));
}
