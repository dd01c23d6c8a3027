//! `[upstreams.NAME]`.

mod balancing;
mod health;
mod resolving;
mod servers;
mod tls;

use std::time::Duration;

use toml::Spanned;

use crate::model::{BreakerLimit, InvalidUpstreamUrl, Limit, Upstream, UpstreamUrl};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::Table;
use larder_message::forward::HostPolicy;
use servers::ServerSpan;

/// An upstream of the file.
pub(crate) struct Named {
    /// Counts even where the settings are wrong, so that a route that uses it is not called wrong too.
    pub(crate) name: String,
    /// With the places of its servers' URLs; `None` if one of them is wrong.
    pub(crate) upstream: Option<(Upstream, Vec<ServerSpan>)>,
}

/// All upstreams, sorted by name.
pub(crate) fn read(root: &mut Table<'_>) -> Vec<Named> {
    root.named_tables("upstreams")
        .into_iter()
        .map(|(name, table)| Named { name: (*name.get_ref()).to_owned(), upstream: one(&name, table) })
        .collect()
}

fn one(name: &Spanned<&str>, mut table: Table<'_>) -> Option<(Upstream, Vec<ServerSpan>)> {
    check_name(name, table.mistakes());
    let servers = servers::read(&mut table);
    let connect_timeout = positive(&mut table, "connect_timeout");
    let first_byte_timeout = positive(&mut table, "first_byte_timeout");
    let idle_timeout = table.duration("idle_timeout").map(Spanned::into_inner);
    let max_idle = table.integer("max_idle", 0..=65_535).and_then(|count| usize::try_from(count).ok());
    let limit = limit(&mut table);
    let learn_limits = table.boolean("learn_limits");
    let breaker = breaker(&mut table);
    let host = table.one_of("host", &[("preserve", HostPolicy::Preserve), ("upstream", HostPolicy::Upstream)]).map(Spanned::into_inner);
    let is_https = servers.as_ref().map(|(servers, _)| servers.iter().any(|server| server.url.is_https()));
    let h2c = h2c(&mut table, is_https);
    let tls = tls::read(&mut table, is_https);
    let resolve = resolving::read(&mut table, servers.as_ref().map(|(servers, _)| &servers[..]));
    let has_name = tls.as_ref().is_none_or(|tls| tls.server_name.is_some());
    if let Some((servers, spans)) = &servers {
        resolving::check_services(servers.iter().zip(spans), resolve.is_some(), has_name, table.mistakes());
    }
    let are_several = servers.as_ref().is_none_or(|(servers, _)| servers.len() > 1) || resolve.is_some();
    let balancing = balancing::read(&mut table, are_several);
    let health = health::read(&mut table);
    table.finish();
    let ((servers, spans), tls) = (servers?, tls?);
    let base = Upstream::with_choice(name.get_ref(), servers, are_several);
    let upstream = Upstream {
        connect_timeout: connect_timeout.unwrap_or(base.connect_timeout),
        first_byte_timeout: first_byte_timeout.unwrap_or(base.first_byte_timeout),
        idle_timeout: idle_timeout.unwrap_or(base.idle_timeout),
        max_idle: max_idle.unwrap_or(base.max_idle),
        limit,
        learn_limits: learn_limits.unwrap_or(base.learn_limits),
        breaker,
        host: host.unwrap_or(base.host),
        h2c: h2c.unwrap_or(base.h2c),
        ca_file: tls.ca_file,
        client_certificate: tls.client_certificate,
        server_name: tls.server_name,
        files: tls.files,
        resolve,
        balance: balancing.balance.unwrap_or(base.balance),
        eject: balancing.eject.unwrap_or(base.eject),
        retry: balancing.retry.unwrap_or(base.retry),
        health,
        warm_up: balancing.warm_up.unwrap_or(base.warm_up),
        ..base
    };
    Some((upstream, spans))
}

/// `max_requests`, and `queue = { max = 100, wait = "1s" }`.
fn limit(table: &mut Table<'_>) -> Limit {
    let mut limit = Limit::default();
    if let Some(max) = table.integer("max_requests", 0..=1_000_000).and_then(|count| usize::try_from(count).ok()) {
        limit.max_requests = max;
    }
    let Some(mut queue) = table.table("queue") else { return limit };
    if let Some(max) = queue.integer("max", 0..=1_000_000).and_then(|count| usize::try_from(count).ok()) {
        limit.queue = max;
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
    let span = table.get("h2c")?.span();
    let h2c = table.boolean("h2c")?;
    if h2c && https == Some(true) {
        let mistake = Mistake::new("`h2c` is HTTP/2 without TLS, and this upstream's url is https");
        table.mistakes().error(span, mistake.hint("leave it out; over https HTTP/2 is negotiated where `host = \"upstream\"`"));
    }
    Some(h2c)
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
pub(crate) fn positive(table: &mut Table<'_>, key: &'static str) -> Option<Duration> {
    let duration = table.duration(key)?;
    if duration.get_ref().is_zero() {
        let mistake = Mistake::new(format!("`{key}` cannot be zero"));
        table.mistakes().error(duration.span(), mistake.hint("nothing would ever be in time; give a long one, like \"1h\", to wait"));
    }
    Some(duration.into_inner())
}

/// An upstream's URL, or what is wrong with it in a report's form.
pub(crate) fn parse_url(text: &str) -> Result<UpstreamUrl, Mistake> {
    text.parse().map_err(|error: InvalidUpstreamUrl| Mistake::new(error.to_string()).hint(error.hint()))
}
