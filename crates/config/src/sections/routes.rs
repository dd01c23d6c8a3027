//! `[cache]`, `[classes.NAME]` and `[[routes]]`, resolved into one set of settings for each route.

use std::ops::Range;
use std::sync::Arc;

use http::Method;
use larder_semantics::PathCase;
use larder_semantics::content::ContentKind;
use toml::Spanned;

use crate::model::path::{PathTemplate, foreign_form, regex_form};
use crate::model::purging::tags::{Placeholders, TagTemplate};
use crate::model::{FarTier, KeySpan, RequestMatch, Route, RouteSettings};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::nearest;
use crate::parse::reader::Table;
use crate::sections::alike;
use crate::sections::cache::advice::{self, Chain};
use crate::sections::cache::{Layer, items, naming, resolve};
use crate::sections::matching;

/// The methods a route may list. CONNECT is never forwarded.
pub(crate) const METHODS: [&str; 15] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "REPORT",
    "SEARCH",
    "PURGE",
    "BAN",
];

/// Everything that decides where a request goes and how it is cached.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) routes: Vec<Route>,
    pub(crate) fallback: Option<Route>,
    /// That of `[cache]`.
    pub(crate) namespace: String,
}

/// The defaults that all routes are resolved against.
struct Surroundings<'a> {
    upstreams: &'a [&'a str],
    cache: Layer,
    classes: Vec<(Spanned<&'a str>, Layer)>,
    memory: u64,
    /// The stores behind the memory that there are.
    far: Vec<FarTier>,
    /// Whether there is a section for tokens.
    verifies: bool,
}

/// A route as far as it is right, and where its parts stand.
struct Located {
    route: Route,
    /// The path, or the whole route where it has none.
    span: Range<usize>,
    /// The name, or the header of a route without one.
    name: Range<usize>,
    own: Layer,
}

/// Reads the routes; `upstreams` are the names there are, `memory` is the store's capacity in bytes, `far` are the stores behind it, and tokens
/// are verified or not.
pub(crate) fn read<'a>(root: &mut Table<'a>, upstreams: &'a [&'a str], memory: u64, (far, verifies): (Vec<FarTier>, bool)) -> Routing {
    let mistakes = root.mistakes();
    let cache = root.table("cache").map_or_else(Layer::default, |table| layer(table));
    let classes = root.named_tables("classes").into_iter().map(|(name, table)| (name, layer(table))).collect();
    let around = Surroundings { upstreams, cache, classes, memory, far, verifies };
    let tables = root.tables("routes");
    let placed: Vec<Located> = tables.into_iter().filter_map(|table| around.route(table)).collect();
    let (mut routes, mut spans, mut names, mut own) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for located in placed {
        routes.push(located.route);
        spans.push(located.span);
        names.push(located.name);
        own.push(located.own);
    }
    let settings = resolve(&[&around.cache], memory, mistakes);
    let namespace = settings.key.namespace.clone();
    let mut fallback = (upstreams.len() == 1).then(|| Route::fallback(settings));
    alike::check(&routes, fallback.as_ref(), &spans, &names, mistakes);
    if let Some(route) = &mut fallback {
        route.settings.key_name = naming::resolve(&[&around.cache], route.path.captures(), &route.settings.key.headers, mistakes);
    }
    around.advise(&routes, &own, fallback.as_ref(), mistakes);
    Routing { routes, fallback, namespace }
}

fn layer(mut table: Table<'_>) -> Layer {
    let layer = Layer::read(&mut table);
    table.finish();
    layer
}

impl Route {
    /// Everything to the only upstream.
    pub(crate) fn fallback(settings: RouteSettings) -> Self {
        Self {
            name: Arc::from("default"),
            host: None,
            path: PathTemplate::everything(),
            methods: None,
            matches: None,
            upstream: 0,
            class: None,
            settings,
            tags: Vec::new(),
            span: KeySpan::default(),
        }
    }
}

impl Surroundings<'_> {
    /// The layers' values taken together; `own` are the routes' own ones.
    fn advise(&self, routes: &[Route], own: &[Layer], fallback: Option<&Route>, mistakes: &Mistakes) {
        let class = |route: &Route| self.classes.iter().find(|(name, _)| Some(*name.get_ref()) == route.class.as_deref());
        let layers = |route, own| std::iter::once(&self.cache).chain(class(route).map(|(_, layer)| layer)).chain(own).collect();
        let chains = routes.iter().zip(own).map(|(route, own)| Chain::of(route, layers(route, Some(own))));
        let chains: Vec<Chain<'_>> = chains.chain(fallback.map(|route| Chain::of(route, layers(route, None)))).collect();
        let all = || std::iter::once(&self.cache).chain(self.classes.iter().map(|(_, layer)| layer)).chain(own);
        advice::check(all(), &chains, mistakes);
        all().for_each(|layer| layer.check_claims(self.verifies, mistakes));
        all().for_each(|layer| layer.check_tiers(|tier| self.far.contains(&tier), mistakes));
        if mistakes.any_error() {
            // The route that takes a class may be wrong.
            return;
        }
        for (name, _) in &self.classes {
            if routes.iter().all(|route| route.class.as_deref() != Some(*name.get_ref())) {
                let mistake = Mistake::new(format!("no route takes class `{}`", name.get_ref()));
                mistakes
                    .warning(name.span(), mistake.hint(format!("write class = \"{}\" in a route, or leave the class out", name.get_ref())));
            }
        }
    }

    /// `None` if the route has no usable path; everything else is noted and filled in.
    fn route(&self, mut table: Table<'_>) -> Option<Located> {
        let whole = table.span();
        table.require("path", "add path = \"/api/{*rest}\"");
        let path = table.parse("path", "a path in quotes, like \"/issues/{id}\"", PathTemplate::parse);
        let name = table.parse("name", "a name in quotes", route_name);
        let host = table.parse("host", "a host name in quotes", host_name).map(Spanned::into_inner);
        let methods = methods(&mut table);
        let matches = matching::read(&mut table);
        let upstream = self.upstream(&mut table);
        let class = self.class(&mut table);
        let typename = typename(&mut table);
        let tags = if typename.is_some() { Vec::new() } else { self.tags(&mut table, path.as_ref().map(Spanned::get_ref)) };
        let own = Layer::read(&mut table);
        let mistakes = table.mistakes();
        table.finish();
        let layers: Vec<&Layer> = std::iter::once(&self.cache).chain(class.map(|(_, layer)| layer)).chain([&own]).collect();
        let mut settings = resolve(&layers, self.memory, mistakes);
        typename.into_iter().for_each(|span| tag_types(&mut settings, span, mistakes));
        let path = path?;
        settings.key_name = naming::resolve(&layers, path.get_ref().captures(), &settings.key.headers, mistakes);
        if let Some(form) = foreign_form(path.get_ref().text()) {
            let mistake = Mistake::new(format!("`{}` is taken letter by letter", path.get_ref().text()));
            mistakes.warning(path.span(), mistake.hint(format!("for any text write {form}")));
        } else if let Some(piece) = regex_form(path.get_ref().text()) {
            let mistake = Mistake::new(format!("`{piece}` in `{}` is taken letter by letter", path.get_ref().text()));
            mistakes.warning(
                path.span(),
                mistake.hint("a path is no regular expression: {name} stands for one segment, {*rest} for everything to the end"),
            );
        }
        if settings.compress.is_some() && tags.iter().any(|tag: &TagTemplate| tag.members().1.next().is_some()) {
            let mistake = Mistake::new("`compress` does nothing on this route: its `tags` are read in the answers");
            mistakes.warning(path.span(), mistake.hint("write compress = false here to say that it is meant"));
        }
        let span = path.span();
        let path = path.into_inner();
        let name_span = name.as_ref().map(Spanned::span);
        let name = name.map_or_else(|| derived_name(methods.as_deref(), host.as_deref(), &path, matches.as_ref()), Spanned::into_inner);
        let host_mark = host.as_deref().filter(|_| !settings.key.host);
        let way_mark = (settings.key.path == PathCase::Lower).then(|| self.way(upstream.unwrap_or_default(), &settings)).flatten();
        settings.key.route = key_mark(&name, host_mark, way_mark.as_deref(), matches.as_ref());
        let class = class.map(|(name, _)| Arc::from(name));
        let route = Route {
            name: Arc::from(name),
            host,
            path,
            methods,
            matches,
            upstream: upstream.unwrap_or_default(),
            class,
            settings,
            tags,
            span: KeySpan(Some(span.clone())),
        };
        Some(Located { route, span, name: name_span.unwrap_or(whole), own })
    }

    /// Where a route's requests go, as far as that may be elsewhere than another's go.
    fn way(&self, upstream: usize, settings: &RouteSettings) -> Option<String> {
        let upstream = self.upstreams.get(upstream).filter(|_| self.upstreams.len() > 1).map(|name| format!("@{name}"));
        let rewrite = settings.rewrite.as_ref().map(|rewrite| format!("@{}>{}", rewrite.strip_prefix, rewrite.add_prefix));
        let parts: Vec<String> = upstream.into_iter().chain(rewrite).collect();
        (!parts.is_empty()).then(|| parts.concat())
    }

    /// The named upstream, or the only one there is.
    fn upstream(&self, table: &mut Table<'_>) -> Option<usize> {
        if self.upstreams.len() != 1 && !self.upstreams.is_empty() {
            table.require("upstream", &format!("there are several: {}", nearest::list(self.upstreams.iter().copied())));
        }
        let find = |text: &str| {
            self.upstreams.iter().position(|name| *name == text).ok_or_else(|| {
                let hint = match self.upstreams {
                    [] => format!("add [upstreams.{text}] with a url"),
                    known => nearest::hint(text, known.iter().copied(), "known upstreams"),
                };
                Mistake::new(format!("unknown upstream `{text}`")).hint(hint)
            })
        };
        let named = table.parse("upstream", "the name of an upstream in quotes", find).map(Spanned::into_inner);
        named.or((self.upstreams.len() == 1).then_some(0))
    }

    fn class(&self, table: &mut Table<'_>) -> Option<(&str, &Layer)> {
        let find = |text: &str| {
            self.classes.iter().find(|(name, _)| *name.get_ref() == text).map(|(name, layer)| (*name.get_ref(), layer)).ok_or_else(|| {
                let hint = match self.classes.as_slice() {
                    [] => format!("there are no classes; add [classes.{text}]"),
                    known => nearest::hint(text, known.iter().map(|(name, _)| *name.get_ref()), "known classes"),
                };
                Mistake::new(format!("unknown class `{text}`")).hint(hint)
            })
        };
        table.parse("class", "the name of a class in quotes", find).map(Spanned::into_inner)
    }

    /// Without a usable path the named parts are unknown, so the tags are not looked at.
    fn tags(&self, table: &mut Table<'_>, path: Option<&PathTemplate>) -> Vec<TagTemplate> {
        let Some(path) = path else {
            table.get("tags");
            return Vec::new();
        };
        let form = "strings like \"issues\" or \"project:{query.project}\"";
        let places = Placeholders { of: "this route's path", names: path.captures(), sources: Placeholders::ROUTE };
        table.list("tags", form, |text| TagTemplate::parse(text, places)).map(items).unwrap_or_default()
    }
}

/// The place of `tags = "typename"`.
fn typename(table: &mut Table<'_>) -> Option<Range<usize>> {
    let value = table.get("tags")?;
    (value.get_ref().as_str() == Some("typename")).then(|| value.span())
}

/// Lets answers have the names of their types and objects as tags.
fn tag_types(settings: &mut RouteSettings, span: Range<usize>, mistakes: &Mistakes) {
    match &mut settings.content {
        Some(rules) if rules.kind == ContentKind::GraphQl => rules.tags_types = true,
        _ => {
            let mistake = Mistake::new("`tags = \"typename\"` is read in answers of GraphQL, which this route does not know");
            mistakes.error(span, mistake.hint("add read = true and key = { body = \"graphql\" }"));
        }
    }
}

pub(crate) fn methods(table: &mut Table<'_>) -> Option<Vec<Method>> {
    let list = table.list("methods", "strings like \"GET\"", |text| {
        let known = METHODS.contains(&text).then(|| text.parse().ok()).flatten();
        known.ok_or_else(|| {
            let hint = match text {
                "CONNECT" => "Larder is no tunnel: CONNECT is always refused".to_owned(),
                _ => nearest::hint(text, METHODS, "leave `methods` out for every method, or use"),
            };
            Mistake::new(format!("unknown method `{text}`")).hint(hint)
        })
    })?;
    if list.get_ref().is_empty() {
        table.mistakes().error(list.span(), Mistake::new("`methods` names no method").hint("leave it out for every method"));
        return None;
    }
    Some(items(list))
}

fn route_name(text: &str) -> Result<String, Mistake> {
    if text == "-" {
        // Metrics and logs.
        return Err(Mistake::new("`-` stands for requests without a route").hint("leave `name` out to derive one from the path"));
    }
    let allowed =
        !text.is_empty() && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if allowed {
        Ok(text.to_owned())
    } else {
        Err(Mistake::new(format!("`{text}` is not a name for a route"))
            .hint("one word of at most 128 ASCII characters without quotes: \"issue.list\""))
    }
}

pub(crate) fn host_name(text: &str) -> Result<String, Mistake> {
    let wrong = |hint: &str| Err(Mistake::new(format!("`{text}` is not a host name")).hint(hint));
    let ipv6 =
        text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    if ipv6 {
        return Ok(text.to_ascii_lowercase());
    }
    if text.contains("://") || text.contains('/') {
        return wrong("give the host alone, like \"api.example.com\"");
    }
    if text.contains('*') {
        return wrong("wildcards are not supported; leave `host` out for every host, or write a route for each");
    }
    if text.contains(':') {
        return wrong("leave the port out: a route matches its host on every port");
    }
    if text.is_empty() || text.ends_with('.') || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return wrong("letters, digits, `-` and `.`; other alphabets in their xn-- form");
    }
    Ok(text.to_ascii_lowercase())
}

/// What stands in keys for a route that takes only some of the requests that would have its key otherwise: its conditions, besides its name since
/// these may change; its `host`, where the rest of the key has none; and its `way`, where keys have paths in lower case, since routes have not.
/// Others have another upstream, or other rules.
fn key_mark(name: &str, host: Option<&str>, way: Option<&str>, matches: Option<&RequestMatch>) -> Option<Box<str>> {
    let conditions = matches.map(|matches| format!("{name}:{}", matching::digest(matches)));
    let host = host.map(|host| format!("//{host}"));
    let parts: Vec<String> = conditions.into_iter().chain(host).chain(way.map(str::to_owned)).collect();
    (!parts.is_empty()).then(|| parts.concat().into())
}

/// Unique among routes that are not alike: `GET,HEAD api.example.com/issues?v=2 x-api:2`.
fn derived_name(methods: Option<&[Method]>, host: Option<&str>, path: &PathTemplate, matches: Option<&RequestMatch>) -> String {
    let methods = methods.map(|methods| methods.iter().map(Method::as_str).collect::<Vec<_>>().join(",") + " ");
    let matches = matches.map(matching::as_name);
    format!("{}{}{}{}", methods.unwrap_or_default(), host.unwrap_or_default(), path.text(), matches.unwrap_or_default())
}
