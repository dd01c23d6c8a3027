//! `[[on_write]]` and `[[on_event]]`: what makes which stored responses old.

use http::Method;
use larder_store::TagCascade;
use toml::Spanned;

use super::clients::{self, sample};
use crate::model::path::PathTemplate;
use crate::model::purging::tag_shape::may_meet;
use crate::model::purging::tags::{Placeholders, TagPart, TagTemplate};
use crate::model::{NAME_TAG, OnEvent, OnWrite, PurgeTemplate, ResponseTags, Route};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::nearest;
use crate::parse::reader::Table;
use crate::sections::routes::{host_name, methods};

const KINDS: [&str; 8] = ["tag:", "url:", "prefix:", "route:", "class:", "namespace:", "identity", "all"];

impl PurgeTemplate {
    /// `absolute`: whether a URL has scheme and host.
    fn parse(text: &str, places: Placeholders<'_>, absolute: bool) -> Result<Self, Mistake> {
        let template = |rest: &str| TagTemplate::parse(rest, places);
        match text.split_once(':') {
            None if text == "identity" => Ok(Self::Identity),
            None if text == "all" => Ok(Self::All),
            Some(("tag", rest)) => template(rest).map(Self::Tag),
            Some(("route", rest)) => template(rest).map(Self::Route),
            Some(("class", rest)) => template(rest).map(Self::Class),
            Some(("namespace", rest)) => template(rest).map(Self::Namespace),
            Some(("url", rest)) if !rest.contains('#') && absolute == is_absolute(rest) && (absolute || rest.starts_with('/')) => {
                template(rest).map(Self::Url)
            }
            Some(("url", rest)) if absolute => {
                Err(Mistake::new(format!("`{rest}` is not an absolute URL")).hint("like \"url:https://api.example.com/issues/{id}\""))
            }
            Some(("url", rest)) => Err(Mistake::new(format!("`{rest}` is not the path of a URL"))
                .hint("like \"url:/api/v1/issues/{id}\", of the host that is written to")),
            Some(("prefix", rest)) if rest.starts_with('/') && !rest.contains(['?', '#']) => template(rest).map(Self::Prefix),
            Some(("prefix", rest)) => {
                Err(Mistake::new(format!("prefix `{rest}` is not a path")).hint("like \"prefix:/api/v1/projects/{id}\""))
            }
            _ => Err(Mistake::new(format!("`{text}` does not say what to purge"))
                .hint(format!("it begins with one of {}: \"tag:issue:{{id}}\"", nearest::quoted(KINDS)))),
        }
    }

    /// The kind and the name, where it is one that the file gives elsewhere.
    fn reference(&self) -> Option<(&'static str, &str)> {
        let (kind, template) = match self {
            Self::Route(template) => ("route", template),
            Self::Class(template) => ("class", template),
            Self::Namespace(template) => ("namespace", template),
            Self::Tag(_) | Self::Url(_) | Self::Prefix(_) | Self::Identity | Self::All => return None,
        };
        match template.parts() {
            [TagPart::Literal(name)] => Some((kind, name)),
            _ => None,
        }
    }
}

fn is_absolute(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme))
}

/// The names that a template may refer to.
pub(crate) struct Names<'a> {
    all: Vec<&'a Route>,
    routes: Vec<&'a str>,
    classes: Vec<&'a str>,
    namespaces: Vec<&'a str>,
    /// The tags that routes give; `None` where the backend names others.
    tags: Option<Vec<&'a TagTemplate>>,
    /// Whether what is stored has names, which are tags too.
    has_key_names: bool,
    cascade: &'a TagCascade,
}

impl<'a> Names<'a> {
    pub(crate) fn of(routes: &'a [Route], fallback: Option<&'a Route>, tags: &'a ResponseTags) -> Self {
        let all = || routes.iter().chain(fallback);
        Self {
            all: all().collect(),
            routes: all().map(|route| &*route.name).collect(),
            classes: all().filter_map(|route| route.class.as_deref()).collect(),
            namespaces: all().map(|route| route.settings.key.namespace.as_str()).collect(),
            tags: (tags.from.is_empty() && !all().any(|route| route.tags_types())).then(|| all().flat_map(|route| &route.tags).collect()),
            has_key_names: all().any(|route| route.settings.key_name.is_some()),
            cascade: &tags.cascade,
        }
    }

    /// A misspelt name would silently purge nothing.
    fn check(&self, templates: &[Spanned<PurgeTemplate>], mistakes: &Mistakes) {
        for template in templates {
            self.check_tag(template, mistakes);
            clients::check(template, &self.all, mistakes);
            let Some((kind, name)) = template.get_ref().reference() else { continue };
            let known = match kind {
                "route" => &self.routes,
                "class" => &self.classes,
                _ => &self.namespaces,
            };
            if !known.contains(&name) {
                let hint = nearest::hint(name, known.iter().copied(), "there are");
                mistakes.error(template.span(), Mistake::new(format!("there is no {kind} `{name}`")).hint(hint));
            }
        }
    }
}

impl Names<'_> {
    /// A tag that nothing has is mostly a slip.
    fn check_tag(&self, template: &Spanned<PurgeTemplate>, mistakes: &Mistakes) {
        let (PurgeTemplate::Tag(tag), Some(known)) = (template.get_ref(), &self.tags) else { return };
        let sample = sample(tag);
        if self.has_key_names && sample.starts_with(NAME_TAG) {
            return;
        }
        let brings_others = || self.cascade.follow([sample.as_str()].into_iter()).is_ok_and(|others| !others.is_empty());
        if known.iter().any(|known| may_meet(known, tag)) || brings_others() {
            return;
        }
        let mistake = Mistake::new("no route gives such a tag, so nothing is purged by it");
        let hint = "write it in `tags` of the routes that it is about, or `from` in [tags] where the backend names it";
        mistakes.warning(template.span(), mistake.hint(hint));
    }
}

/// Reads `[[on_write]]`.
pub(crate) fn on_write(root: &mut Table<'_>, names: &Names<'_>) -> Vec<OnWrite> {
    root.tables("on_write").into_iter().filter_map(|table| write(table, names)).collect()
}

fn write(mut table: Table<'_>, names: &Names<'_>) -> Option<OnWrite> {
    table.require("path", "like path = \"/api/v1/issues/{id}\"");
    table.require("purge", "like purge = [\"tag:issue:{id}\"]");
    let path = table.parse("path", "a path in quotes, like \"/issues/{id}\"", PathTemplate::parse);
    let host = table.parse("host", "a host name in quotes", host_name).map(Spanned::into_inner);
    let reading = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
    let methods = methods(&mut table).unwrap_or_else(|| vec![Method::POST, Method::PUT, Method::PATCH, Method::DELETE]);
    if let Some(method) = methods.iter().find(|method| reading.contains(method)) {
        let mistake = Mistake::new(format!("{method} does not write")).hint("POST, PUT, PATCH and DELETE do");
        table.mistakes().error(table.span(), mistake);
    }
    let captures = path.as_ref().map(|path| path.get_ref().captures().to_vec()).unwrap_or_default();
    let places = Placeholders { of: "this write's path", names: &captures, sources: Placeholders::WRITE };
    let purge = purge(&mut table, |text| PurgeTemplate::parse(text, places, false));
    names.check(&purge, table.mistakes());
    let refresh = table.boolean("refresh").unwrap_or(false);
    let named = purge.iter().find(|template| template.get_ref().template().is_some_and(TagTemplate::has_variables));
    if let Some(named) = named.filter(|_| !table.has("operation")) {
        let mistake = Mistake::new("variables are those of an operation, and this rule names none");
        table.mistakes().error(named.span(), mistake.hint("add operation = \"updateIssue\", or \"*\" for any"));
    }
    let operation =
        table.parse("operation", "the name of an operation in quotes, like \"updateIssue\"", operation).map(Spanned::into_inner);
    table.finish();
    Some(OnWrite {
        methods,
        operation,
        host,
        path: path?.into_inner(),
        refresh,
        purge: purge.into_iter().map(Spanned::into_inner).collect(),
    })
}

/// A name of GraphQL, or a method of JSON-RPC.
fn operation(text: &str) -> Result<String, Mistake> {
    let is_name = !text.is_empty() && text.matches('*').count() <= 1 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(Mistake::new(format!("`{text}` is not the name of an operation")).hint("like \"updateIssue\" or \"update*\""))
    }
}

/// Reads `[[on_event]]`.
pub(crate) fn on_event(root: &mut Table<'_>, names: &Names<'_>) -> Vec<OnEvent> {
    root.tables("on_event").into_iter().filter_map(|table| event(table, names)).collect()
}

fn event(mut table: Table<'_>, names: &Names<'_>) -> Option<OnEvent> {
    table.require("type", "like type = \"organization.updated\"");
    table.require("purge", "like purge = [\"tag:org:{id}\"]");
    let kind = table.parse("type", "a name in quotes, like \"organization.updated\"", |text| {
        let word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        word.then(|| text.to_owned())
            .ok_or_else(|| Mistake::new(format!("`{text}` is not a type")).hint("one word: \"organization.updated\""))
    });
    let mut fields = Vec::new();
    let purge = purge(&mut table, |text| {
        if text == "identity" {
            return Err(Mistake::new("an event has no client whose identity could be purged").hint("purge a tag: \"tag:user:{id}\""));
        }
        collect_fields(text, &mut fields);
        PurgeTemplate::parse(text, Placeholders { of: "an event", names: &fields, sources: &[] }, true)
    });
    names.check(&purge, table.mistakes());
    table.finish();
    Some(OnEvent { kind: kind?.into_inner(), fields, purge: purge.into_iter().map(Spanned::into_inner).collect() })
}

/// The names in braces: any field may stand in an event.
fn collect_fields(text: &str, fields: &mut Vec<String>) {
    for name in text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name) {
        let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if named && !fields.iter().any(|known| known == name) {
            fields.push(name.to_owned());
        }
    }
}

fn purge(table: &mut Table<'_>, parse: impl FnMut(&str) -> Result<PurgeTemplate, Mistake>) -> Vec<Spanned<PurgeTemplate>> {
    let Some(list) = table.list("purge", "strings like \"tag:issue:{id}\"", parse) else { return Vec::new() };
    if list.get_ref().is_empty() {
        table.mistakes().error(list.span(), Mistake::new("`purge` names nothing").hint("like [\"tag:issue:{id}\"]"));
    }
    list.into_inner()
}
