//! `[store.redis]`.

use std::time::Duration;

use std::ops::Range;

use bytes::Bytes;
use larder_redis_options::{RedisOptions, RedisServers, RedisUrl, WriteMode};
use toml::de::DeValue;

use crate::parse::mistake::{Location, Mistake, Mistakes};
use crate::parse::reader::Table;
use crate::sections::file;
use crate::sections::overrides::{Overrides, REDIS_URL};
use crate::sections::stores::{breaker, stored_form};
use crate::sections::upstreams::positive;

const URL_FORM: &str = "a URL in quotes, like \"redis://127.0.0.1:6379/0\", or a list of them";
const URL_HINT: &str = "like redis://127.0.0.1:6379/0; rediss:// is for TLS, redis+unix:///PATH for a socket";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Single,
    Cluster,
    Sentinel,
}

/// A URL, and where in the file it stands; `None`: in the environment.
struct Located {
    url: RedisUrl,
    span: Option<Range<usize>>,
}

/// Where nothing but the environment names the servers.
pub(crate) fn from_environment(overrides: &Overrides, mistakes: &Mistakes) -> Option<RedisOptions> {
    let urls = outside(overrides, mistakes)?;
    let mode = if urls.len() > 1 { Mode::Cluster } else { Mode::Single };
    servers(urls, mode, None, mistakes).map(RedisOptions::new)
}

/// The section, with the servers of the environment over its own.
pub(crate) fn read(mut table: Table<'_>, overrides: &Overrides) -> Option<RedisOptions> {
    let mistakes = table.mistakes();
    let named = overrides.redis_url().is_some();
    if !named {
        table.require("url", &format!("like url = \"redis://127.0.0.1:6379/0\", or set {REDIS_URL}"));
    }
    let own = urls(&mut table);
    let urls = if named { outside(overrides, mistakes) } else { own };
    let mode = table.one_of("mode", &[("single", Mode::Single), ("cluster", Mode::Cluster), ("sentinel", Mode::Sentinel)]);
    let master = master(&mut table, mode.as_ref().map(|mode| (*mode.get_ref(), mode.span())));
    let mode = match mode {
        Some(mode) => mode.into_inner(),
        None if master.is_some() => Mode::Sentinel,
        None if urls.as_ref().is_some_and(|urls| urls.len() > 1) => Mode::Cluster,
        None => Mode::Single,
    };
    let servers = urls.and_then(|urls| servers(urls, mode, master, mistakes));
    let known = servers.is_some();
    // Read in any case, so that all mistakes are reported at once.
    let mut store = RedisOptions::new(servers.or_else(|| RedisUrl::parse("redis://localhost").ok().map(RedisServers::Single))?);
    store.ca = ca(&mut table);
    read_limits(&mut table, &mut store);
    store.journal = file::read(&mut table, "journal");
    store.compress = stored_form::compress(&mut table);
    store.keys = stored_form::encrypt(&mut table);
    table.finish();
    known.then_some(store)
}

fn outside(overrides: &Overrides, mistakes: &Mistakes) -> Option<Vec<Located>> {
    let text = overrides.redis_url()?;
    let urls = separate(text).map(|text| parse_url(text).map(|url| Located { url, span: None })).collect::<Result<_, _>>();
    urls.map_err(|mistake| mistakes.error(Location::Elsewhere, mistake.within(REDIS_URL))).ok()
}

/// Several are separated by commas, which a password may hold as well: a URL begins with its scheme.
fn separate(text: &str) -> impl Iterator<Item = &str> {
    let begins = |rest: &str| {
        rest.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'+'))
    };
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let comma = text.match_indices(',').map(|(at, _)| at).find(|at| begins(text[at + 1..].trim_start()));
        rest = comma.map(|at| text[at + 1..].trim_start());
        Some(text[..comma.unwrap_or(text.len())].trim())
    })
}

fn urls(table: &mut Table<'_>) -> Option<Vec<Located>> {
    let list = table.get("url").is_some_and(|value| matches!(value.get_ref(), DeValue::Array(_)));
    let found = if list {
        let list = table.list("url", URL_FORM, parse_url)?;
        if list.get_ref().is_empty() {
            table.mistakes().error(list.span(), Mistake::new("`url` names no server").hint(URL_HINT));
            return None;
        }
        list.into_inner()
    } else {
        vec![table.parse("url", URL_FORM, parse_url)?]
    };
    Some(found.into_iter().map(|url| Located { span: Some(url.span()), url: url.into_inner() }).collect())
}

fn parse_url(text: &str) -> Result<RedisUrl, Mistake> {
    // The text may hold a password in a form that no mask knows.
    RedisUrl::parse(text).map_err(|_| Mistake::new("this is not the URL of a Redis server").hint(URL_HINT))
}

/// `sentinel = { master = "…" }`, which goes with its mode and no other.
fn master(table: &mut Table<'_>, mode: Option<(Mode, Range<usize>)>) -> Option<String> {
    const HINT: &str = "the name that the sentinels know it by, like sentinel = { master = \"mymaster\" }";
    let mistakes = table.mistakes();
    let Some(mut sentinel) = table.table("sentinel") else {
        if let Some((Mode::Sentinel, span)) = mode {
            mistakes.error(span, Mistake::new("sentinels are asked for a master by its name, and there is none").hint(HINT));
        }
        return None;
    };
    sentinel.require("master", HINT);
    let master = sentinel.parse("master", "a name in quotes", |text| match text {
        "" => Err(Mistake::new("a master has a name").hint(HINT)),
        text => Ok(text.to_owned()),
    });
    if let Some((Mode::Single | Mode::Cluster, _)) = mode {
        let mistake = Mistake::new("`sentinel` has no meaning in this `mode`");
        mistakes.error(sentinel.span(), mistake.hint("leave it out, or set mode = \"sentinel\""));
    }
    sentinel.finish();
    master.map(toml::Spanned::into_inner)
}

fn servers(urls: Vec<Located>, mode: Mode, master: Option<String>, mistakes: &Mistakes) -> Option<RedisServers> {
    let complain = |placed: &Located, mistake: Mistake| match placed.span.clone() {
        Some(span) => mistakes.error(span, mistake),
        None => mistakes.error(Location::Elsewhere, mistake.within(REDIS_URL)),
    };
    let mut wrong = false;
    for (index, placed) in urls.iter().enumerate() {
        let mistake = match mode {
            Mode::Single if index > 0 => Some(
                Mistake::new("a single server has a single URL").hint("set mode = \"cluster\" or \"sentinel\", or leave the others out"),
            ),
            Mode::Cluster if placed.url.database() != 0 => {
                let mistake = Mistake::new(format!("a Cluster has no database {}", placed.url.database()));
                Some(mistake.hint("leave the number out: redis://host:6379"))
            }
            Mode::Cluster | Mode::Sentinel if placed.url.is_socket() => Some(
                Mistake::new("a socket leads to one server only").hint("the nodes name each other by host and port: redis://host:6379"),
            ),
            Mode::Single | Mode::Cluster | Mode::Sentinel => None,
        };
        if let Some(mistake) = mistake {
            complain(placed, mistake);
            wrong = true;
        }
    }
    let first = urls.first()?;
    let plain: Vec<RedisUrl> = urls.iter().map(|placed| placed.url.clone()).collect();
    let servers = match mode {
        Mode::Single => RedisServers::Single(first.url.clone()),
        Mode::Cluster => RedisServers::Cluster(plain),
        Mode::Sentinel => RedisServers::Sentinel { sentinels: plain, master: master? },
    };
    if wrong {
        return None;
    }
    if !servers.are_alike() {
        let mistake = Mistake::new("these servers differ in scheme, user or password");
        complain(first, mistake.hint("they are spoken to in one way: give all of them the same"));
        return None;
    }
    Some(servers)
}

fn ca(table: &mut Table<'_>) -> Option<Bytes> {
    let file = table.parse("ca_file", "the path of a PEM file in quotes", |text| match std::fs::read(text) {
        Ok(pem) if String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") => Ok(Bytes::from(pem)),
        Ok(_) => Err(Mistake::new(format!("there is no certificate in `{text}`")).hint("a PEM file has BEGIN CERTIFICATE in it")),
        Err(error) => {
            let hint = "a path is relative to the directory in which larder is started";
            Err(Mistake::new(format!("cannot read `{text}`: {}", error.kind())).hint(hint))
        }
    });
    file.map(toml::Spanned::into_inner)
}

/// The log of invalidations is known to be whole two to four times a second.
const MIN_LAG: Duration = Duration::from_secs(1);

fn read_limits(table: &mut Table<'_>, store: &mut RedisOptions) {
    if let Some(timeout) = positive(table, "timeout") {
        store.timeout = timeout;
    }
    if let Some(timeout) = positive(table, "connect_timeout") {
        store.connect_timeout = timeout;
    }
    if let Some(write) = table.one_of("write", &[("behind", WriteMode::Behind), ("through", WriteMode::Through)]) {
        store.write = write.into_inner();
    }
    if let Some(max) = table.bytes("write_queue", 1 << 20..=1 << 40) {
        store.write_queue = max.into_inner();
    }
    if let Some(max) = table.bytes("max_object", 1..=512 << 20) {
        store.max_object = max.into_inner();
    }
    if let Some(max_lag) = table.duration("max_lag") {
        if *max_lag.get_ref() < MIN_LAG {
            let mistake =
                Mistake::new("`max_lag` is too short").hint("at least \"1s\": what others purge is looked for several times a second");
            table.mistakes().error(max_lag.span(), mistake);
        }
        store.max_lag = max_lag.into_inner();
    }
    if let Some(validate) = table.one_of("when_cut_off", &[("validate", true), ("serve", false)]) {
        store.validate_when_cut_off = validate.into_inner();
    }
    breaker::read(table, &mut store.breaker_failures, &mut store.breaker_open);
}
