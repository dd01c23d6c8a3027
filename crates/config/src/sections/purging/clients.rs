//! What clients keep of a response while it is purged here: a purge does not reach them.

use std::time::Duration;

use larder_semantics::{ClientTtl, Scope};
use toml::Spanned;

use crate::model::purging::tag_shape::may_meet;
use crate::model::purging::tags::{TagPart, TagTemplate};
use crate::model::{PurgeTemplate, Route};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::units;

/// Warns where clients are told to keep answers of a route that a write purges. Where only the origin tells them so, that is not known here.
pub(super) fn check(template: &Spanned<PurgeTemplate>, routes: &[&Route], mistakes: &Mistakes) {
    let kept = routes.iter().filter(|route| reaches(template.get_ref(), route)).filter_map(|route| Some((route, kept_for(route)?)));
    let Some((route, seconds)) = kept.max_by_key(|(_, seconds)| *seconds) else { return };
    let length = units::display_duration(Duration::from_secs(seconds.into()));
    let mistake = Mistake::new(format!("clients keep answers of route `{}` for up to {length}, and no purge reaches them", route.name));
    let hint = "`client_ttl = \"0s\"` on the route makes clients ask each time; `etag = \"body\"` answers most of them with a 304";
    mistakes.warning(template.span(), mistake.hint(hint));
}

/// How long clients keep what the route gives a lifetime, in seconds.
fn kept_for(route: &Route) -> Option<u32> {
    let policy = &route.settings.policy;
    let given = policy.max_ttl.map_or(policy.longest_ttl(), |max| max.min(policy.longest_ttl()));
    let seconds = match policy.client_ttl {
        ClientTtl::Route => given,
        ClientTtl::Origin => 0,
        ClientTtl::Fixed(seconds) => seconds,
    };
    (route.settings.cache && seconds > 0).then_some(seconds)
}

/// Whether a purge may be about responses of the route. A prefix may be about any path below it, so it is not looked at.
fn reaches(template: &PurgeTemplate, route: &Route) -> bool {
    let is = |named: &TagTemplate, name: &str| matches!(named.parts(), [TagPart::Literal(literal)] if literal == name);
    match template {
        PurgeTemplate::Tag(tag) => route.tags.iter().any(|given| may_meet(given, tag)),
        PurgeTemplate::Route(name) => is(name, &route.name),
        PurgeTemplate::Class(name) => route.class.as_deref().is_some_and(|class| is(name, class)),
        PurgeTemplate::Namespace(name) => is(name, &route.settings.key.namespace),
        PurgeTemplate::Url(url) => takes(route, &sample(url)),
        PurgeTemplate::Identity => route.settings.policy.scope == Scope::Identity,
        PurgeTemplate::Prefix(_) => false,
        PurgeTemplate::All => true,
    }
}

/// A text that a template comes to.
pub(super) fn sample(template: &TagTemplate) -> String {
    let text = |part: &TagPart| if let TagPart::Literal(text) = part { text.clone() } else { "x".to_owned() };
    template.parts().iter().map(text).collect()
}

/// Whether a path matches that of the route. A more specific route may take it all the same.
fn takes(route: &Route, url: &str) -> bool {
    let after_host = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    let path = after_host.map_or_else(|| url.to_owned(), |(_, path)| format!("/{path}"));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut router = matchit::Router::new();
    router.insert(route.path.shape(), ()).is_ok() && router.at(path).is_ok()
}
