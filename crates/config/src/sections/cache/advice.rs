//! What stands in a file and does nothing, or something else than was probably meant.

use std::ops::Range;

use http::Method;
use larder_semantics::{CookiePolicy, Policy, Scope, TtlMode};
use toml::Spanned;

use super::{Layer, content, default_identity, items, models};
use crate::model::path::PathTemplate;
use crate::model::{Route, RouteSettings};
use crate::parse::mistake::{Mistake, Mistakes};

/// One chain of layers, the most general first, and what came of it: for a route, or for what takes none.
pub(crate) struct Chain<'a> {
    pub(crate) layers: Vec<&'a Layer>,
    pub(crate) settings: &'a RouteSettings,
    /// Whether it takes every path that no other route takes.
    pub(crate) takes_the_rest: bool,
    pub(crate) methods: Option<&'a [Method]>,
}

impl<'a> Chain<'a> {
    pub(crate) fn of(route: &'a Route, layers: Vec<&'a Layer>) -> Self {
        let takes_the_rest = route.path.shape() == PathTemplate::everything().shape();
        Self { layers, settings: &route.settings, takes_the_rest, methods: route.methods.as_deref() }
    }

    fn has(&self, layer: &Layer) -> bool {
        self.layers.iter().any(|own| std::ptr::eq(*own, layer))
    }

    /// The place of a key, where the nearest layer says it.
    fn span_of<T>(&self, said: impl Fn(&Layer) -> Option<&Spanned<T>>) -> Option<Range<usize>> {
        self.layers.iter().rev().find_map(|layer| said(layer).map(Spanned::span))
    }
}

/// Looks at all layers, and at what comes of them together: a layer that no route makes use of is not thereby wrong.
pub(crate) fn check<'a>(layers: impl Iterator<Item = &'a Layer>, chains: &[Chain<'_>], mistakes: &Mistakes) {
    for layer in layers {
        let chains = || chains.iter().filter(|chain| chain.has(layer));
        if chains().next().is_none() {
            continue;
        }
        if let Some(identity) = &layer.identity
            && items(identity.clone()) != default_identity()
            && chains().all(|chain| chain.settings.policy.scope != Scope::Identity)
        {
            let mistake = Mistake::new("`identity` without `scope = \"identity\"` keeps nobody's responses apart");
            mistakes.error(identity.span(), mistake.hint("add scope = \"identity\", or leave `identity` out"));
        }
        let kinds: Vec<_> = chains().filter_map(|chain| chain.settings.content.as_ref()).map(|rules| rules.kind).collect();
        models::look_at_layer(layer, !kinds.iter().any(|kind| kind.is_model()), mistakes);
        if chains().all(|chain| !chain.settings.policy.record_streams) {
            models::look_at_layer_without_streams(layer, mistakes);
        }
        look_at_refreshing(layer, chains, mistakes);
        content::look_at_layer(layer, &kinds, mistakes);
        if let Some(window) = &layer.lifetimes.stale_while_revalidate
            && *window.get_ref() > 0
            && chains().all(|chain| chain.layers.iter().all(|layer| layer.lifetimes.ttl.is_none()))
        {
            let mistake = Mistake::new("`stale_while_revalidate` without a `ttl` counts only where the backend names a lifetime");
            mistakes.warning(window.span(), mistake.hint("give a `ttl`, if only \"0s\" to say that it is meant"));
        }
    }
    chains.iter().for_each(|chain| look_at(chain, mistakes));
}

/// Keys that count only beside others, where no route has the others.
fn look_at_refreshing<'c, C>(layer: &Layer, chains: impl Fn() -> C, mistakes: &Mistakes)
where
    C: Iterator<Item = &'c Chain<'c>>,
{
    let lifetimes = &layer.lifetimes;
    let is_off = || chains().all(|chain| chain.settings.policy.refresh_ahead.is_none());
    let refined = lifetimes.refresh_ahead_hits.as_ref().filter(|hits| *hits.get_ref() > 1).map(|hits| ("refresh_ahead_hits", hits.span()));
    let jitter = lifetimes.refresh_jitter.as_ref().filter(|jitter| *jitter.get_ref()).map(|jitter| ("refresh_jitter", jitter.span()));
    for (key, span) in refined.into_iter().chain(jitter).filter(|_| is_off()) {
        let mistake = Mistake::new(format!("`{key}` without `refresh_ahead` does nothing"));
        mistakes.warning(span, mistake.hint("add refresh_ahead = 0.8"));
    }
    let slow = lifetimes.stale_if_slow.as_ref().filter(|slow| *slow.get_ref() > 0).map(|slow| ("stale_if_slow", slow.span()));
    let full = lifetimes.stale_if_overloaded.as_ref().filter(|full| *full.get_ref()).map(|full| ("stale_if_overloaded", full.span()));
    let has_none = || chains().all(|chain| chain.settings.policy.stale_if_error == 0);
    for (key, span) in slow.into_iter().chain(full).filter(|_| has_none()) {
        let mistake = Mistake::new(format!("`{key}` without `stale_if_error` counts only where the backend sends stale-if-error"));
        mistakes.warning(span, mistake.hint("add stale_if_error = \"10m\": that long a stale response may be served"));
    }
}

fn look_at(chain: &Chain<'_>, mistakes: &Mistakes) {
    let policy = &chain.settings.policy;
    let is_shared = chain.settings.cache && policy.ttl > 0 && policy.scope == Scope::Public;
    if is_shared
        && chain.takes_the_rest
        && policy.cookies == CookiePolicy::Ignore
        && let Some(span) = chain.span_of(|layer| layer.cookies.as_ref())
    {
        let mistake = Mistake::new("`cookies = \"ignore\"` with a `ttl` for every path may hand one session's page to another");
        mistakes.warning(span, mistake.hint("say so on the routes whose answers are the same for everyone"));
    }
    look_at_lifetimes(chain, mistakes);
    content::look_at(chain, mistakes);
    let by_content = |method: &Method| {
        let rules = chain.settings.content.as_ref();
        rules.is_some_and(|rules| method.as_str() == "QUERY" || (rules.post && *method == Method::POST))
    };
    let reads = |methods: &[Method]| methods.iter().any(|method| [Method::GET, Method::HEAD].contains(method) || by_content(method));
    if let (Some(methods), Some(own)) = (chain.methods, chain.layers.last())
        && !reads(methods)
        && let Some(ttl) = own.lifetimes.ttl.as_ref().filter(|ttl| ttl.get_ref().longest() > 0)
    {
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        let mistake = Mistake::new(format!("a `ttl` for {} keeps nothing: the key has no body in it", names.join(" and ")));
        mistakes.warning(
            ttl.span(),
            mistake.hint(
                "GET and HEAD are answered from the cache, and a POST that only reads with read = true and key = { body = \"json\" }",
            ),
        );
    }
}

/// Lifetimes that come to nothing beside others.
fn look_at_lifetimes(chain: &Chain<'_>, mistakes: &Mistakes) {
    let policy = &chain.settings.policy;
    let longest = policy.longest_ttl();
    if let Some(span) = chain.span_of(|layer| layer.lifetimes.max_ttl.as_ref())
        && policy.max_ttl.is_some_and(|max| longest > max)
    {
        let mistake = Mistake::new("this `max_ttl` is shorter than the `ttl`, which is never reached");
        mistakes.warning(span, mistake.hint("no lifetime is longer than `max_ttl`, whoever names it"));
    }
    if let Some(span) = chain.span_of(|layer| layer.lifetimes.sliding_max.as_ref()) {
        let (mistake, hint) = match policy.ttl_mode {
            TtlMode::Sliding if policy.sliding_max > longest => return,
            TtlMode::Default | TtlMode::Cap | TtlMode::Override if policy.sliding_max == Policy::default().sliding_max => return,
            TtlMode::Sliding => ("this `sliding_max` is no longer than the `ttl`, so that no use extends it", "make it longer than `ttl`"),
            _ => ("`sliding_max` counts with `ttl_mode = \"sliding\"` only", "add that, or leave it out"),
        };
        mistakes.warning(span, Mistake::new(mistake).hint(hint));
    }
}
