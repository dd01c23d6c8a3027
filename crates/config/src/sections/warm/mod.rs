//! `[[warm]]`: what is fetched before anybody asks for it.

mod sources;
pub(crate) mod values;

use std::time::Duration;

use http::header::HeaderMap;
use toml::Spanned;

use crate::model::{Route, Server, TimeOfDay, WarmBase, WarmJob, WarmSource};
use crate::parse::mistake::Mistake;
use crate::parse::reader::{Table, choose};
use crate::sections::cache::items;
use crate::sections::upstreams::positive;

/// When a job runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Start,
    Reload,
    Purge,
}

const ON: [(&str, On); 3] = [("start", On::Start), ("reload", On::Reload), ("purge", On::Purge)];

/// The jobs that are right; mistakes are noted.
pub(crate) fn read<'r>(root: &mut Table<'_>, server: &Server, routes: impl Iterator<Item = &'r Route>) -> Vec<WarmJob> {
    let mut names = Vec::new();
    let usual = usual_base(server, routes);
    root.tables("warm").into_iter().filter_map(|table| job(table, &usual, &mut names)).collect()
}

/// The scheme and the host that paths belong to where nothing else is said.
pub(crate) fn usual_base<'r>(server: &Server, routes: impl Iterator<Item = &'r Route>) -> WarmBase {
    let is_https = server.listeners.iter().any(|listener| listener.tls.is_some());
    WarmBase { scheme: if is_https { "https" } else { "http" }, host: only_host(routes) }
}

/// The host of all routes that are for one host.
fn only_host<'r>(routes: impl Iterator<Item = &'r Route>) -> Option<String> {
    let mut hosts = routes.filter_map(|route| route.host.as_deref());
    let first = hosts.next()?;
    (!first.contains('*') && hosts.all(|host| host == first)).then(|| first.to_owned())
}

fn job(mut table: Table<'_>, usual: &WarmBase, names: &mut Vec<Spanned<String>>) -> Option<WarmJob> {
    let name = name(&mut table, names);
    let on = table.list("on", "\"start\", \"reload\" or \"purge\"", |text| choose("`on`", text, &ON));
    let on = on.map_or_else(|| vec![On::Start], items);
    let every = positive(&mut table, "every");
    let at = table.parse("at", "a time of day in quotes, like \"03:00\"", values::time_of_day).map(Spanned::into_inner);
    let host = table.parse("host", "a host in quotes, like \"www.example.com\"", values::host).map(Spanned::into_inner);
    let base = WarmBase { scheme: usual.scheme, host: host.or_else(|| usual.host.clone()) };
    let mut files = Vec::new();
    let sources = sources::read(&mut table, &base, &mut files);
    let headers = table.named_texts("headers", values::line).map(fields).unwrap_or_default();
    let variants: Vec<HeaderMap> = table.tables("variants").iter().map(|variant| fields(variant.texts(values::line))).collect();
    let concurrency = table.integer("concurrency", 1..=256).and_then(|count| usize::try_from(count).ok()).unwrap_or(WarmJob::CONCURRENCY);
    let rate = table.parse("rate", "requests a second in quotes, like \"50/s\"", values::rate).map(Spanned::into_inner);
    let ready = table.boolean("ready").unwrap_or_default();
    let ready_timeout = positive(&mut table, "ready_timeout").unwrap_or(Duration::from_secs(60));
    check_times(&table, &on, (every, at, ready), sources.as_deref().unwrap_or_default());
    table.finish();
    Some(WarmJob {
        name: name?,
        on_start: on.contains(&On::Start),
        on_reload: on.contains(&On::Reload),
        on_purge: on.contains(&On::Purge),
        every,
        at,
        sources: sources?,
        base,
        headers,
        variants,
        concurrency,
        rate,
        ready,
        ready_timeout,
        files,
    })
}

fn name(table: &mut Table<'_>, names: &mut Vec<Spanned<String>>) -> Option<String> {
    table.require("name", "like name = \"listings\": metrics and `larder warm` know the job by it");
    let name = table.parse("name", "a name in quotes, like \"listings\"", values::name)?;
    if let Some(first) = names.iter().find(|first| first.get_ref() == name.get_ref()) {
        let mistake = Mistake::new(format!("there are two jobs called `{}`", name.get_ref())).hint("give each its own name");
        table.mistakes().clash(name.span(), mistake, Some(first.span()), "first here");
    }
    names.push(name.clone());
    Some(name.into_inner())
}

fn check_times(table: &Table<'_>, on: &[On], (every, at, ready): (Option<Duration>, Option<TimeOfDay>, bool), sources: &[WarmSource]) {
    let error = |text: &str, hint: &str| table.mistakes().error(table.span(), Mistake::new(text).hint(hint));
    if ready && !on.contains(&On::Start) {
        error("`ready` waits for a job that does not run at the start", "add \"start\" to `on`, or leave `ready` out");
    }
    if every.is_some() && at.is_some() {
        error("a job with `every` has no time of day", "leave out `every` or `at`, or make two jobs of it");
    }
    let is_known = |source: &WarmSource| matches!(source, WarmSource::Urls(_) | WarmSource::Hot(_));
    if on.contains(&On::Purge) && !sources.is_empty() && !sources.iter().any(is_known) {
        let hint = "give the job `urls`, `urls_file` or `top`: a list that has to be fetched would be fetched for every purge";
        error("nobody knows beforehand what a purge reaches of this job", hint);
    }
}

fn fields(lines: Vec<Spanned<(http::HeaderName, http::HeaderValue)>>) -> HeaderMap {
    lines.into_iter().map(Spanned::into_inner).collect()
}
