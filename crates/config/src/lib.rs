//! The configuration: a TOML file, or a few flags, turned into checked data.
//!
//! ```text
//! text --parse--> tables --sections--> model
//!         |                  |
//!         +---- mistakes ----+--> report: every mistake at its place, with a hint
//! ```
//!
//! [`load`] reads everything and reports every mistake at once, each at its place with a hint. What it returns needs no further
//! checks: defaults are filled in and inheritance (`[cache]`, then the class, then the route) is resolved. The reference of all
//! keys is `config.toml` at the root of the repository.
//!
//! Imports go one way: `sections` use `model` and `parse`, `model` uses `parse` for its mistakes, and `parse` uses neither. Nothing here
//! connects or runs: no tokio, no hyper.

mod effective;
mod model;
mod parse;
mod schema;
mod sections;
mod test_file;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

pub use effective::{Effective, Section, Setting};
pub use model::{
    AccessLog, Acme, AcmeChallenge, AcmeStoreKind, Admin, AlertKind, Alerts, Amount, Balance, BreakerLimit, ClientControls, Compress,
    Config, Eject, FarTier, FieldExpectation, HashKey, HashPart, HealthCheck, InvalidUpstreamUrl, JwksUrl, JwtAuth, JwtKeys,
    KeyNameTemplate, KeySpan, Limit, LimitCount, LimitKey, LimitOver, Listen, ListenKind, Listener, Log, LogCondition, LogField, LogLevel,
    LogPiece, LogSample, MemoryStore, NAME_TAG, NamePart, OddPaths, OnEvent, OnLeak, OnWrite, Origin, PathTemplate, PerMille, Period,
    PeriodWindow, Price, Prices, ProxyProtocol, Purge, PurgeTemplate, PurgeWord, QuotaPart, Rate, RateLimit, ReadFile, Redirect,
    RequestMatch, Resolve, ResponseTags, Retry, RetryMethods, RetryOn, Route, RouteSettings, Server, ServerOptions, SocketFile, Spending,
    TagPart, TagTemplate, Test, TestAction, TestAnswer, TestContent, TestEvent, TestExpectations, TestFailure, TestFile, TestRequest,
    TestResult, TestStep, TimeOfDay, Tls, Token, TokenScope, TraceLink, Traces, Upstream, UpstreamServer, UpstreamUrl, Verify, VerifyMode,
    WarmBase, WarmJob, WarmList, WarmSource, Webhook,
};
pub use parse::mistake::Severity;
pub use parse::report::{Report, Warnings};
pub use parse::units::{display_bytes, display_duration};
pub use schema::schema;
pub use sections::Overrides;
pub use test_file::load_tests;

use model::listen;
use parse::mistake::{Location, Mistake, Mistakes};
use parse::source::Source;
use parse::written::Written;
use parse::{nearest, syntax, units};
use sections::stores::store;
use sections::{listeners, upstreams};

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
        Err(error) => Err(Report::single(None, Location::Elsewhere, unreadable(&shown, &error))),
    }
}

/// The configuration of `serve --upstream URL [--ttl D]`: everything goes to one upstream, with default settings.
pub fn from_flags(upstream: &str, ttl: Option<&str>, overrides: &Overrides) -> Result<(Config, Warnings), Report> {
    let mistakes = Mistakes::default();
    let url = upstreams::parse_url(upstream).map_err(|mistake| mistakes.error(Location::Elsewhere, mistake.within("--upstream"))).ok();
    let given_ttl = ttl;
    let ttl = ttl.and_then(|ttl| units::seconds(ttl).map_err(|mistake| mistakes.error(Location::Elsewhere, mistake.within("--ttl"))).ok());
    let mut settings = RouteSettings::default();
    settings.policy.ttl = ttl.unwrap_or(settings.policy.ttl);
    let (mut server, mut admin) = (overrides.usual_server(), Admin::default());
    listeners::settle(&mut server, &mut admin, overrides, &mistakes);
    let redis = store::from_outside(overrides, &mistakes);
    if let Some(url) = &url {
        listeners::check_upstream("default", url, Location::Elsewhere, &server, &mistakes);
    }
    let mut written = Written { redis_from_environment: redis.is_some(), ..Written::default() };
    written.flag("upstreams.default", "url", upstream);
    if let Some(ttl) = given_ttl {
        written.flag("cache", "ttl", ttl);
    }
    let upstream = url.map(|url| Upstream::new("default", url));
    let config = upstream.map(|upstream| Config {
        server,
        admin,
        secret_files: Vec::new(),
        acme: None,
        jwt: None,
        warm: Vec::new(),
        upstreams: vec![upstream],
        purge: Purge::default(),
        alerts: Alerts::default(),
        prices: Prices::default(),
        spending: Spending::default(),
        limits: Vec::new(),
        tags: ResponseTags::default(),
        on_write: Vec::new(),
        on_event: Vec::new(),
        memory: MemoryStore::default(),
        disk: None,
        redis,
        namespace: settings.key.namespace.clone(),
        log: Log::default(),
        traces: None,
        routes: Vec::new(),
        fallback: Some(Route::fallback(settings)),
        tests: Vec::new(),
        source: None,
        written: written.clone(),
    });
    finish(config, None, mistakes)
}

impl Config {
    /// Every value that is in force, with where it comes from. Secrets are masked.
    pub fn effective(&self) -> Effective {
        effective::in_force(self)
    }

    /// A warning that the name of a server does not resolve, at the place of its URL.
    pub fn unresolved(&self, upstream: &Upstream, server: &UpstreamServer, reason: &str) -> Warnings {
        let (name, host) = (&upstream.name, server.url.authority().host());
        let mistake = Mistake::new(format!("`{host}`, a server of upstream `{name}`, does not resolve here: {reason}"));
        let mistake = mistake.hint("look for a slip in the name; it is no mistake if only the machine that serves can resolve it");
        let mistakes = Mistakes::default();
        mistakes.warning(server.span.0.clone().map_or(Location::Elsewhere, Location::At), mistake);
        Report::new(self.source.clone(), mistakes)
    }

    /// A warning that no test asks for a route.
    pub fn untested(&self, route: &Route) -> Warnings {
        let mistake = Mistake::new(format!("no test asks for route `{}`", route.name));
        let mistakes = Mistakes::default();
        let hint = "write one in [[tests]], with a request that takes it: docs/testing.md";
        mistakes.warning(route.span.0.clone().map_or(Location::File, Location::At), mistake.hint(hint));
        Report::new(self.source.clone(), mistakes)
    }

    /// Why a listener could not be bound, pointing at the line that names it.
    pub fn bind_failure(&self, listen: &Listen, error: &std::io::Error) -> Report {
        let mistake = listen::bind_mistake(listen, error);
        match &listen.origin {
            Origin::File(span) => Report::single(self.source.clone(), span.clone(), mistake),
            Origin::Environment(name) | Origin::Flag(name) => Report::single(None, Location::Elsewhere, mistake.within(name)),
            Origin::Default => Report::single(None, Location::Elsewhere, mistake),
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
    let text = text(path, bytes)?;
    let source = Arc::new(Source::new(path, text));
    let mistakes = Mistakes::default();
    let (table, errors) = tables(text, &mistakes);
    let config = if errors.iter().all(syntax::harmless) { sections::read(&table, overrides, &mistakes) } else { None };
    let written = || Written { redis_from_environment: overrides.redis_url().is_some(), ..Written::of(table.get_ref(), text) };
    let config = config.map(|config| Config { source: Some(Arc::clone(&source)), written: written(), ..config });
    finish(config, Some(source), mistakes)
}

/// The text of a file, which is UTF-8.
fn text<'t>(path: &str, bytes: &'t [u8]) -> Result<&'t str, Report> {
    std::str::from_utf8(bytes).map(|text| text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        let mistake = Mistake::new(format!("{path} is not UTF-8: line {line} has a byte that belongs to no character"));
        Report::single(None, Location::Elsewhere, mistake.hint("save the file as UTF-8"))
    })
}

/// The tables of a text, as far as it is TOML; what is not is noted.
fn tables<'t>(text: &'t str, mistakes: &Mistakes) -> (Spanned<DeTable<'t>>, Vec<toml::de::Error>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        mistakes.error(error.span().map_or(Location::File, Location::At), syntax::mistake(error));
    }
    (table, errors)
}

fn finish(config: Option<Config>, source: Option<Arc<Source>>, mistakes: Mistakes) -> Result<(Config, Warnings), Report> {
    let refused = mistakes.any_error();
    let report = Report::new(source, mistakes);
    match config {
        Some(config) if !refused => Ok((config, report)),
        _ => Err(report),
    }
}
