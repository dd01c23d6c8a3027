//! `[[on_write]]`: the targets that one request invalidates.

use std::sync::{Arc, OnceLock, Weak};

use http::request::Parts;
use larder_semantics::content::Operation;
use larder_semantics::matches_pattern;
use larder_semantics::{KeyRules, Target};
use larder_store::InvalidationTarget;
use larder_tower::{FetchError, Invalidates, Operations, Refetch, RouteRules, WriteRules};

use super::KeySpellings;
use super::in_force::InForce;
use super::url_base::{UrlBase, refetch};
use super::waiting::{Waiting, WaitingTemplate, waits};
use crate::config::{Config, OnWrite, PurgeTemplate, Route, TagTemplate};
use crate::path_matcher::PathMatcher;
use crate::path_reading;
use crate::routing::RouteTable;
use crate::routing::host_of;
use crate::routing::tagging::Values;
use crate::upstream::UpstreamError;

/// All `[[on_write]]` sections, ready to be matched.
#[derive(Debug)]
pub(crate) struct Writes {
    rules: Vec<Rule>,
    /// One for each way in which routes tell clients apart.
    identities: Vec<KeyRules>,
    spellings: KeySpellings,
    /// The routes, which have these rules in turn.
    routes: OnceLock<Weak<RouteTable>>,
    in_force: InForce,
}

#[derive(Debug)]
struct Rule {
    settings: OnWrite,
    path: PathMatcher,
}

impl Writes {
    /// Those of a configuration that takes the place of one with the rules `before`, where there is one.
    pub(crate) fn new(config: &Config, before: Option<&Self>) -> Result<Self, matchit::InsertError> {
        let rule = |settings: &OnWrite| Ok(Rule { settings: settings.clone(), path: PathMatcher::new(&settings.path)? });
        let mut identities: Vec<KeyRules> = Vec::new();
        for Route { settings, .. } in config.routes.iter().chain(&config.fallback) {
            if !settings.key.identity.is_empty() && !identities.iter().any(|known| known.identity == settings.key.identity) {
                identities.push(settings.key.clone());
            }
        }
        let rules = config.on_write.iter().map(rule).collect::<Result<_, _>>()?;
        let in_force = before.map(|before| before.in_force.clone()).unwrap_or_default();
        Ok(Self { rules, identities, spellings: KeySpellings::of(config), routes: OnceLock::new(), in_force })
    }

    /// Tells the routes apart that URLs belong to from now on.
    pub(crate) fn follow(self: &Arc<Self>, routes: &Arc<RouteTable>) {
        // They are made once, right after these rules.
        let _ = self.routes.set(Arc::downgrade(routes));
        self.in_force.take_place(self);
    }

    pub(super) fn routes(&self) -> Option<Arc<RouteTable>> {
        self.routes.get().and_then(Weak::upgrade)
    }

    /// The rules that have taken the place of these, where some have.
    fn successor(&self) -> Option<Arc<Self>> {
        self.in_force.get().filter(|current| !std::ptr::eq(&**current, self))
    }

    /// The captures of a rule's path, and where tags may have them in lower case, those too.
    fn captures(&self, rule: &Rule, request: &Parts, target: Target<'_>) -> Vec<Vec<String>> {
        let mut all = rule.suits(request, target);
        if self.spellings.in_lower_case() {
            let lower = |captures: &Vec<String>| captures.iter().map(|capture| capture.to_ascii_lowercase()).collect();
            let lower: Vec<Vec<String>> = all.iter().map(lower).filter(|captures| !all.contains(captures)).collect();
            all.extend(lower);
        }
        all
    }

    fn refreshes(&self, request: &Parts, target: Target<'_>) -> bool {
        self.rules.iter().any(|rule| rule.settings.refresh && !rule.suits(request, target).is_empty())
    }

    fn identities(&self, request: &Parts) -> impl Iterator<Item = InvalidationTarget> {
        self.identities
            .iter()
            .filter_map(|rules| rules.identity_of(&request.headers, request.uri.query()))
            .map(InvalidationTarget::Identity)
    }
}

impl Rule {
    /// The captures of its path in each of the path's readings, where it is for this write.
    fn suits(&self, request: &Parts, target: Target<'_>) -> Vec<Vec<String>> {
        let Self { settings, path } = self;
        let host = host_of(target.authority);
        let suits = (settings.operation.is_none() || self.operations(request).next().is_some())
            && settings.methods.contains(&request.method)
            && settings.host.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(host));
        if suits { path.captures_in_any_reading(target.path) } else { Vec::new() }
    }

    /// What it purges: templates with variables once for each of the operations, the others once.
    fn templates<'a>(&'a self, request: &'a Parts) -> impl Iterator<Item = (&'a PurgeTemplate, Option<&'a Operation>)> {
        self.settings.purge.iter().flat_map(move |template| {
            let has_variables = template.template().is_some_and(TagTemplate::has_variables);
            let each = self.operations(request).filter(move |_| has_variables).map(Some);
            each.chain((!has_variables).then_some(None)).map(move |operation| (template, operation))
        })
    }

    /// The operations of this write that it is for. One that is not known may be any.
    fn operations<'a>(&'a self, request: &'a Parts) -> impl Iterator<Item = &'a Operation> {
        let wanted = self.settings.operation.as_deref().unwrap_or("*");
        let all = request.extensions.get::<Operations>().map_or(&[][..], |Operations(all)| all);
        all.iter().filter(move |operation| operation.may_be(|name| matches_pattern(wanted, name.as_bytes())))
    }
}

impl WriteRules for Writes {
    /// A template that cannot be filled in is left out: `prefix:/projects/` would purge responses that have nothing in common.
    fn invalidates(&self, request: &Parts, target: Target<'_>) -> Invalidates {
        let mut made = Invalidates::default();
        let mut waiting = Vec::new();
        let routes = self.routes();
        made.keeps = routes.clone().map(|routes| routes as _);
        let base = UrlBase {
            scheme: target.scheme.into(),
            authority: target.authority.into(),
            routes,
            in_force: self.in_force.clone(),
            tags_in_lower_case: self.spellings.in_lower_case(),
        };
        // Which of them the origin has changed is not known.
        let others = path_reading::readings(target.path).into_iter().filter(|reading| *reading != target.path);
        made.known.extend(others.flat_map(|reading| base.urls(Target { path: &reading, ..target })));
        let suiting =
            self.rules.iter().flat_map(|rule| self.captures(rule, request, target).into_iter().map(move |captures| (rule, captures)));
        for (rule, captures) in suiting {
            let captures: Arc<[String]> = captures.into();
            for (template, operation) in rule.templates(request) {
                if waits(template) {
                    waiting.push(WaitingTemplate {
                        template: template.clone(),
                        captures: Arc::clone(&captures),
                        operation: operation.cloned(),
                    });
                    continue;
                }
                if matches!(template, PurgeTemplate::Identity) {
                    made.known.extend(self.identities(request));
                }
                let captures: Vec<&str> = captures.iter().map(String::as_str).collect();
                let values = Values { request: Some(request), operation, captures: &captures, ..Values::default() };
                made.known.extend(base.targets(template, values));
            }
        }
        if !waiting.is_empty() {
            let refresh = self.refreshes(request, target);
            made.by_bodies = Some(Box::new(Waiting::new(waiting, request.clone(), base, refresh)));
        }
        made
    }

    fn never_arrived(&self, error: &FetchError) -> bool {
        error.downcast_ref::<UpstreamError>().is_some_and(UpstreamError::never_connected)
    }

    fn invalidates_since(&self, request: &Parts, target: Target<'_>) -> Vec<InvalidationTarget> {
        self.successor().map(|rules| rules.invalidates(request, target).known).unwrap_or_default()
    }

    /// Under those of before and, after a reload, those in force: both have stored what the write makes old.
    fn readings(&self, target: Target<'_>) -> Vec<Arc<RouteRules>> {
        let all = [self.routes(), self.successor().and_then(|rules| rules.routes())].into_iter().flatten();
        let services = |routes: Arc<RouteTable>| -> Vec<Arc<RouteRules>> {
            routes.all(&http::Method::GET, target).into_iter().map(|service| Arc::clone(service.route())).collect()
        };
        all.flat_map(services).collect()
    }

    fn refetch(&self, request: &Parts, target: Target<'_>, old: &[InvalidationTarget]) -> Vec<Refetch> {
        if let Some(rules) = self.successor() {
            return rules.refetch(request, target, old);
        }
        let routes = self.routes().filter(|_| self.refreshes(request, target));
        routes.map(|routes| refetch(&routes, request, old)).unwrap_or_default()
    }
}

/// What a template names; a tag also with all values in lower case where `in_lower_case` says that some route's tags have them so.
pub(super) fn named(template: &PurgeTemplate, values: Values<'_>, in_lower_case: bool) -> impl Iterator<Item = InvalidationTarget> {
    let as_sent = named_as_sent(template, values);
    let is_tag = in_lower_case && matches!(template, PurgeTemplate::Tag(_));
    let lower = is_tag.then(|| named_as_sent(template, Values { in_lower_case, ..values })).flatten();
    let lower = lower.filter(|lower| as_sent.as_ref() != Some(lower));
    as_sent.into_iter().chain(lower)
}

fn named_as_sent(template: &PurgeTemplate, values: Values<'_>) -> Option<InvalidationTarget> {
    let fill = |template| values.fill(template).ok().flatten();
    match template {
        PurgeTemplate::Tag(tag) => values.fill_tag(tag).map(InvalidationTarget::Tag),
        PurgeTemplate::Route(name) => fill(name).map(InvalidationTarget::Route),
        PurgeTemplate::Class(name) => fill(name).map(InvalidationTarget::Class),
        PurgeTemplate::Namespace(name) => fill(name).map(InvalidationTarget::Namespace),
        PurgeTemplate::All => Some(InvalidationTarget::All),
        PurgeTemplate::Url(_) | PurgeTemplate::Prefix(_) | PurgeTemplate::Identity => None,
    }
}

#[cfg(test)]
mod tests;
