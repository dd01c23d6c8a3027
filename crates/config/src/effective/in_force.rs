//! The values in force: the defaults under what the file says, under what environment and flags say.

use toml::de::DeTable;

use super::{Effective, Section, Setting};
use crate::model::{Config, Listen, Origin, Server};
use crate::parse::units::display_duration;
use crate::parse::written::{Written, WrittenSection, quoted};
use crate::schema::REFERENCE;
use crate::sections::KUBERNETES;

/// Where the defaults end in the shipped file.
const DEFAULTS_END: &str = "# Named sets";

/// Keys of `[cache]` whose tables a class or a route replaces as a whole.
const WHOLE: [&str; 8] = ["ttl", "cdn_ttl", "rpc", "rewrite", "request.set", "request.add", "response.set", "response.add"];

/// Everything that is in force.
pub(crate) fn in_force(config: &Config) -> Effective {
    let written = &config.written;
    let defaults = defaults();
    let of_file = |path: &str| written.sections.iter().filter(|section| section.path == path).cloned().collect::<Vec<_>>();
    let mut sections = Vec::new();
    for default in &defaults.sections {
        match default.path.split_once('.') {
            // Each upstream has the same defaults.
            Some(("upstreams", _)) => {
                for named in written.sections.iter().filter(|section| is_upstream(section)) {
                    sections.push(over(default, Some(named)));
                    sections.extend(written.sections.iter().filter(|inner| inner.is_item && inside(&inner.path, &named.path)).map(plain));
                }
            }
            _ => sections.push(over(default, of_file(&default.path).first())),
        }
    }
    let known = |section: &WrittenSection| {
        // What is expected of the configuration is no part of it.
        section.path == "tests"
            || is_upstream(section)
            || section.is_item && section.path.starts_with("upstreams.")
            || defaults.sections.iter().any(|default| default.path == section.path)
    };
    for section in written.sections.iter().filter(|section| !known(section)) {
        let mut shown = plain(section);
        if section.path == "routes" {
            inherit(&mut shown, section, written);
        }
        sections.push(shown);
    }
    let mut effective = Effective { file: config.source.as_ref().map(|source| source.path().to_owned()), sections };
    from_outside(&mut effective, config);
    effective
}

/// The shipped file up to its first class: what stands there without a `#` is a default.
fn defaults() -> Written {
    let text = REFERENCE.split(DEFAULTS_END).next().unwrap_or_default();
    let (table, _) = DeTable::parse_recoverable(text);
    let mut defaults = Written::of(table.get_ref(), text);
    for section in &mut defaults.sections {
        if section.path.starts_with("upstreams.") {
            // The one key without a default.
            section.values.retain(|(key, ..)| key != "url");
        }
    }
    defaults
}

fn is_upstream(section: &WrittenSection) -> bool {
    !section.is_item && section.path.starts_with("upstreams.")
}

fn inside(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

/// A section as the file has it.
fn plain(section: &WrittenSection) -> Section {
    let name = if section.is_item { format!("[[{}]]", section.path) } else { format!("[{}]", section.path) };
    let values = section.values.iter().map(|(key, value, line)| Setting {
        key: key.clone(),
        value: value.clone(),
        from: "file".to_owned(),
        line: *line,
        inherited: None,
    });
    Section { name, line: section.line, values: values.collect() }
}

/// Defaults, and over them what the file says.
fn over(default: &WrittenSection, own: Option<&WrittenSection>) -> Section {
    let own = own.cloned().unwrap_or_else(|| WrittenSection { path: default.path.clone(), ..WrittenSection::default() });
    let mut section = plain(&own);
    for (key, value, _) in default.values.iter().filter(|(key, ..)| !is_replaced(key, &own)) {
        let default = Setting { key: key.clone(), value: value.clone(), from: "default".to_owned(), ..Setting::default() };
        section.values.push(default);
    }
    section
}

/// Whether a section says something in place of a key that another one has: the key itself, a table in place of a value, or the other way about.
fn is_replaced(key: &str, by: &WrittenSection) -> bool {
    let within = |path: &str, outer: &str| path == outer || inside(path, outer);
    let whole = WHOLE.into_iter().find(|whole| within(key, whole));
    by.values.iter().any(|(own, ..)| within(own, key) || inside(key, own) || whole.is_some_and(|whole| within(own, whole)))
}

/// Adds what a route has from its class, and from `[cache]`.
fn inherit(shown: &mut Section, route: &WrittenSection, written: &Written) {
    let class = route.get("class").map(|name| format!("classes.{}", name.trim_matches('"')));
    let of = |path: &str| written.sections.iter().find(|section| section.path == path);
    let class = class.as_deref().and_then(of);
    let cache = of("cache");
    for from in class.into_iter().chain(cache) {
        // A class stands over `[cache]`.
        let under_class = |key: &str| from.path == "cache" && class.is_some_and(|class| is_replaced(key, class));
        for (key, value, line) in from.values.iter().filter(|(key, ..)| !is_replaced(key, route) && !under_class(key)) {
            shown.values.push(Setting {
                key: key.clone(),
                value: value.clone(),
                from: "file".to_owned(),
                line: *line,
                inherited: Some(format!("[{}]", from.path)),
            });
        }
    }
}

/// What environment and flags say, which wins.
fn from_outside(effective: &mut Effective, config: &Config) {
    let outside = |listen: &Listen| match listen.origin {
        Origin::Environment(name) | Origin::Flag(name) => Some(name),
        Origin::File(_) | Origin::Default => None,
    };
    if let Some(name) = config.server.listen.first().and_then(outside) {
        let all: Vec<String> = config.server.listen.iter().map(|listen| quoted(listen.address())).collect();
        set(effective, "[server]", "listen", format!("[{}]", all.join(", ")), name);
    }
    if let Some(name) = outside(&config.admin.listen) {
        set(effective, "[admin]", "listen", quoted(config.admin.listen.address()), name);
    }
    let says_delay = config.written.sections.iter().any(|section| section.path == "server" && section.get("drain_delay").is_some());
    if !says_delay && config.server.drain_delay != Server::default().drain_delay {
        set(effective, "[server]", "drain_delay", quoted(&display_duration(config.server.drain_delay)), KUBERNETES);
    }
    if let Some(redis) = config.redis.as_ref().filter(|_| config.written.redis_from_environment) {
        // Without user and password.
        set(effective, "[store.redis]", "url", quoted(&redis.servers.to_string()), "REDIS_URL");
    }
    if config.source.is_none() {
        // Flags stand in for a file.
        for value in effective.sections.iter_mut().flat_map(|section| &mut section.values).filter(|value| value.from == "file") {
            value.from = format!("--{}", if value.key == "url" { "upstream" } else { &value.key });
        }
    }
}

fn set(effective: &mut Effective, section: &str, key: &str, value: String, from: &str) {
    let place = effective.sections.iter().position(|own| own.name == section).unwrap_or_else(|| {
        effective.sections.push(Section { name: section.to_owned(), ..Section::default() });
        effective.sections.len() - 1
    });
    let values = &mut effective.sections[place].values;
    values.retain(|own| own.key != key);
    values.insert(0, Setting { key: key.to_owned(), value, from: from.to_owned(), ..Setting::default() });
}
