//! The keys of `[cache]`, which may also stand in a class or in a route.

pub(super) mod advice;
mod content;
mod encodings;
mod fields;
mod ignored;
pub(crate) mod key;
mod lifetimes;
mod models;
pub(super) mod naming;
mod rewriting;
mod targeted;
pub(super) mod tiers;
mod verifying;

use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use larder_message::PathRewrite;
use larder_semantics::key::IdentityPart;
use larder_semantics::{ClientDirectives, CookiePolicy, GuardMode, Scope, TtlMode};
use toml::Spanned;

use crate::model::{FarTier, OddPaths, Rate, RouteSettings};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::Table;
use crate::parse::units;
use crate::sections::upstreams;
use content::ContentLayer;
use encodings::EncodingsLayer;
use fields::{FieldsLayer, Message};
use ignored::Ignored;
use key::{KeyLayer, is_cookie_name};
use lifetimes::Lifetimes;
use models::ModelLayer;
use verifying::VerifyLayer;

/// The values of one table; `None` is "not here".
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    cache: Option<bool>,
    namespace: Option<Spanned<String>>,
    key_version: Option<u32>,
    lifetimes: Lifetimes,
    max_object: Option<Spanned<u64>>,
    tiers: Option<Spanned<Vec<Spanned<FarTier>>>>,
    max_request_body: Option<Option<u64>>,
    scope: Option<Spanned<Scope>>,
    identity: Option<Spanned<Vec<Spanned<IdentityPart>>>>,
    cookies: Option<Spanned<CookiePolicy>>,
    ignore_cookies: Option<Vec<String>>,
    key: KeyLayer,
    content: ContentLayer,
    models: ModelLayer,
    request: FieldsLayer,
    response: FieldsLayer,
    rewrite: Option<PathRewrite>,
    timeout: Option<Duration>,
    encodings: EncodingsLayer,
    client_directives: Option<Spanned<ClientDirectives>>,
    unsafe_ignore: Option<Ignored>,
    store_put: Option<bool>,
    targeted: Option<Vec<HeaderName>>,
    cache_status_key: Option<bool>,
    odd_paths: Option<Spanned<OddPaths>>,
    near_private: Option<bool>,
    verify: Option<VerifyLayer>,
    guard: Option<GuardMode>,
    /// Whether there is a table, which turns it on where it was off.
    bypass: bool,
    bypass_query: Option<Option<String>>,
    bypass_from: Option<Vec<IpNet>>,
    bypass_rate: Option<Option<Rate>>,
    query_sort: Option<bool>,
    query_drop: Option<Vec<String>>,
    query_drop_empty: Option<bool>,
    query_send_dropped: Option<Spanned<bool>>,
    collapse_wait: Option<Spanned<Duration>>,
}

impl Layer {
    /// Warns of stores that its routes are to use, and that there are not.
    pub(crate) fn check_tiers(&self, has: impl Fn(FarTier) -> bool, mistakes: &Mistakes) {
        if let Some(tiers) = &self.tiers {
            tiers::warn_of_missing(tiers.get_ref(), has, mistakes);
        }
    }

    /// Claims count only where tokens are verified.
    pub(crate) fn check_claims(&self, verifies: bool, mistakes: &Mistakes) {
        let identity = self.identity.iter().flat_map(|identity| identity.get_ref()).map(|part| (part.span(), part.get_ref()));
        self.key.check_claims(identity.chain(self.models.shared_by()), verifies, mistakes);
    }

    /// Takes the cache keys out of `table`; the caller reads the others and finishes it.
    pub(crate) fn read(table: &mut Table<'_>) -> Self {
        let mut layer = Self {
            cache: table.boolean("cache"),
            namespace: table.parse("namespace", "a name in quotes", namespace),
            key_version: table.integer("key_version", 0..=u64::from(u32::MAX)).and_then(|version| u32::try_from(version).ok()),
            lifetimes: Lifetimes::read(table),
            max_object: table.bytes("max_object", 1..=1 << 40),
            tiers: tiers::read(table),
            max_request_body: table.bytes("max_request_body", 0..=1 << 40).map(|max| Some(*max.get_ref()).filter(|max| *max > 0)),
            scope: table.one_of("scope", &[("public", Scope::Public), ("identity", Scope::Identity)]),
            identity: table.list("identity", "strings like \"header:authorization\" or \"cookie:session\"", identity_part),
            cookies: table
                .one_of("cookies", &[("private", CookiePolicy::Private), ("ignore", CookiePolicy::Ignore), ("pass", CookiePolicy::Pass)]),
            ignore_cookies: table.list("ignore_cookies", "cookie names in quotes, like \"_ga*\"", cookie_pattern).map(items),
            client_directives: table
                .one_of("client_directives", &[("honor", ClientDirectives::Honor), ("ignore", ClientDirectives::Ignore)]),
            unsafe_ignore: Ignored::read(table),
            store_put: table.boolean("store_put"),
            targeted: targeted::read(table),
            odd_paths: table.one_of("odd_paths", &[("pass", OddPaths::Pass), ("refuse", OddPaths::Refuse), ("cache", OddPaths::Cache)]),
            near_private: table.boolean("near_private"),
            verify: VerifyLayer::read(table),
            guard: table
                .one_of("guard", &[("report", GuardMode::Report), ("refuse", GuardMode::Refuse), ("off", GuardMode::Off)])
                .map(Spanned::into_inner),
            key: KeyLayer::read(table),
            content: ContentLayer::read(table),
            models: ModelLayer::read(table),
            request: FieldsLayer::read(table, Message::Request),
            response: FieldsLayer::read(table, Message::Response),
            rewrite: rewriting::read(table),
            timeout: upstreams::positive(table, "timeout"),
            encodings: EncodingsLayer::read(table),
            ..Self::default()
        };
        layer.read_bypass(table);
        layer.read_query(table);
        if let Some(mut collapse) = table.table("collapse") {
            layer.collapse_wait = collapse.duration("wait");
            collapse.finish();
        }
        if let Some(mut cache_status) = table.table("cache_status") {
            layer.cache_status_key = cache_status.boolean("key");
            cache_status.finish();
        }
        layer.warn(table.mistakes());
        layer
    }

    /// `bypass = false`, or a table.
    fn read_bypass(&mut self, table: &mut Table<'_>) {
        if table.get("bypass").and_then(|value| value.get_ref().as_bool()) == Some(false) {
            self.bypass_query = Some(None);
            return;
        }
        let Some(mut bypass) = table.table("bypass") else { return };
        self.bypass = true;
        self.bypass_query = bypass.parse("query", "the name of a query parameter in quotes", parameter).map(|name| Some(name.into_inner()));
        self.bypass_from = bypass.list("from", "networks in quotes, like \"10.0.0.0/8\"", network).map(items);
        self.bypass_rate = match bypass.get("rate").map(|value| value.get_ref().as_bool()) {
            Some(Some(false)) => Some(None),
            _ => bypass.parse("rate", "a rate in quotes, like \"5/s\", or false for none", rate).map(|rate| Some(rate.into_inner())),
        };
        bypass.finish();
    }

    fn read_query(&mut self, table: &mut Table<'_>) {
        let Some(mut query) = table.table("query") else { return };
        self.query_sort = query.boolean("sort");
        self.query_drop = query.list("drop", "parameter names in quotes, like \"utm_*\"", drop_pattern).map(items);
        self.query_drop_empty = query.boolean("drop_empty");
        self.query_send_dropped = query.boolean_at("send_dropped");
        query.finish();
    }

    fn warn(&self, mistakes: &Mistakes) {
        if let Some(send) = self.query_send_dropped.as_ref().filter(|send| *send.get_ref()) {
            let mistake = Mistake::new("`send_dropped = true` lets one client choose what everybody gets");
            let hint = "a page that shows a dropped parameter is stored with it; leave it out, unless the backend never answers by them";
            mistakes.warning(send.span(), mistake.hint(hint));
        }
        if let Some(cache) = self.odd_paths.as_ref().filter(|odd| *odd.get_ref() == OddPaths::Cache) {
            let mistake = Mistake::new("`odd_paths = \"cache\"` may store one route's response under another's settings");
            mistakes.warning(cache.span(), mistake.hint("leave it out, unless the backend takes every path as it was sent"));
        }
    }

    /// Lays this over what it inherits.
    pub(crate) fn apply(&self, base: &mut RouteSettings) {
        let policy = &mut base.policy;
        set(&mut base.cache, &self.cache);
        set(&mut base.key.namespace, &spanned(&self.namespace));
        set(&mut base.key.version, &self.key_version);
        self.lifetimes.apply(policy);
        set(&mut policy.scope, &spanned(&self.scope));
        set(&mut policy.cookies, &spanned(&self.cookies));
        set(&mut base.key.cookies.ignored, &self.ignore_cookies);
        self.key.apply(&mut base.key);
        self.request.apply(&mut base.request);
        self.response.apply(&mut base.response);
        if let Some(rewrite) = &self.rewrite {
            base.rewrite = (*rewrite != PathRewrite::default()).then(|| rewrite.clone());
        }
        set(&mut base.timeout, &self.timeout.map(Some));
        set(&mut policy.client_directives, &spanned(&self.client_directives));
        self.unsafe_ignore.iter().for_each(|ignored| ignored.apply(policy));
        set(&mut policy.store_put, &self.store_put);
        set(&mut policy.targeted, &self.targeted);
        set(&mut base.cache_status_key, &self.cache_status_key);
        set(&mut base.odd_paths, &spanned(&self.odd_paths));
        set(&mut base.near_private, &self.near_private);
        self.verify.iter().for_each(|verify| verify.apply(&mut base.verify));
        set(&mut base.guard, &self.guard);
        set(&mut base.max_object, &spanned(&self.max_object));
        set(&mut base.tiers, &self.tiers.clone().map(|tiers| Some(items(tiers))));
        set(&mut base.max_request_body, &self.max_request_body);
        set(&mut base.collapse_wait, &spanned(&self.collapse_wait));
        set(&mut base.bypass_from, &self.bypass_from);
        set(&mut base.bypass_rate, &self.bypass_rate);
        let query = &mut base.key.query;
        if self.bypass && query.bypass.is_none() {
            query.bypass = RouteSettings::default().key.query.bypass;
        }
        set(&mut query.bypass, &self.bypass_query);
        set(&mut query.sort, &self.query_sort);
        set(&mut query.drop, &self.query_drop);
        set(&mut query.drop_empty, &self.query_drop_empty);
        set(&mut query.send_dropped, &spanned(&self.query_send_dropped));
        self.encodings.apply(base);
    }
}

/// Resolves one chain of layers, the most general first.
pub(crate) fn resolve(layers: &[&Layer], room: u64, mistakes: &Mistakes) -> RouteSettings {
    let mut settings = RouteSettings::default();
    for layer in layers {
        layer.apply(&mut settings);
    }
    if settings.policy.scope == Scope::Identity {
        let said = layers.iter().rev().find_map(|layer| layer.identity.as_ref());
        settings.key.identity = said.map_or_else(default_identity, |identity| items(identity.clone()));
        if let Some(empty) = said.filter(|identity| identity.get_ref().is_empty()) {
            let hint = "name what tells users apart: \"header:authorization\", \"cookie:session\"";
            mistakes.error(empty.span(), Mistake::new("`scope = \"identity\"` without any `identity` would share everything").hint(hint));
        }
    }
    settings.policy.record_streams = models::records(layers);
    settings.policy.replay = models::pace(layers);
    settings.client_controls = models::client_controls(layers);
    settings.content = content::resolve(layers);
    let others = settings.policy.longest_ttl() > 0;
    settings.content.iter_mut().for_each(|rules| rules.rpc.others = others);
    if let Some(mut rules) = settings.content.take_if(|rules| rules.kind.is_model()) {
        models::resolve(layers, &mut rules, &mut settings);
        settings.content = Some(rules);
    }
    let secret = settings.key.identity.iter().filter_map(|part| match part {
        IdentityPart::Query(name) => Some(name.clone()),
        _ => None,
    });
    settings.key.query.secret.extend(secret);
    for layer in layers {
        layer.response.check_response(&settings, mistakes);
        layer.encodings.check(&settings, mistakes);
    }
    let mode = layers.iter().rev().find_map(|layer| layer.lifetimes.ttl_mode.as_ref()).filter(|mode| *mode.get_ref() != TtlMode::Default);
    if let Some(mode) = mode.filter(|_| layers.iter().all(|layer| layer.lifetimes.ttl.is_none())) {
        let mistake = Mistake::new("this `ttl_mode` without a `ttl` keeps everything stale from the start");
        mistakes.warning(mode.span(), mistake.hint("give a `ttl`, if only \"0s\" to say that it is meant"));
    }
    let own = layers.iter().rev().find_map(|layer| layer.max_object.as_ref());
    if let Some(max_object) = own.filter(|max_object| *max_object.get_ref() > room) {
        let mistake = Mistake::new(format!("`max_object` is larger than any store takes, {}", units::display_bytes(room)));
        let hint = "bodies of that size are never stored; raise `capacity` in [store.memory], or `max_object` in [store.disk]";
        mistakes.warning(max_object.span(), mistake.hint(hint));
    }
    settings
}

/// The parts of an identity where the file names none.
pub(crate) fn default_identity() -> Vec<IdentityPart> {
    vec![IdentityPart::Header(http::header::AUTHORIZATION)]
}

fn set<T: Clone>(target: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        target.clone_from(value);
    }
}

fn spanned<T: Clone>(value: &Option<Spanned<T>>) -> Option<T> {
    value.as_ref().map(|value| value.get_ref().clone())
}

/// The items of a list without their places.
pub(crate) fn items<T>(list: Spanned<Vec<Spanned<T>>>) -> Vec<T> {
    list.into_inner().into_iter().map(Spanned::into_inner).collect()
}

fn namespace(text: &str) -> Result<String, Mistake> {
    let allowed = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if allowed {
        Ok(text.to_owned())
    } else {
        Err(Mistake::new(format!("`{text}` is not a namespace")).hint("letters, digits, `-`, `_` and `.`"))
    }
}

fn identity_part(text: &str) -> Result<IdentityPart, Mistake> {
    let wrong = || {
        Mistake::new(format!("`{text}` is not a part of an identity"))
            .hint("write \"header:NAME\", \"cookie:NAME\", \"query:NAME\", \"jwt:CLAIM\" or \"client-cert\"")
    };
    if text == "client-cert" {
        // The listener removes what clients send under this name, and puts the certificate there that they have shown.
        return Ok(IdentityPart::Header(HeaderName::from_static("client-cert")));
    }
    let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
    if kind == "jwt" {
        return key::claim(name).map(IdentityPart::Claim);
    }
    // Cookie names are tokens (RFC 6265 §4.1.1), just as field names are.
    let header = HeaderName::try_from(name).map_err(|_| wrong())?;
    match kind {
        "query" => parameter(name).map(IdentityPart::Query),
        "header" => Ok(IdentityPart::Header(header)),
        "cookie" => Ok(IdentityPart::Cookie(name.to_owned())),
        _ => Err(wrong()),
    }
}

fn cookie_pattern(text: &str) -> Result<String, Mistake> {
    let is_pattern = match text.split_once('*') {
        None => is_cookie_name(text),
        // A star alone would ignore sessions as well.
        Some((start, end)) => (start.is_empty() || is_cookie_name(start)) && (end.is_empty() || is_cookie_name(end)) && text != "*",
    };
    if is_pattern {
        return Ok(text.to_owned());
    }
    let mistake = Mistake::new(format!("`{text}` is not a pattern for cookie names"));
    Err(mistake.hint(match text {
        "*" => "`cookies = \"ignore\"` is for all of them, where no answer is one user's",
        _ => "a name, with one `*` for any text: \"_ga*\"",
    }))
}

/// `"5/s"`, `"100/m"`, `"1000/h"`.
fn rate(text: &str) -> Result<Rate, Mistake> {
    let parsed = text.split_once('/').and_then(|(count, unit)| {
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        Some(Rate { count: count.trim().parse().ok().filter(|count| *count > 0)?, seconds })
    });
    parsed.ok_or_else(|| Mistake::new(format!("`{text}` is not a rate")).hint("a number from 1 on, and s, m or h: \"5/s\", \"100/m\""))
}

fn parameter(text: &str) -> Result<String, Mistake> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
    if plain {
        Ok(text.to_owned())
    } else {
        Err(Mistake::new(format!("`{text}` is not the name of a query parameter")).hint("letters, digits, `-`, `_`, `.` and `~`"))
    }
}

fn drop_pattern(text: &str) -> Result<String, Mistake> {
    let star = text.find('*').is_none_or(|at| at + 1 == text.len());
    if star && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err(Mistake::new(format!("`{text}` is not a pattern for parameter names")).hint("a name, or a beginning and `*`: \"utm_*\""))
    }
}

/// A network, or one address.
pub(crate) fn network(text: &str) -> Result<IpNet, Mistake> {
    text.parse().or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address))).map_err(|_| {
        Mistake::new(format!("`{text}` is not a network"))
            .hint("write an address and a prefix length: \"10.0.0.0/8\", \"::1/128\", or one address")
    })
}
