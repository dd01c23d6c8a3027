//! The surrogate keys of a route, filled in from the request, and those that its origin names.

use std::borrow::Cow;

use http::HeaderMap;
use http::request::Parts;
use larder_tower::TagSource;

use crate::config::{PathTemplate, ResponseTags, TagPart, TagTemplate};

/// Bytes of the longest tag that an origin may name.
const LONGEST: usize = 1024;

/// A route's tag templates with the path template that their captures come from.
#[derive(Debug)]
pub(crate) struct RouteTags {
    templates: Vec<TagTemplate>,
    path: matchit::Router<()>,
    named: ResponseTags,
}

impl RouteTags {
    /// For a route with this path, whose origin names tags as `named` says.
    pub(crate) fn new(path: &PathTemplate, templates: &[TagTemplate], named: &ResponseTags) -> Result<Self, matchit::InsertError> {
        let mut router = matchit::Router::new();
        router.insert(path.shape(), ())?;
        Ok(Self { templates: templates.to_vec(), path: router, named: named.clone() })
    }
}

impl TagSource for RouteTags {
    /// A tag of which a part is missing in the request is left out: `project:` would lump together what has nothing in common.
    fn tags(&self, request: &Parts) -> Vec<String> {
        let found = self.path.at(request.uri.path()).ok();
        let captures: Vec<&str> = found.iter().flat_map(|found| found.params.iter()).map(|(_, value)| value).collect();
        self.templates.iter().filter_map(|template| fill(template, request, &captures)).collect()
    }

    fn take_tags(&self, response: &mut HeaderMap) -> Option<Vec<String>> {
        let mut tags = Vec::new();
        let mut whole = true;
        for name in &self.named.from {
            for value in response.get_all(name) {
                match value.to_str() {
                    Ok(value) => tags.extend(parted(name.as_str(), value).take(self.named.most + 1).map(str::to_owned)),
                    Err(_) => whole = false,
                }
            }
            if !self.named.forward {
                response.remove(name);
            }
        }
        whole &= tags.len() <= self.named.most && tags.iter().all(|tag| tag.len() <= LONGEST);
        whole.then_some(tags)
    }
}

/// The tags in a field. Fastly parts them by spaces, Cloudflare by commas, Varnish's xkey by either.
fn parted<'v>(name: &str, value: &'v str) -> impl Iterator<Item = &'v str> {
    let (spaces, commas) = (name != "cache-tag", name != "surrogate-key");
    value
        .split(move |char: char| (spaces && char.is_ascii_whitespace()) || (commas && char == ','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
}

/// A template with its places filled from a request and from captures by position; `None` where one of them is missing or empty.
pub(crate) fn fill(template: &TagTemplate, request: &Parts, captures: &[&str]) -> Option<String> {
    template.fill(|place| match place {
        TagPart::Literal(text) => Some(Cow::Borrowed(text.as_str())),
        TagPart::Path(position) => captures.get(*position).copied().map(Cow::Borrowed),
        TagPart::Query(name) => query_value(request.uri.query()?, name).map(Cow::Borrowed),
        TagPart::Header(name) => request.headers.get(name)?.to_str().ok().map(Cow::Borrowed),
    })
}

/// The first value of a parameter, as sent.
fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::config;

    fn tags(request: &Request<()>) -> Vec<String> {
        let text = r#"
            [upstreams.api]
            url = "http://127.0.0.1:3000"
            [[routes]]
            path = "/projects/{project}/issues/{id}"
            tags = ["issues", "issue:{id}", "of:{project}:{query.lang}", "for:{header.x-team}"]
        "#;
        let (config, _) =
            config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let route = &config.routes[0];
        let (parts, ()) = request.clone().into_parts();
        RouteTags::new(&route.path, &route.tags, &config.tags).expect("a valid path").tags(&parts)
    }

    #[test]
    fn captures_come_from_path_query_and_header() {
        let request = Request::get("/projects/p/issues/7?lang=de").header("x-team", "blue").body(()).expect("a request");
        assert_eq!(tags(&request), ["issues", "issue:7", "of:p:de", "for:blue"]);
    }

    #[test]
    fn a_tag_with_a_missing_part_is_left_out() {
        let request = Request::get("/projects/p/issues/7").body(()).expect("a request");
        assert_eq!(tags(&request), ["issues", "issue:7"]);
    }

    fn named(most: usize, fields: &[(&'static str, &'static str)]) -> (Option<Vec<String>>, usize) {
        let from = ["surrogate-key", "cache-tag", "xkey"].map(http::HeaderName::from_static).to_vec();
        let settings = ResponseTags { from, forward: false, most, ..ResponseTags::default() };
        let tags = RouteTags::new(&PathTemplate::everything(), &[], &settings).expect("a valid path");
        let field = |&(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        };
        let mut response: HeaderMap = fields.iter().map(field).collect();
        (tags.take_tags(&mut response), response.len())
    }

    #[test]
    fn origins_name_tags_each_in_their_own_form_and_clients_do_not_see_them() {
        let (tags, left) = named(9, &[("surrogate-key", "a b,c"), ("cache-tag", "d, e f"), ("xkey", "g h,i"), ("etag", "x")]);
        assert_eq!(tags.expect("few"), ["a", "b,c", "d", "e f", "g", "h", "i"]);
        assert_eq!(left, 1);
    }

    #[test]
    fn more_tags_than_are_kept_are_none() {
        assert!(named(2, &[("xkey", "a b")]).0.is_some());
        assert_eq!(named(2, &[("xkey", "a b c")]), (None, 0));
        assert_eq!(named(2, &[("xkey", "\u{fc}")]), (None, 0));
    }
}
