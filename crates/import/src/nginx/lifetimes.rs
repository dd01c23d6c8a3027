//! What is cached, and for how long: `proxy_cache_valid` and its kin, and `proxy_cache_path`.

use std::time::Duration;

use super::output::Output;
use super::scope::Scope;
use super::syntax::Directive;
use super::values::{bytes, duration, list, quoted, time};
use crate::Note;

/// The largest `min_hits`.
const MAX_MIN_HITS: u32 = 100;

/// How long nginx keeps what nobody asks for, where `inactive` does not say.
const USUAL_INACTIVE: Duration = Duration::from_secs(600);

/// Reads the sizes of caches. Larder has one store for all routes.
pub(super) fn collect_stores(http: &[Directive], output: &mut Output, notes: &mut Vec<Note>) {
    let mut total: Option<u64> = None;
    for directive in http.iter().filter(|directive| directive.name == "proxy_cache_path") {
        let max_size = directive.args.iter().find_map(|arg| arg.strip_prefix("max_size=")).and_then(bytes);
        match max_size {
            Some(size) => total = Some(total.unwrap_or(0).saturating_add(size)),
            None => notes.push(directive.note("no `max_size`: say in `capacity` of [store.memory] or [store.disk] how much may be stored")),
        }
    }
    // All have whole segments, within the bounds of both stores.
    output.capacity = total.map(|total| total.clamp(16 << 20, 4 << 40));
}

/// The settings of a location under a cache; `None` where it caches nothing.
pub(super) fn settings(scope: Scope<'_>, http: &[Directive], notes: &mut Vec<Note>) -> Option<Vec<String>> {
    let zone = scope.one("proxy_cache").filter(|zone| zone.arg(0) != "off")?;
    if zone.arg(0).contains('$') {
        notes
            .push(zone.note(format!("`proxy_cache {}`: whether this is cached depends on it, so nothing is (cache = false)", zone.arg(0))));
        return None;
    }
    let mut settings = Vec::new();
    settings.extend(ttl(scope, notes));
    settings.extend(ignored(scope, notes));
    settings.extend(stale(scope, inactive(zone, http)));
    settings.extend(methods(scope, notes));
    settings.extend(min_hits(scope, notes));
    Some(settings)
}

fn min_hits(scope: Scope<'_>, notes: &mut Vec<Note>) -> Option<String> {
    let directive = scope.one("proxy_cache_min_uses")?;
    let uses = directive.arg(0).parse::<u32>().ok().filter(|uses| *uses > 1)?;
    if uses > MAX_MIN_HITS {
        notes.push(directive.note(format!("`proxy_cache_min_uses {uses}`: `min_hits` goes to {MAX_MIN_HITS}")));
    }
    Some(format!("min_hits = {}", uses.min(MAX_MIN_HITS)))
}

/// Whether answers with this status may be stored by a lifetime of the configuration: they are about more than the request at hand.
fn is_stored(status: &str) -> bool {
    const NEVER: &[&str] = &["206", "304", "407", "408", "412", "416", "417", "421", "425", "426", "428", "429", "431", "511"];
    status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()) && ("200".."600").contains(&status) && !NEVER.contains(&status)
}

/// `proxy_cache_valid`: lifetimes where the backend names none.
fn ttl(scope: Scope<'_>, notes: &mut Vec<Note>) -> Option<String> {
    let mut entries: Vec<(String, String)> = Vec::new();
    let mut any = None;
    for directive in scope.all("proxy_cache_valid") {
        let Some((last, codes)) = directive.args.split_last() else { continue };
        let Some(time) = time(last) else {
            notes.push(directive.note(format!("`{last}` is no time")));
            continue;
        };
        let codes: Vec<&str> = if codes.is_empty() { vec!["200", "301", "302"] } else { codes.iter().map(String::as_str).collect() };
        for code in codes {
            match code {
                "any" => any = Some(duration(time)),
                code if is_stored(code) => {
                    // The first that names a status counts.
                    if !entries.iter().any(|(known, _)| known == code) {
                        entries.push((code.to_owned(), duration(time)));
                    }
                }
                other => notes.push(directive.note(format!("`{other}`: no lifetime holds for answers with this status"))),
            }
        }
    }
    if let Some(any) = any {
        let classes = ["default", "4xx", "5xx"].map(|class| (class.to_owned(), any.clone()));
        entries = classes.into_iter().chain(entries).collect();
    }
    let parts: Vec<String> = entries.iter().map(|(status, time)| format!("{} = {}", key(status), quoted(time))).collect();
    (!parts.is_empty()).then(|| format!("ttl = {{ {} }}", parts.join(", ")))
}

fn key(status: &str) -> String {
    if status == "default" { status.to_owned() } else { quoted(status) }
}

/// `proxy_ignore_headers`: what the backend says and nginx does not heed.
fn ignored(scope: Scope<'_>, notes: &mut Vec<Note>) -> Vec<String> {
    let mut settings = Vec::new();
    for directive in scope.all("proxy_ignore_headers") {
        let has = |name: &str| directive.args.iter().any(|arg| arg.eq_ignore_ascii_case(name));
        if has("Cache-Control") || has("Expires") {
            settings.push("ttl_mode = \"override\"".to_owned());
            let text =
                "`private`, `no-store` and Set-Cookie still keep an answer from being stored; `unsafe_ignore` gives that up, word by word";
            notes.push(directive.note(text));
        }
        if has("Set-Cookie") {
            notes.push(
                directive
                    .note("`Set-Cookie`: answers that set cookies are not stored; unsafe_ignore = [\"set-cookie\"] stores them without"),
            );
        }
        if has("Vary") {
            notes.push(directive.note("`Vary` is always heeded; unsafe_ignore = [\"vary:NAME\"] leaves out a field"));
        }
    }
    settings.dedup();
    settings
}

/// How long nginx keeps what it may serve stale: until nobody has asked for it for so long.
fn inactive(zone: &Directive, http: &[Directive]) -> Duration {
    let name = format!("keys_zone={}:", zone.arg(0));
    let path =
        http.iter().find(|directive| directive.name == "proxy_cache_path" && directive.args.iter().any(|arg| arg.starts_with(&name)));
    path.and_then(|path| path.args.iter().find_map(|arg| arg.strip_prefix("inactive=")).and_then(time)).unwrap_or(USUAL_INACTIVE)
}

fn stale(scope: Scope<'_>, inactive: Duration) -> Vec<String> {
    let Some(directive) = scope.one("proxy_cache_use_stale") else { return Vec::new() };
    let (mut settings, time) = (Vec::new(), quoted(&duration(inactive)));
    let has = |word: &str| directive.args.iter().any(|arg| arg == word);
    if directive.args.iter().any(|arg| matches!(arg.as_str(), "error" | "timeout" | "invalid_header") || arg.starts_with("http_5")) {
        settings.push(format!("stale_if_error = {time}"));
    }
    if has("updating") {
        settings.push(format!("stale_while_revalidate = {time}"));
    }
    settings
}

fn methods(scope: Scope<'_>, notes: &mut Vec<Note>) -> Option<String> {
    let directive = scope.one("proxy_cache_methods")?;
    if directive.args.iter().any(|arg| arg == "POST") {
        let text = "`POST`: nginx stores one answer for all contents; read = true with key = { body = \"json\" } keeps them apart";
        notes.push(directive.note(text));
    }
    None
}

/// `gzip on`: what the backend leaves plain is packed.
pub(super) fn compress(scope: Scope<'_>) -> Vec<String> {
    if !scope.is_on("gzip") {
        return Vec::new();
    }
    let mut parts = Vec::new();
    if let Some(min) = scope.one("gzip_min_length").and_then(|min| bytes(min.arg(0))) {
        parts.push(format!("min = {}", quoted(&super::values::size(min))));
    }
    if let Some(types) = scope.one("gzip_types") {
        let all: Vec<&str> = types.args.iter().map(|arg| if arg == "*" { "*/*" } else { arg.as_str() }).collect();
        // nginx packs HTML in any case.
        let html = if all.iter().any(|one| matches!(*one, "text/html" | "*/*")) { None } else { Some("text/html") };
        parts.push(format!("types = {}", list(html.into_iter().chain(all))));
    }
    let compress = if parts.is_empty() { "compress = {}".to_owned() } else { format!("compress = {{ {} }}", parts.join(", ")) };
    vec!["encodings = [\"zstd\", \"br\", \"gzip\"]".to_owned(), compress]
}
