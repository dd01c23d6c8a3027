//! What clients keep of a response while it is purged here: a purge does not reach them.

use std::time::Duration;

use http::Method;
use larder_semantics::{ClientTtl, Scope};
use toml::Spanned;

use crate::model::purging::tag_shape::may_meet;
use crate::model::purging::tags::{TagPart, TagTemplate};
use crate::model::{PurgeTemplate, Route};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::units;

/// Warns where clients are told to keep answers of a route that a write purges. Where only the origin tells them so, that is not known here.
pub(super) fn check(template: &Spanned<PurgeTemplate>, routes: &[&Route], mistakes: &Mistakes) {
    let reached = routes.iter().filter(|route| reaches(template.get_ref(), route) && !is_taken_before(template.get_ref(), route, routes));
    let kept = reached.filter_map(|route| Some((route, kept_for(route)?)));
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

/// Whether a more specific path takes every GET for the URL that is purged, so that the route has no response under it.
fn is_taken_before(template: &PurgeTemplate, route: &Route, routes: &[&Route]) -> bool {
    let PurgeTemplate::Url(url) = template else { return false };
    let takes_all = |route: &Route| {
        let takes_get = route.methods.as_ref().is_none_or(|methods| methods.contains(&Method::GET));
        route.host.is_none() && route.matches.is_none() && takes_get
    };
    if route.host.is_some() || route.matches.is_some() {
        return false;
    }
    let mut router = matchit::Router::new();
    for other in routes.iter().filter(|other| takes_all(other)) {
        // Routes for the same path that differ in their methods are of one shape.
        let _ = router.insert(other.path.shape(), other.path.shape());
    }
    router.at(path_of(&sample(url))).is_ok_and(|taken| *taken.value != route.path.shape())
}

/// A text that a template comes to.
pub(super) fn sample(template: &TagTemplate) -> String {
    let text = |part: &TagPart| if let TagPart::Literal(text) = part { text.clone() } else { "x".to_owned() };
    template.parts().iter().map(text).collect()
}

/// Whether a URL's path matches that of the route. A more specific route may take it all the same.
fn takes(route: &Route, url: &str) -> bool {
    let mut router = matchit::Router::new();
    router.insert(route.path.shape(), ()).is_ok() && router.at(path_of(url)).is_ok()
}

/// The path of a URL, or of what begins with a path.
fn path_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("", |start| &after_scheme[start..]);
    path.split(['?', '#']).next().unwrap_or_default()
}
