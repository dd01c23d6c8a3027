//! `[[limits]]`: how much each client may have in a time.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use larder_limits::Algorithm;
use larder_semantics::matches_pattern;
use toml::Spanned;

use crate::model::{LimitCount, LimitKey, LimitOver, RateLimit, Route};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::nearest;
use crate::parse::reader::Table;
use crate::sections::cache::items;
use crate::sections::cache::key::{claim, is_cookie_name};
use crate::sections::upstreams::positive;

const ALGORITHMS: [(&str, Algorithm); 3] =
    [("token-bucket", Algorithm::TokenBucket), ("fixed-window", Algorithm::FixedWindow), ("sliding-window", Algorithm::SlidingWindow)];
const OVERS: [(&str, LimitOver); 4] =
    [("reject", LimitOver::Reject), ("stale", LimitOver::Stale), ("delay", LimitOver::Delay), ("observe", LimitOver::Observe)];

/// What a limit over a rolling time counts. Money is counted by the calendar.
const COUNTS: [(&str, LimitCount); 4] =
    [("requests", LimitCount::Requests), ("misses", LimitCount::Misses), ("bytes", LimitCount::Bytes), ("tokens", LimitCount::Tokens)];

/// The largest number that a field of an answer can tell (RFC 9651 §3.3.1).
const MAX: u64 = 999_999_999_999_999;
/// The least and the largest sum: Redis counts its billionths in doubles, which are exact up to 2^53.
const MIN_COST: f64 = 0.000_001;
const MAX_COST: f64 = 9_000_000.0;

const MAX_PER: Duration = Duration::from_secs(366 * 86_400);
const KEY_FORM: &str = "strings like \"client\", \"header:authorization\", \"cookie:session\", \"jwt:sub\", \"route\", \"path:org\"";

/// Beyond it a request that waits holds its connection for longer than clients wait.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// The limits that are right; mistakes are noted. It matters whether there `has` to be a Redis, and whether tokens are verified. `names` is given their
/// names.
pub(crate) fn read(root: &mut Table<'_>, all: &[&Route], has: (bool, bool), names: &mut Vec<Spanned<String>>) -> Vec<RateLimit> {
    root.tables("limits").into_iter().filter_map(|table| limit(table, all, has, names)).collect()
}

fn limit(mut table: Table<'_>, all: &[&Route], (has_redis, verifies): (bool, bool), names: &mut Vec<Spanned<String>>) -> Option<RateLimit> {
    let (span, mistakes) = (table.span(), table.mistakes());
    table.require("name", "like name = \"per-client\": answers, metrics and `larder limits` know the limit by it");
    table.require("max", "like max = 100");
    table.require("per", "like per = \"1m\"");
    let name = named(&mut table, names);
    let key = key(&mut table, verifies);
    let routes = routes(&mut table, all);
    let algorithm = table.one_of("algorithm", &ALGORITHMS).map_or(Algorithm::TokenBucket, Spanned::into_inner);
    let count = table.one_of("count", &COUNTS).map_or(LimitCount::Misses, Spanned::into_inner);
    let max = amount(&mut table, "max", count);
    let per = per(&mut table);
    let burst = amount(&mut table, "burst", count);
    let (over, max_delay) = beyond(&mut table, algorithm, count);
    let (shared, batch) = sharing(&mut table, has_redis, burst.or(max));
    let legacy_fields = table.boolean("legacy_fields").unwrap_or_default();
    let max_keys = table.integer("max_keys", 1_000..=10_000_000).and_then(|count| usize::try_from(count).ok()).unwrap_or(100_000);
    if burst.is_some() && algorithm != Algorithm::TokenBucket {
        let mistake = Mistake::new("only a token bucket has a `burst`");
        mistakes.error(span, mistake.hint("leave it out: a window gives all of `max` at once"));
    }
    table.finish();
    let (key, routes, max) = (key?, routes?, max?);
    check_path(&key, &routes, all, mistakes);
    Some(RateLimit {
        name: Arc::from(name?),
        quota: None,
        routes,
        key: items(key),
        algorithm,
        max,
        per: per?,
        burst: burst.unwrap_or(max),
        count,
        over,
        shared,
        batch,
        max_delay,
        legacy_fields,
        max_keys,
    })
}

/// `name`, which no other limit or quota has.
pub(super) fn named(table: &mut Table<'_>, names: &mut Vec<Spanned<String>>) -> Option<String> {
    let name = table.parse("name", "a name in quotes, like \"per-client\"", |text| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !text.is_empty() && text.len() <= 64 && text.bytes().all(is_plain) {
            return Ok(text.to_owned());
        }
        Err(Mistake::new(format!("`{text}` is not a name for a limit")).hint("letters, digits, `-`, `_` and `.`"))
    })?;
    claim_name(table.mistakes(), names, name.clone());
    Some(name.into_inner())
}

/// No other may have the name from now on.
pub(super) fn claim_name(mistakes: &Mistakes, names: &mut Vec<Spanned<String>>, name: Spanned<String>) {
    if let Some(first) = names.iter().find(|first| first.get_ref() == name.get_ref()) {
        let mistake = Mistake::new(format!("there are two limits called `{}`", name.get_ref()));
        mistakes.clash(name.span(), mistake.hint("give each its own name"), Some(first.span()), "first here");
    }
    names.push(name);
}

/// `over` and `max_delay`.
fn beyond(table: &mut Table<'_>, algorithm: Algorithm, count: LimitCount) -> (LimitOver, Duration) {
    let (span, mistakes) = (table.span(), table.mistakes());
    let over = table.one_of("over", &OVERS);
    let max_delay = positive(table, "max_delay");
    if let Some(over) = over.as_ref().filter(|over| *over.get_ref() == LimitOver::Delay)
        && (algorithm != Algorithm::TokenBucket || count.is_known_afterwards())
    {
        let hint = "a window would let all that wait go at its end: leave `algorithm` out, or say \"reject\"";
        mistakes.error(over.span(), Mistake::new("only a token bucket of requests or misses can delay").hint(hint));
    }
    let over = over.map_or(LimitOver::Reject, Spanned::into_inner);
    if max_delay.is_some() && over != LimitOver::Delay {
        let mistake = Mistake::new("`max_delay` counts only with over = \"delay\"");
        mistakes.error(span.clone(), mistake.hint("add that, or leave `max_delay` out"));
    }
    if let Some(delay) = max_delay.filter(|delay| *delay > MAX_DELAY) {
        let mistake = Mistake::new(format!("a request would wait for up to {}", crate::display_duration(delay)));
        mistakes.error(span, mistake.hint("at most \"60s\": clients go away sooner"));
    }
    (over, max_delay.unwrap_or(Duration::from_secs(1)))
}

/// `shared` and `batch`, where a client may have so many units at once.
pub(super) fn sharing(table: &mut Table<'_>, has_redis: bool, capacity: Option<u64>) -> (bool, u64) {
    let (span, mistakes) = (table.span(), table.mistakes());
    let shared = table.boolean_at("shared");
    let batch = table.integer("batch", 1..=10_000);
    if let Some(shared) = shared.as_ref().filter(|shared| *shared.get_ref())
        && !has_redis
    {
        let mistake = Mistake::new("`shared` needs a Redis that replicas share");
        mistakes.error(shared.span(), mistake.hint("add [store.redis] with url = \"redis://…\", or leave `shared` out"));
    }
    let shared = shared.is_some_and(Spanned::into_inner);
    if batch.is_some() && !shared {
        mistakes.error(span, Mistake::new("`batch` counts only with shared = true").hint("add that, or leave `batch` out"));
    } else if let Some(batch) = batch.filter(|batch| capacity.is_some_and(|capacity| *batch > capacity)) {
        let mistake = Mistake::new(format!("a replica would take {batch} at once, which is more than there are"));
        mistakes.error(span, mistake.hint("a tenth of `max` is much"));
    }
    (shared, batch.unwrap_or(1))
}

/// A number of requests or tokens, a size where bytes are counted, or a sum of money.
pub(super) fn amount(table: &mut Table<'_>, key: &'static str, count: LimitCount) -> Option<u64> {
    match count {
        LimitCount::Bytes => table.bytes(key, 1..=MAX).map(Spanned::into_inner),
        LimitCount::Requests | LimitCount::Misses | LimitCount::Tokens => table.integer(key, 1..=MAX),
        LimitCount::Cost => {
            let span = table.get(key).map_or(table.span(), Spanned::span);
            let sum = table.number(key, "in the currency of the prices: 25.0")?;
            if !(MIN_COST..=MAX_COST).contains(&sum) {
                let mistake = Mistake::new(format!("`{sum}` is out of range for `{key}`"));
                table.mistakes().error(span, mistake.hint(format!("from {MIN_COST} to {MAX_COST}")));
                return None;
            }
            // In range, so it fits.
            Some((sum * LimitCount::COST_UNITS as f64).round() as u64)
        }
    }
}

fn per(table: &mut Table<'_>) -> Option<Duration> {
    let per = table.duration("per")?;
    let wrong = match *per.get_ref() {
        short if short < Duration::from_millis(1) => "at least \"1ms\"",
        long if long > MAX_PER => "at most \"8784h\", a year",
        _ => return Some(per.into_inner()),
    };
    table.mistakes().error(per.span(), Mistake::new("`per` is out of range").hint(wrong));
    None
}

/// `key` and `unsafe_unverified`; the client alone where nothing is said.
pub(super) fn key(table: &mut Table<'_>, verifies: bool) -> Option<Spanned<Vec<Spanned<LimitKey>>>> {
    let (span, mistakes) = (table.span(), table.mistakes());
    let is_said = table.boolean("unsafe_unverified") == Some(true);
    let is_named = table.has("key");
    let Some(key) = table.list("key", KEY_FORM, |text| key_part(text, is_said)) else {
        return (!is_named).then(|| Spanned::new(span.clone(), vec![Spanned::new(span, LimitKey::Client)]));
    };
    if key.get_ref().is_empty() {
        let mistake = Mistake::new("a limit without a key would be one for all clients together");
        mistakes.error(key.span(), mistake.hint("[\"route\"] is one for all clients of a route; [\"client\"] is one for each"));
        return None;
    }
    if let Some(claim) = key.get_ref().iter().find(|part| matches!(part.get_ref(), LimitKey::Claim(_))).filter(|_| !verifies) {
        let mistake =
            Mistake::new("`jwt:` takes claims from tokens that nobody has verified here: whoever forges one has a limit of his own");
        let hint = "add [auth.jwt] with the issuer's keys; or unsafe_unverified = true, where something before Larder verifies every token";
        mistakes.error(claim.span(), mistake.hint(hint));
    }
    Some(key)
}

fn key_part(text: &str, is_unverified: bool) -> Result<LimitKey, Mistake> {
    let wrong = || Mistake::new(format!("`{text}` does not tell clients apart"));
    match text.split_once(':') {
        None if text == "client" => Ok(LimitKey::Client),
        None if text == "route" => Ok(LimitKey::Route),
        Some(("header", name)) => {
            let name =
                HeaderName::try_from(name).map_err(|_| wrong().hint("\"header:\" and the name of a field: \"header:authorization\""))?;
            Ok(LimitKey::Header(name))
        }
        Some(("cookie", name)) if is_cookie_name(name) => Ok(LimitKey::Cookie(name.to_owned())),
        Some(("jwt", name)) => claim(name).map(if is_unverified { LimitKey::UnverifiedClaim } else { LimitKey::Claim }),
        Some(("path", name)) if !name.is_empty() => Ok(LimitKey::Path(name.to_owned())),
        _ => Err(wrong().hint(format!("write {KEY_FORM}"))),
    }
}

/// The positions of the routes that the patterns name; all where there are none.
pub(super) fn routes(table: &mut Table<'_>, all: &[&Route]) -> Option<Vec<usize>> {
    let mistakes = table.mistakes();
    let is_named = table.has("routes");
    let patterns = table.list("routes", "names of routes or classes, like \"issue.*\"", |text| {
        if text.matches('*').count() <= 1 {
            return Ok(text.to_owned());
        }
        Err(Mistake::new(format!("`{text}` is not a pattern for routes")).hint("a name, with one `*` for any text: \"issue.*\""))
    });
    let Some(patterns) = patterns else { return (!is_named).then(|| (0..all.len()).collect()) };
    let suits = |route: &Route, pattern: &str| {
        matches_pattern(pattern, route.name.as_bytes())
            || route.class.as_deref().is_some_and(|class| matches_pattern(pattern, class.as_bytes()))
    };
    for pattern in patterns.get_ref() {
        if !all.iter().any(|route| suits(route, pattern.get_ref())) {
            let known = all.iter().flat_map(|route| [Some(&*route.name), route.class.as_deref()]).flatten();
            let mistake = Mistake::new(format!("there is no route or class `{}`", pattern.get_ref()));
            mistakes.error(pattern.span(), mistake.hint(nearest::hint(pattern.get_ref(), known, "there are")));
        }
    }
    if patterns.get_ref().is_empty() {
        mistakes.error(patterns.span(), Mistake::new("the limit is for no route").hint("leave `routes` out: it is for all of them"));
    }
    let patterns = items(patterns);
    Some((0..all.len()).filter(|&index| patterns.iter().any(|pattern| suits(all[index], pattern))).collect())
}

/// Every route has the parts of its path that the key names.
pub(super) fn check_path(key: &Spanned<Vec<Spanned<LimitKey>>>, routes: &[usize], all: &[&Route], mistakes: &Mistakes) {
    for part in key.get_ref() {
        let LimitKey::Path(name) = part.get_ref() else { continue };
        if let Some(route) = routes.iter().map(|&index| all[index]).find(|route| !route.path.captures().contains(name)) {
            let mistake = Mistake::new(format!("`{{{name}}}` is no part of `{}`, the path of route `{}`", route.path.text(), route.name));
            mistakes.error(part.span(), mistake.hint("name the routes that have it in `routes` of the limit"));
        }
    }
}
