//! The surrogate keys of a route, filled in from the request, and those that its origin names.

use std::borrow::Cow;

use http::HeaderMap;
use http::request::Parts;
use larder_tower::{Members, TagSource};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::{PathTemplate, ResponseTags, TagPart, TagTemplate};
use crate::path_matcher::PathMatcher;

/// Bytes of the longest tag that an origin may name.
const LONGEST: usize = 1024;

/// A route's tag templates with the path template that their captures come from.
#[derive(Debug)]
pub(crate) struct RouteTags {
    templates: Vec<TagTemplate>,
    /// The members of answers that they name.
    in_response: Vec<String>,
    path: PathMatcher,
    named: ResponseTags,
}

impl RouteTags {
    /// For a route with this path, whose origin names tags as `named` says.
    pub(crate) fn new(path: &PathTemplate, templates: &[TagTemplate], named: &ResponseTags) -> Result<Self, matchit::InsertError> {
        let in_response = templates.iter().flat_map(|template| template.members().1).cloned().collect();
        Ok(Self { templates: templates.to_vec(), in_response, path: PathMatcher::new(path)?, named: named.clone() })
    }

    /// A tag of which a part is missing is left out: `project:` would lump together what has nothing in common.
    fn filled(&self, request: &Parts, answered: &Members, told: bool) -> Vec<String> {
        if self.templates.is_empty() {
            return Vec::new();
        }
        let found = self.path.captures(request.uri.path()).unwrap_or_default();
        let captures: Vec<&str> = found.iter().map(String::as_str).collect();
        let values = Values { request: Some(request), captures: &captures, asked: None, answered: Some(answered) };
        let templates = self.templates.iter().filter(|template| template.members().1.next().is_some() == told);
        templates.filter_map(|template| values.fill(template)).collect()
    }
}

impl TagSource for RouteTags {
    fn tags(&self, request: &Parts) -> Vec<String> {
        self.filled(request, &Members::default(), false)
    }

    fn in_response(&self) -> &[String] {
        &self.in_response
    }

    fn tags_told(&self, request: &Parts, response: &Members) -> Vec<String> {
        self.filled(request, response, true)
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

/// Bytes of a segment that stand for themselves in a path (RFC 3986 §3.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// Any text as a segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// What the places of a template are filled with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Values<'a> {
    pub(crate) request: Option<&'a Parts>,
    /// By position; as they stand in a URL.
    pub(crate) captures: &'a [&'a str],
    /// The request's JSON.
    pub(crate) asked: Option<&'a Members>,
    /// The answer's JSON.
    pub(crate) answered: Option<&'a Members>,
}

impl<'a> Values<'a> {
    /// A template with its places filled; `None` where one of them is missing or empty.
    pub(crate) fn fill(&self, template: &'a TagTemplate) -> Option<String> {
        template.fill(|place| self.value(place))
    }

    /// As [`Self::fill`], for a part of a URL: what was not one before is percent-encoded.
    pub(crate) fn fill_url(&self, template: &'a TagTemplate) -> Option<String> {
        template.fill(|place| match place {
            TagPart::Request(_) | TagPart::Response(_) => Some(segment(&self.value(place)?).into()),
            _ => self.value(place),
        })
    }

    fn value(&self, place: &'a TagPart) -> Option<Cow<'a, str>> {
        let value = match place {
            TagPart::Literal(text) => text.as_str(),
            TagPart::Path(position) => self.captures.get(*position).copied()?,
            TagPart::Query(name) => query_value(self.request?.uri.query()?, name)?,
            TagPart::Header(name) => self.request?.headers.get(name)?.to_str().ok()?,
            TagPart::Request(name) => self.asked?.get(name)?,
            TagPart::Response(name) => self.answered?.get(name)?,
        };
        Some(Cow::Borrowed(value))
    }
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

    fn route() -> RouteTags {
        let text = r#"
            [upstreams.api]
            url = "http://127.0.0.1:3000"
            [[routes]]
            path = "/projects/{project}/issues/{id}"
            tags = ["issues", "issue:{id}", "of:{project}:{query.lang}", "for:{header.x-team}", "in:{project}:{response.sprint}"]
        "#;
        let (config, _) =
            config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let route = &config.routes[0];
        RouteTags::new(&route.path, &route.tags, &config.tags).expect("a valid path")
    }

    fn tags(request: &Request<()>) -> Vec<String> {
        route().tags(&request.clone().into_parts().0)
    }

    #[test]
    fn captures_of_the_answer_come_later() {
        let (parts, ()) = Request::get("/projects/p/issues/7").body(()).expect("a request").into_parts();
        let route = route();
        assert_eq!(route.in_response(), ["sprint"]);
        assert_eq!(route.tags_told(&parts, &[("sprint".to_owned(), "3".to_owned())].into_iter().collect()), ["in:p:3"]);
        assert_eq!(route.tags_told(&parts, &Members::default()), [""; 0]);
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
