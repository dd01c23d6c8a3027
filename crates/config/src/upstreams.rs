//! `[upstreams.NAME]`.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use toml::Spanned;

use super::mistake::{Mistake, Mistakes};
use super::model::Upstream;
use super::reader::Table;
use crate::limits::{BreakerLimit, Limit};
use larder_message::forward::HostPolicy;

/// What an upstream's URL says.
#[derive(Debug)]
pub(super) struct Url {
    scheme: Scheme,
    authority: Authority,
    base_path: String,
}

/// An upstream of the file.
pub(super) struct Named {
    /// Counts even where the settings are wrong, so that a route that uses it is not called wrong too.
    pub(super) name: String,
    /// With the place of its URL; `None` if that is wrong.
    pub(super) upstream: Option<(Upstream, Range<usize>)>,
}

/// All upstreams, sorted by name.
pub(super) fn read(root: &mut Table<'_>) -> Vec<Named> {
    root.named_tables("upstreams")
        .into_iter()
        .map(|(name, table)| Named { name: (*name.get_ref()).to_owned(), upstream: one(&name, table) })
        .collect()
}

fn one(name: &Spanned<&str>, mut table: Table<'_>) -> Option<(Upstream, Range<usize>)> {
    check_name(name, table.mistakes());
    table.require("url", "add url = \"http://127.0.0.1:3000\"");
    let url = table.parse("url", "a URL in quotes, like \"http://127.0.0.1:3000\"", parse_url);
    let connect_timeout = positive(&mut table, "connect_timeout");
    let first_byte_timeout = positive(&mut table, "first_byte_timeout");
    let idle_timeout = table.duration("idle_timeout").map(Spanned::into_inner);
    let max_idle = table.integer("max_idle", 0..=65_535).and_then(|count| usize::try_from(count).ok());
    let limit = limit(&mut table);
    let breaker = breaker(&mut table);
    let host = table.one_of("host", &[("preserve", HostPolicy::Preserve), ("upstream", HostPolicy::Upstream)]).map(Spanned::into_inner);
    let https = url.as_ref().map(|url| url.get_ref().scheme == Scheme::HTTPS);
    let h2c = h2c(&mut table, https);
    let ca_file = ca_file(&mut table, https);
    table.finish();
    let url = url?;
    let span = url.span();
    let base = Upstream::new(name.get_ref(), url.into_inner());
    let upstream = Upstream {
        connect_timeout: connect_timeout.unwrap_or(base.connect_timeout),
        first_byte_timeout: first_byte_timeout.unwrap_or(base.first_byte_timeout),
        idle_timeout: idle_timeout.unwrap_or(base.idle_timeout),
        max_idle: max_idle.unwrap_or(base.max_idle),
        limit,
        breaker,
        host: host.unwrap_or(base.host),
        h2c: h2c.unwrap_or(base.h2c),
        ca_file,
        ..base
    };
    Some((upstream, span))
}

/// `max_requests`, and `queue = { max = 100, wait = "1s" }`.
fn limit(table: &mut Table<'_>) -> Limit {
    let mut limit = Limit::default();
    if let Some(most) = table.integer("max_requests", 0..=1_000_000).and_then(|count| usize::try_from(count).ok()) {
        limit.max_requests = most;
    }
    let Some(mut queue) = table.table("queue") else { return limit };
    if let Some(most) = queue.integer("max", 0..=1_000_000).and_then(|count| usize::try_from(count).ok()) {
        limit.queue = most;
    }
    if let Some(wait) = queue.duration("wait") {
        limit.wait = wait.into_inner();
    }
    if limit.max_requests == 0 {
        let mistake = Mistake::new("`queue` has no effect: `max_requests` is 0, so no request waits");
        queue.mistakes().warning(queue.span(), mistake.hint("leave it out, or set max_requests"));
    }
    queue.finish();
    limit
}

/// `breaker = false`, or a table.
fn breaker(table: &mut Table<'_>) -> Option<BreakerLimit> {
    if table.get("breaker").and_then(|value| value.get_ref().as_bool()) == Some(false) {
        return None;
    }
    let mut limit = BreakerLimit::default();
    let Some(mut breaker) = table.table("breaker") else { return Some(limit) };
    if let Some(failures) = breaker.integer("failures", 1..=1000).and_then(|failures| u32::try_from(failures).ok()) {
        limit.failures = failures;
    }
    if let Some(open) = positive(&mut breaker, "open") {
        limit.open = open;
    }
    breaker.finish();
    Some(limit)
}

fn h2c(table: &mut Table<'_>, https: Option<bool>) -> Option<bool> {
    let place = table.get("h2c")?.span();
    let h2c = table.boolean("h2c")?;
    if h2c && https == Some(true) {
        let mistake = Mistake::new("`h2c` is HTTP/2 without TLS, and this upstream's url is https");
        table.mistakes().error(place, mistake.hint("leave it out; over https HTTP/2 is negotiated where `host = \"upstream\"`"));
    }
    Some(h2c)
}

fn ca_file(table: &mut Table<'_>, https: Option<bool>) -> Option<PathBuf> {
    let file = table.parse("ca_file", "the path of a PEM file in quotes", |text| match std::fs::File::open(text) {
        Ok(_) => Ok(PathBuf::from(text)),
        Err(error) => {
            let hint = "a path is relative to the directory in which larder is started";
            Err(Mistake::new(format!("cannot read `{text}`: {}", error.kind())).hint(hint))
        }
    })?;
    if https == Some(false) {
        let mistake = Mistake::new("`ca_file` has no effect: this upstream's url is not https");
        table.mistakes().warning(file.span(), mistake.hint("leave it out, or begin the url with https://"));
    }
    Some(file.into_inner())
}

/// The name goes into metrics, logs and `Proxy-Status`.
fn check_name(name: &Spanned<&str>, mistakes: &Mistakes) {
    let text = name.get_ref();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        mistakes
            .error(name.span(), Mistake::new(format!("`{text}` is not a name for an upstream")).hint("letters, digits, `-`, `_` and `.`"));
    }
}

/// A timeout; zero would let nothing through.
pub(super) fn positive(table: &mut Table<'_>, key: &'static str) -> Option<Duration> {
    let duration = table.duration(key)?;
    if duration.get_ref().is_zero() {
        let mistake = Mistake::new(format!("`{key}` cannot be zero"));
        table.mistakes().error(duration.span(), mistake.hint("nothing would ever be in time; give a long one, like \"1h\", to wait"));
    }
    Some(duration.into_inner())
}

impl Upstream {
    /// The defaults around a URL.
    pub(super) fn new(name: &str, url: Url) -> Self {
        Self {
            name: Arc::from(name),
            scheme: url.scheme,
            authority: url.authority,
            base_path: url.base_path,
            connect_timeout: Duration::from_secs(1),
            first_byte_timeout: Duration::from_secs(30),
            // Below the five seconds after which Node closes its side: a connection that both ends close at once loses a request.
            idle_timeout: Duration::from_secs(4),
            max_idle: 128,
            limit: Limit::default(),
            breaker: Some(BreakerLimit::default()),
            host: HostPolicy::default(),
            h2c: false,
            ca_file: None,
        }
    }
}

/// Never quotes the URL: it may hold a password.
pub(super) fn parse_url(text: &str) -> Result<Url, Mistake> {
    let (scheme, rest) = split_scheme(text)?;
    if rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
        return Err(
            Mistake::new("the upstream's url contains a user name or password").hint("leave it out; Larder sends what the client sends")
        );
    }
    if text.contains(['?', '#']) {
        return Err(Mistake::new("the upstream's url contains a query or a fragment")
            .hint("give scheme, host, port and, if need be, a path that is put before every request's path"));
    }
    let wrong =
        || Mistake::new("the upstream's url is not a URL").hint("the form is http://HOST:PORT or https://HOST, with an optional path");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let authority = uri.authority().cloned().filter(|authority| !authority.host().is_empty()).ok_or_else(wrong)?;
    // `http` accepts any digits as a port.
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    if !port.is_empty() && port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
        return Err(Mistake::new("the upstream's url has an impossible port").hint("from 1 to 65535"));
    }
    Ok(Url { scheme, authority, base_path: uri.path().trim_end_matches('/').to_owned() })
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), Mistake> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Mistake::new("the upstream's url has no scheme").hint("begin with http:// or https://"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((Scheme::HTTP, rest)),
        "https" => Ok((Scheme::HTTPS, rest)),
        _ => Err(Mistake::new("the upstream's url is neither http nor https").hint("begin with http:// or https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_scheme_authority_and_a_path_before_every_path() {
        for (text, scheme, authority, base) in [
            ("http://127.0.0.1:3000", "http", "127.0.0.1:3000", ""),
            ("https://api.example.com/", "https", "api.example.com", ""),
            ("HTTP://[::1]:80/v2/", "http", "[::1]:80", "/v2"),
            ("https://host/a%20b/c", "https", "host", "/a%20b/c"),
        ] {
            let url = parse_url(text).unwrap();
            assert_eq!((url.scheme.as_str(), url.authority.as_str(), url.base_path.as_str()), (scheme, authority, base), "{text}");
        }
    }

    #[test]
    fn a_bad_url_is_never_quoted() {
        for text in [
            "secret",
            "ftp://secret/",
            "http://u:secret@host/",
            "http://secret?x",
            "http://secret#x",
            "http://",
            "http://secret:99999",
            "http://secret:0",
            "http:// secret",
        ] {
            let mistake = parse_url(text).unwrap_err();
            assert!(!mistake.message.contains("secret") && !mistake.hint.unwrap().contains("secret"), "{text}");
        }
    }
}
