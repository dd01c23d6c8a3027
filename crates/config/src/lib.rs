//! The configuration: a TOML file, or a few flags, turned into checked data.
//!
//! [`load`] reads everything and tells every mistake at once, each at its place with a hint. What it returns needs no further
//! checks: defaults are filled in and inheritance (`[cache]`, then the class, then the route) is resolved. The reference of all
//! keys is `config.toml` at the root of the repository.

mod alike;
mod cache;
mod cascade;
mod check;
mod limits;
mod listen;
mod listeners;
mod mistake;
mod model;
mod nearest;
mod overrides;
mod path;
mod purge;
mod reader;
mod redis;
mod report;
mod routes;
mod server;
mod server_options;
mod source;
mod store;
mod stored_form;
mod syntax;
mod tags;
mod tokens;
mod units;
mod unknown;
mod upstream_url;
mod upstreams;
mod writes;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

pub use cascade::{Cascade, Endless};
pub use check::check;
pub use limits::{BreakerLimit, Limit};
pub use listen::{Listen, Origin};
pub use mistake::Severity;
pub use model::{AccessLog, Admin, Config, Log, LogLevel, MemoryStore, OddPaths, Route, RouteSettings, Server, Upstream};
pub use overrides::Overrides;
pub use path::PathTemplate;
pub use purge::Purge;
pub use report::{Report, Warnings};
pub use server_options::ServerOptions;
pub use tags::{TagPart, TagTemplate};
pub use tokens::{Token, TokenScope};
pub use units::{display_bytes, display_duration};
pub use upstream_url::{InvalidUpstreamUrl, UpstreamUrl};
pub use writes::{OnEvent, OnWrite, PurgeTemplate, ResponseTags};

use mistake::{Mistake, Mistakes, Place};
use reader::Table;
use routes::Routing;
use source::Source;

/// `2s`, as everywhere in the configuration.
pub fn parse_duration(text: &str) -> Option<std::time::Duration> {
    units::duration(text).ok()
}

/// "Did you mean", or else all there is.
pub fn nearest_hint(given: &str, known: &[&str], what: &str) -> String {
    nearest::hint(given, known.iter().copied(), what).trim_end_matches('.').to_owned()
}

/// Reads a file, with `overrides` winning over it. Both ways out may carry warnings; only an `Err` has errors.
pub fn load(path: &Path, overrides: &Overrides) -> Result<(Config, Warnings), Report> {
    let shown = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => parse(&shown, &bytes, overrides),
        Err(error) => Err(Report::single(None, Place::Elsewhere, unreadable(&shown, &error))),
    }
}

/// The configuration of `serve --upstream URL [--ttl D]`: everything goes to one upstream, with default settings.
pub fn from_flags(upstream: &str, ttl: Option<&str>, overrides: &Overrides) -> Result<(Config, Warnings), Report> {
    let mistakes = Mistakes::default();
    let url = upstreams::parse_url(upstream).map_err(|mistake| mistakes.error(Place::Elsewhere, mistake.within("--upstream"))).ok();
    let ttl = ttl.and_then(|ttl| units::seconds(ttl).map_err(|mistake| mistakes.error(Place::Elsewhere, mistake.within("--ttl"))).ok());
    let mut settings = RouteSettings::default();
    settings.policy.ttl = ttl.unwrap_or(settings.policy.ttl);
    let (mut server, mut admin) = (overrides.usual_server(), Admin::default());
    listeners::settle(&mut server, &mut admin, overrides, &mistakes);
    let redis = store::from_outside(overrides, &mistakes);
    let upstream = url.map(|url| Upstream::new("default", url));
    if let Some(upstream) = &upstream {
        listeners::check_upstream(upstream, Place::Elsewhere, &server.listen, &mistakes);
    }
    let config = upstream.map(|upstream| Config {
        server,
        admin,
        upstreams: vec![upstream],
        purge: Purge::default(),
        tags: ResponseTags::default(),
        on_write: Vec::new(),
        on_event: Vec::new(),
        memory: MemoryStore::default(),
        redis,
        namespace: settings.key.namespace.clone(),
        log: Log::default(),
        routes: Vec::new(),
        fallback: Some(Route::fallback(settings)),
        source: None,
    });
    finish(config, None, mistakes)
}

impl Config {
    /// Why a listener could not be bound, pointing at the line that names it.
    pub fn bind_failure(&self, listen: &Listen, error: &std::io::Error) -> Report {
        let mistake = listen::bind_mistake(listen, error);
        match &listen.origin {
            Origin::File(span) => Report::single(self.source.clone(), span.clone(), mistake),
            Origin::Environment(name) | Origin::Flag(name) => Report::single(None, Place::Elsewhere, mistake.within(name)),
            Origin::Default => Report::single(None, Place::Elsewhere, mistake),
        }
    }
}

fn unreadable(path: &str, error: &std::io::Error) -> Mistake {
    use std::io::ErrorKind;
    let (reason, hint) = match error.kind() {
        ErrorKind::NotFound => {
            ("there is no such file".to_owned(), "name another with --config FILE, or start without one: larder serve --upstream URL")
        }
        ErrorKind::IsADirectory => ("it is a directory".to_owned(), "name the file in it: --config FILE"),
        ErrorKind::PermissionDenied => ("permission denied".to_owned(), "the user who runs larder must be able to read it"),
        _ => (error.to_string(), "name another with --config FILE"),
    };
    Mistake::new(format!("cannot read {path}: {reason}")).hint(hint)
}

/// Reads the text of a file; `path` is what it is called in messages.
pub fn parse(path: &str, bytes: &[u8], overrides: &Overrides) -> Result<(Config, Warnings), Report> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            let mistake = Mistake::new(format!("{path} is not UTF-8: line {line} has a byte that belongs to no character"));
            return Err(Report::single(None, Place::Elsewhere, mistake.hint("save the file as UTF-8")));
        }
    };
    let source = Arc::new(Source::new(path, text));
    let mistakes = Mistakes::default();
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        mistakes.error(error.span().map_or(Place::File, Place::At), syntax::mistake(error));
    }
    let config = if errors.iter().all(syntax::harmless) { read(&table, overrides, &mistakes) } else { None };
    let config = config.map(|config| Config { source: Some(Arc::clone(&source)), ..config });
    finish(config, Some(source), mistakes)
}

fn finish(config: Option<Config>, source: Option<Arc<Source>>, mistakes: Mistakes) -> Result<(Config, Warnings), Report> {
    let refused = mistakes.any_error();
    let report = Report::new(source, mistakes);
    match config {
        Some(config) if !refused => Ok((config, report)),
        _ => Err(report),
    }
}

/// `None` if an upstream is wrong or missing; mistakes are noted either way.
fn read(table: &Spanned<DeTable<'_>>, overrides: &Overrides, mistakes: &Mistakes) -> Option<Config> {
    let mut root = Table::root(table, mistakes);
    let mut server = server::server(&mut root, overrides);
    let mut admin = server::admin(&mut root);
    listeners::settle(&mut server, &mut admin, overrides, mistakes);
    let purge = purge::read(&mut root, &admin);
    let (memory, redis) = store::store(&mut root, overrides);
    let log = server::log(&mut root);
    let upstreams = upstreams::read(&mut root);
    if table.get_ref().get("upstreams").is_none_or(|value| value.get_ref().as_table().is_some_and(|upstreams| upstreams.is_empty())) {
        let mistake = Mistake::new("no upstream is configured");
        mistakes.error(Place::File, mistake.hint("add a section [upstreams.api] with url = \"http://127.0.0.1:3000\""));
    }
    let names: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let Routing { routes, fallback, namespace } = routes::read(&mut root, &names, memory.capacity);
    let tags = writes::response_tags(&mut root);
    let names = writes::Names::of(&routes, fallback.as_ref());
    let (on_write, on_event) = (writes::on_write(&mut root, &names), writes::on_event(&mut root, &names));
    root.finish();
    let upstreams: Vec<_> = upstreams.into_iter().map(|named| named.upstream).collect::<Option<_>>()?;
    for (upstream, url) in &upstreams {
        listeners::check_upstream(upstream, Place::At(url.clone()), &server.listen, mistakes);
    }
    let upstreams = upstreams.into_iter().map(|(upstream, _)| upstream).collect();
    Some(Config {
        server,
        admin,
        purge,
        tags,
        on_write,
        on_event,
        upstreams,
        memory,
        redis,
        namespace,
        log,
        routes,
        fallback,
        source: None,
    })
}
