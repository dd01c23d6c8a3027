//! The keys of `[cache]` about lifetimes: which a route gives, which it tells its clients, and what is worth one.

use std::time::Duration;

use http::StatusCode;
use larder_semantics::reuse::told::CDN_FIELDS;
use larder_semantics::storage::never_stored;
use larder_semantics::{CdnTtl, ClientTtl, EtagSource, Policy, StatusTtls, Statuses, TtlMode};
use toml::Spanned;

use super::{set, spanned};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::{DURATION, Table};
use crate::parse::units;

/// A lifetime longer than this is more often a slip than meant: nothing but a purge or a new `key_version` shortens it afterwards.
const LONG_TTL: u32 = 24 * 3600;

/// The largest `min_hits`: what is asked for less often is not worth counting longer.
const MAX_MIN_HITS: u64 = 100;

/// What one table says; `None` is "not here".
#[derive(Clone, Debug, Default)]
pub(crate) struct Lifetimes {
    pub(super) ttl: Option<Spanned<Ttl>>,
    pub(super) ttl_mode: Option<Spanned<TtlMode>>,
    pub(super) max_ttl: Option<Spanned<Option<u32>>>,
    pub(super) sliding_max: Option<Spanned<u32>>,
    pub(super) stale_while_revalidate: Option<Spanned<u32>>,
    stale_if_error: Option<Spanned<u32>>,
    heuristic_max: Option<Spanned<u32>>,
    client_ttl: Option<Spanned<ClientTtl>>,
    cdn_ttl: Option<Option<CdnTtl>>,
    min_origin_time: Option<u32>,
    min_hits: Option<u32>,
    etag: Option<Spanned<EtagSource>>,
    /// In it `None` is `false`.
    pub(super) refresh_ahead: Option<Spanned<Option<u16>>>,
    pub(super) refresh_ahead_hits: Option<Spanned<u8>>,
    pub(super) refresh_jitter: Option<Spanned<bool>>,
    pub(super) ttl_jitter: Option<Spanned<u16>>,
    pub(super) stale_if_slow: Option<Spanned<u32>>,
    pub(super) stale_if_overloaded: Option<Spanned<bool>>,
}

/// `ttl`: one lifetime, or several by status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ttl {
    default: u32,
    by_status: StatusTtls,
}

impl Ttl {
    /// The longest of them in seconds.
    pub(super) fn longest(&self) -> u32 {
        self.by_status.longest().unwrap_or(0).max(self.default)
    }
}

impl Lifetimes {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        const MODES: [(&str, TtlMode); 4] =
            [("default", TtlMode::Default), ("cap", TtlMode::Cap), ("override", TtlMode::Override), ("sliding", TtlMode::Sliding)];
        let lifetimes = Self {
            ttl: ttl(table),
            ttl_mode: table.one_of("ttl_mode", &MODES),
            max_ttl: max_ttl(table),
            sliding_max: table.seconds("sliding_max"),
            stale_while_revalidate: table.seconds("stale_while_revalidate"),
            stale_if_error: table.seconds("stale_if_error"),
            heuristic_max: table.seconds("heuristic_max"),
            client_ttl: table.parse("client_ttl", "\"route\", \"origin\" or a duration in quotes, like \"0s\"", client_ttl),
            cdn_ttl: cdn_ttl(table),
            min_origin_time: table.duration("min_origin_time").map(millis),
            min_hits: table.integer("min_hits", 1..=MAX_MIN_HITS).and_then(|hits| u32::try_from(hits).ok()),
            etag: table.one_of("etag", &[("origin", EtagSource::Origin), ("body", EtagSource::Body)]),
            refresh_ahead: refresh_ahead(table),
            refresh_ahead_hits: refresh_ahead_hits(table),
            refresh_jitter: table.boolean_at("refresh_jitter"),
            ttl_jitter: ttl_jitter(table),
            stale_if_slow: table.duration("stale_if_slow").map(|slow| Spanned::new(slow.span(), millis(slow))),
            stale_if_overloaded: table.boolean_at("stale_if_overloaded"),
        };
        lifetimes.warn(table.mistakes());
        lifetimes
    }

    fn warn(&self, mistakes: &Mistakes) {
        if let Some(ttl) = self.ttl.as_ref().filter(|ttl| ttl.get_ref().longest() > LONG_TTL) {
            let length = units::display_duration(Duration::from_secs(u64::from(ttl.get_ref().longest())));
            mistakes.warning(
                ttl.span(),
                Mistake::new(format!("a `ttl` of {length} is longer than a day"))
                    .hint("a mistake in a response stays that long; raise `key_version` to forget what is stored"),
            );
        }
    }

    /// Lays this over what it inherits.
    pub(super) fn apply(&self, policy: &mut Policy) {
        if let Some(ttl) = &self.ttl {
            (policy.ttl, policy.status_ttls) = (ttl.get_ref().default, ttl.get_ref().by_status.clone());
        }
        set(&mut policy.ttl_mode, &spanned(&self.ttl_mode));
        set(&mut policy.max_ttl, &spanned(&self.max_ttl));
        set(&mut policy.sliding_max, &spanned(&self.sliding_max));
        set(&mut policy.stale_while_revalidate, &spanned(&self.stale_while_revalidate));
        set(&mut policy.stale_if_error, &spanned(&self.stale_if_error));
        set(&mut policy.heuristic_max, &spanned(&self.heuristic_max));
        set(&mut policy.client_ttl, &spanned(&self.client_ttl));
        set(&mut policy.cdn_ttl, &self.cdn_ttl);
        set(&mut policy.min_origin_time, &self.min_origin_time);
        set(&mut policy.min_hits, &self.min_hits);
        set(&mut policy.etag, &spanned(&self.etag));
        set(&mut policy.refresh_ahead, &spanned(&self.refresh_ahead));
        set(&mut policy.refresh_ahead_hits, &spanned(&self.refresh_ahead_hits));
        set(&mut policy.refresh_jitter, &spanned(&self.refresh_jitter));
        set(&mut policy.ttl_jitter, &spanned(&self.ttl_jitter));
        set(&mut policy.stale_if_slow, &spanned(&self.stale_if_slow));
        set(&mut policy.stale_if_overloaded, &spanned(&self.stale_if_overloaded));
    }
}

/// `"5m"`, or `{ default = "5m", "404" = "10s", "5xx" = "1s" }`.
fn ttl(table: &mut Table<'_>) -> Option<Spanned<Ttl>> {
    let is_table = table.get("ttl")?.get_ref().as_table().is_some();
    if !is_table {
        let seconds = table.seconds("ttl")?;
        return Some(Spanned::new(seconds.span(), Ttl { default: *seconds.get_ref(), by_status: StatusTtls::default() }));
    }
    let entries = table.named_strings("ttl", DURATION, statuses, units::seconds)?;
    let span = entries.span();
    let add = |ttl: Ttl, (statuses, seconds)| match statuses {
        None => Ttl { default: seconds, ..ttl },
        Some(statuses) => Ttl { by_status: ttl.by_status.with(statuses, seconds), ..ttl },
    };
    Some(Spanned::new(span, entries.into_inner().into_iter().fold(Ttl::default(), add)))
}

/// `None` is for all statuses that have none of their own.
fn statuses(text: &str) -> Result<Option<Statuses>, Mistake> {
    const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
    if text == "default" {
        return Ok(None);
    }
    if let Some(class) = CLASSES.iter().position(|class| *class == text) {
        return Ok(Some(Statuses::Class(class as u8 + 2)));
    }
    let status = text.parse::<StatusCode>().ok().filter(|status| text.len() == 3 && status.as_u16() < 600);
    match status {
        Some(status) if status.is_informational() || status == StatusCode::PARTIAL_CONTENT || never_stored(status) => {
            let mistake = Mistake::new(format!("an answer with status {text} is never stored by a lifetime of its own"));
            Err(mistake.hint("it is about one request only; leave it out"))
        }
        Some(status) => Ok(Some(Statuses::One(status))),
        None => Err(Mistake::new(format!("`{text}` is no status")).hint("\"404\", \"5xx\", or `default` for all others")),
    }
}

/// `"1h"`, or false.
fn max_ttl(table: &mut Table<'_>) -> Option<Spanned<Option<u32>>> {
    let value = table.get("max_ttl")?;
    if value.get_ref().as_bool() == Some(false) {
        return Some(Spanned::new(value.span(), None));
    }
    table.parse("max_ttl", "a duration in quotes, like \"1h\", or false for none", |text| match units::seconds(text)? {
        0 => Err(Mistake::new("a `max_ttl` of nothing keeps nothing").hint("false is no limit; `cache = false` passes by the cache")),
        seconds => Ok(Some(seconds)),
    })
}

fn client_ttl(text: &str) -> Result<ClientTtl, Mistake> {
    match text {
        "route" => Ok(ClientTtl::Route),
        "origin" => Ok(ClientTtl::Origin),
        text if text.starts_with(|first: char| first.is_ascii_digit()) => units::seconds(text).map(ClientTtl::Fixed),
        text => Err(Mistake::new(format!("`{text}` is not a value of `client_ttl`"))
            .hint("\"route\", \"origin\", or a duration: \"0s\" makes clients validate each time")),
    }
}

/// `"origin"`, `"10m"`, or `{ ttl = "10m", field = "Surrogate-Control" }`.
fn cdn_ttl(table: &mut Table<'_>) -> Option<Option<CdnTtl>> {
    let [usual, _] = CDN_FIELDS;
    if table.get("cdn_ttl")?.get_ref().as_table().is_none() {
        let form = "\"origin\" or a duration in quotes, like \"10m\"";
        let ttl = table.parse("cdn_ttl", form, |text| match text {
            "origin" => Ok(None),
            text => units::seconds(text).map(|seconds| Some(CdnTtl { seconds, field: usual })),
        });
        return ttl.map(Spanned::into_inner);
    }
    let mut inner = table.table("cdn_ttl")?;
    inner.require("ttl", "like ttl = \"10m\"");
    let seconds = inner.seconds("ttl").map(Spanned::into_inner);
    let field = inner.one_of("field", &[("CDN-Cache-Control", 0), ("Surrogate-Control", 1)]);
    inner.finish();
    let field = field.map_or(usual, |field| CDN_FIELDS[*field.get_ref()].clone());
    Some(Some(CdnTtl { seconds: seconds?, field }))
}

/// `0.8`, or false.
fn refresh_ahead(table: &mut Table<'_>) -> Option<Spanned<Option<u16>>> {
    let value = table.get("refresh_ahead")?;
    if value.get_ref().as_bool() == Some(false) {
        return Some(Spanned::new(value.span(), None));
    }
    let share = table.share("refresh_ahead")?;
    if !(1..1_000).contains(share.get_ref()) {
        let mistake = Mistake::new("`refresh_ahead` is a part of the lifetime: more than nothing of it, and less than all");
        table.mistakes().error(share.span(), mistake.hint("0.8 begins the next fetch after four fifths; false never does"));
        return None;
    }
    Some(Spanned::new(share.span(), Some(*share.get_ref())))
}

/// More uses are not counted of a stored response.
fn refresh_ahead_hits(table: &mut Table<'_>) -> Option<Spanned<u8>> {
    const COUNTED: u64 = 3;
    let span = table.get("refresh_ahead_hits")?.span();
    let hits = table.integer("refresh_ahead_hits", 1..=COUNTED)?;
    Some(Spanned::new(span, u8::try_from(hits).ok()?))
}

/// At most half of a lifetime may be taken from it.
fn ttl_jitter(table: &mut Table<'_>) -> Option<Spanned<u16>> {
    const MOST: u16 = 500;
    let share = table.share("ttl_jitter")?;
    if *share.get_ref() > MOST {
        let mistake = Mistake::new("`ttl_jitter` takes more than half of a lifetime");
        table.mistakes().error(share.span(), mistake.hint("0.1 makes lifetimes up to a tenth shorter; 0.5 is the most"));
        return None;
    }
    Some(share)
}

fn millis(duration: Spanned<Duration>) -> u32 {
    u32::try_from(duration.get_ref().as_millis()).unwrap_or(u32::MAX)
}
