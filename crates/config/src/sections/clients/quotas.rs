//! `[[quotas]]`: how much each client may have in an hour, a day or a month of the calendar.

use std::sync::Arc;

use jiff::tz::TimeZone;
use larder_limits::Algorithm;
use toml::Spanned;

use crate::model::{LimitCount, LimitOver, Period, Price, Prices, QuotaPart, RateLimit, Route};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::Table;
use crate::sections::cache::items;
use crate::sections::clients::limits::{amount, check_path, claim_name, key, named, routes, sharing};

const OVERS: [(&str, LimitOver); 3] = [("reject", LimitOver::Reject), ("stale", LimitOver::Stale), ("observe", LimitOver::Observe)];
const LIMITS_FORM: &str = "like limits = [{ count = \"requests\", max = 1000, per = \"day\" }]";
const WARN_AT: f64 = 0.8;

/// Tokens that a price is of.
const MILLION: u64 = 1_000_000;

/// One of a quota's limits, as it is written.
struct Part {
    count: LimitCount,
    max: u64,
    period: Period,
}

/// The limits of the quotas that are right; mistakes are noted. `names` has the names of other limits.
pub(crate) fn read(
    root: &mut Table<'_>,
    all: &[&Route],
    prices: &Prices,
    has: (bool, bool),
    names: &mut Vec<Spanned<String>>,
) -> Vec<RateLimit> {
    let quotas = root.tables("quotas").into_iter();
    quotas.filter_map(|table| quota(table, all, prices, has, names)).flatten().collect()
}

fn quota(
    mut table: Table<'_>,
    all: &[&Route],
    prices: &Prices,
    (has_redis, verifies): (bool, bool),
    names: &mut Vec<Spanned<String>>,
) -> Option<Vec<RateLimit>> {
    let (span, mistakes) = (table.span(), table.mistakes());
    table.require("name", "like name = \"llm\": answers, metrics and `larder limits` know the quota by it");
    table.require("limits", LIMITS_FORM);
    let name = named(&mut table, names);
    let key = key(&mut table, verifies);
    let routes = routes(&mut table, all);
    let zone = time_zone(&mut table).unwrap_or(TimeZone::UTC);
    let parts = parts(&mut table);
    let price = price(&mut table, &parts, prices);
    let over = table.one_of("over", &OVERS).map_or(LimitOver::Reject, Spanned::into_inner);
    let (shared, batch) = sharing(&mut table, has_redis, parts.iter().map(|part| part.max).min());
    let warn_at = table.fraction("warn_at").map_or(WARN_AT, Spanned::into_inner);
    let legacy_fields = table.boolean("legacy_fields").unwrap_or_default();
    let max_keys = table.integer("max_keys", 1_000..=10_000_000).and_then(|count| usize::try_from(count).ok()).unwrap_or(100_000);
    table.finish();
    let (quota, key, routes): (Arc<str>, _, _) = (Arc::from(name?), key?, routes?);
    check_path(&key, &routes, all, mistakes);
    let key = items(key);
    let limit = |part: Part| {
        let name = format!("{quota}.{}.{}", part.count.as_str(), part.period.as_str());
        claim_name(mistakes, names, Spanned::new(span.clone(), name.clone()));
        let (quota, zone) = (Arc::clone(&quota), zone.clone());
        RateLimit {
            name: Arc::from(name),
            quota: Some(QuotaPart { quota, period: part.period, zone, price, warn_at: part.warned_at(warn_at) }),
            routes: routes.clone(),
            key: key.clone(),
            algorithm: Algorithm::Calendar { begins: 0 },
            max: part.max,
            per: part.period.usual_length(),
            burst: part.max,
            count: part.count,
            over,
            max_delay: std::time::Duration::ZERO,
            shared,
            batch,
            legacy_fields,
            max_keys,
        }
    };
    Some(parts.into_iter().map(limit).collect())
}

impl Part {
    /// The units of this share of it; `None`: the share is 0.
    fn warned_at(&self, share: f64) -> Option<u64> {
        // A share is from 0 to 1, so the product fits.
        let units = (self.max as f64 * share).ceil() as u64;
        (share > 0.0).then_some(units.clamp(1, self.max))
    }
}

/// `limits`, less those that are wrong.
fn parts(table: &mut Table<'_>) -> Vec<Part> {
    let (span, mistakes, is_there) = (table.span(), table.mistakes(), table.has("limits"));
    let tables = table.tables("limits");
    if is_there && tables.is_empty() {
        mistakes.error(span, Mistake::new("a quota without limits limits nothing").hint(LIMITS_FORM));
    }
    tables.into_iter().filter_map(part).collect()
}

fn part(mut table: Table<'_>) -> Option<Part> {
    table.require("count", "\"requests\", \"misses\", \"bytes\", \"tokens\" or \"cost\"");
    table.require("max", "like max = 1000");
    table.require("per", "\"hour\", \"day\" or \"month\"");
    let count = table.one_of("count", &LimitCount::ALL).map(Spanned::into_inner);
    // Without a count nothing says how it is written.
    let max = match count {
        Some(count) => amount(&mut table, "max", count),
        None => table.get("max").and(None),
    };
    let period = table.one_of("per", &Period::ALL).map(Spanned::into_inner);
    table.finish();
    Some(Part { count: count?, max: max?, period: period? })
}

/// `timezone`.
pub(crate) fn time_zone(table: &mut Table<'_>) -> Option<TimeZone> {
    let zone = |name: &str| {
        TimeZone::get(name).map_err(|_| {
            let mistake = Mistake::new(format!("`{name}` is not a time zone"));
            mistake.hint("a name of the IANA's list, like \"Europe/Berlin\" or \"UTC\"")
        })
    };
    table.parse("timezone", "a time zone in quotes, like \"Europe/Berlin\"", zone).map(Spanned::into_inner)
}

/// `price`, where a limit counts cost; a million tokens of any model that `[prices]` does not have.
fn price(table: &mut Table<'_>, parts: &[Part], prices: &Prices) -> Option<Price> {
    let (span, mistakes): (_, &Mistakes) = (table.span(), table.mistakes());
    let is_counted = parts.iter().any(|part| part.count == LimitCount::Cost);
    let price = table.table("price").map(|mut table| {
        let span = table.span();
        let (input, output) = (table.price("input").unwrap_or_default(), table.price("output").unwrap_or_default());
        let per = table.integer("per", 1..=1_000_000_000).unwrap_or(MILLION);
        table.finish();
        let million = |price: f64| price * MILLION as f64 / per as f64;
        (Price { input: million(input), output: million(output) }, span)
    });
    match &price {
        Some((_, span)) if !is_counted && !parts.is_empty() => {
            let mistake = Mistake::new("`price` counts only where a limit counts cost");
            mistakes
                .error(span.clone(), mistake.hint("add { count = \"cost\", max = 25.0, per = \"month\" } to `limits`, or leave it out"));
        }
        None if is_counted && prices.is_empty() && !table.has("price") => {
            let mistake = Mistake::new("nothing says what tokens cost, so the cost would stay 0");
            mistakes
                .error(span, mistake.hint("add price = { input = 0.15, output = 0.6 } here, for a million tokens, or a section [prices]"));
        }
        _ => {}
    }
    price.map(|(price, _)| price)
}
