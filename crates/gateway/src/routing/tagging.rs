//! The surrogate keys of a route, filled in from the request, and those that its origin names; and the name of what is stored, as one of them.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;
use larder_semantics::PrimaryKey;
use larder_semantics::content::Operation;
use larder_store::NamedTag;
use larder_tower::{HeaderTags, JsonFields, TagSource};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::config::{NAME_TAG, PathTemplate, ResponseTags, TagPart, TagTemplate};
use crate::path_matcher::PathMatcher;
use crate::routing::KeyNames;

/// Bytes of what may stand at a place in a tag. Nothing is named by longer texts.
const MAX_VALUE_BYTES: usize = 256;

/// Colons in it: each makes one more family that the tag belongs to.
const MAX_COLONS: usize = 8;

/// A place in a tag would be filled with more than [`MAX_VALUE_BYTES`] bytes or [`MAX_COLONS`] colons: nothing is stored under such a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// A route's tag templates with the path template that their captures come from.
#[derive(Debug)]
pub(crate) struct RouteTags {
    templates: Vec<TagTemplate>,
    /// The members of answers that they name.
    in_response: Vec<String>,
    path: PathMatcher,
    named: HeaderTags,
    key_names: Option<Arc<KeyNames>>,
}

impl RouteTags {
    /// For a route with this path, whose origin names tags as `named` says.
    pub(crate) fn new(
        path: &PathTemplate,
        templates: &[TagTemplate],
        named: &ResponseTags,
        key_names: Option<Arc<KeyNames>>,
    ) -> Result<Self, matchit::InsertError> {
        let named = HeaderTags::new(named.from.iter().cloned()).max(named.max).forward(named.forward);
        let in_response = templates.iter().flat_map(|template| template.members().1).cloned().collect();
        Ok(Self { templates: templates.to_vec(), in_response, path: PathMatcher::new(path)?, named, key_names })
    }

    /// A tag of which a part is missing is left out: `project:` would lump together what has nothing in common. One that would be too long
    /// may not be left out, for what is stored without it could not be purged by it.
    fn filled(&self, request: &Parts, response_json: &JsonFields, from_body: bool) -> Result<Vec<String>, TooLong> {
        if self.templates.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.path.captures(request.uri.path()).unwrap_or_default();
        let captures: Vec<&str> = found.iter().map(String::as_str).collect();
        let values = Values { request: Some(request), captures: &captures, response_json: Some(response_json), ..Values::default() };
        let templates = self.templates.iter().filter(|template| template.members().1.next().is_some() == from_body);
        templates.filter_map(|template| values.fill(template).transpose()).collect()
    }
}

impl TagSource for RouteTags {
    fn tags(&self, request: &Parts) -> Option<Vec<String>> {
        self.filled(request, &JsonFields::default(), false).ok()
    }

    fn tags_of_key(&self, key: &PrimaryKey) -> Vec<String> {
        let name = self.key_names.as_ref().and_then(|names| names.name(key));
        name.map(|name| [NAME_TAG, &name].concat()).into_iter().collect()
    }

    fn in_response(&self) -> &[String] {
        &self.in_response
    }

    fn tags_in_body(&self, request: &Parts, response: &JsonFields) -> Option<Vec<String>> {
        self.filled(request, response, true).ok()
    }

    fn take_tags(&self, response: &mut HeaderMap) -> Option<Vec<String>> {
        self.named.take_tags(response)
    }
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

/// As [`SEGMENT`], of a parameter's value in a query.
const VALUE: &AsciiSet = &SEGMENT.add(b'&').add(b'+').add(b'=');

/// As the two above, for what is percent-encoded already.
const ENCODED_SEGMENT: &AsciiSet = &SEGMENT.remove(b'%');
const ENCODED_VALUE: &AsciiSet = &VALUE.remove(b'%');

/// Any text as a segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The values for the placeholders of a template.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Values<'a> {
    pub(crate) request: Option<&'a Parts>,
    /// The operation that the request carries out.
    pub(crate) operation: Option<&'a Operation>,
    /// By position; as they stand in a URL.
    pub(crate) captures: &'a [&'a str],
    /// The request's JSON.
    pub(crate) request_json: Option<&'a JsonFields>,
    /// The answer's JSON.
    pub(crate) response_json: Option<&'a JsonFields>,
    /// Whether all of them stand in lower case, as in the tags of a route whose keys have paths so.
    pub(crate) in_lower_case: bool,
}

impl<'a> Values<'a> {
    /// A template with its places filled; `None` where one of them is missing or empty.
    pub(crate) fn fill(&self, template: &'a TagTemplate) -> Result<Option<String>, TooLong> {
        let mut filled = String::new();
        for part in template.parts() {
            if let TagPart::Literal(text) = part {
                filled.push_str(text);
                continue;
            }
            let value = self.value(part).unwrap_or_default();
            if value.len() > MAX_VALUE_BYTES || value.matches(':').count() > MAX_COLONS || self.is_too_long(part) {
                return Err(TooLong);
            }
            if value.is_empty() {
                return Ok(None);
            }
            filled.push_str(&value);
        }
        Ok(Some(filled))
    }

    /// A template with its places filled, as the target of an invalidation; `None` also where nothing is stored under such a tag.
    pub(crate) fn fill_tag(&self, template: &'a TagTemplate) -> Option<String> {
        let end = template.parts().last().and_then(|part| match part {
            TagPart::Literal(text) => Some(text.as_str()),
            _ => None,
        });
        self.fill(template).ok().flatten().map(|filled| NamedTag::of_template(end, filled))
    }

    /// As [`Self::fill`], for a part of a URL: each place stays what it is there, one segment or the value of one parameter, whatever it is
    /// filled with. Only a path's own `{*rest}` has several segments. `None` also where a value would lead out of its place: a client that
    /// writes chooses it, and `..` or `/` would name what is above.
    pub(crate) fn fill_url(&self, template: &'a TagTemplate) -> Option<String> {
        let mut url = String::new();
        for part in template.parts() {
            if let TagPart::Literal(text) = part {
                url.push_str(text);
                continue;
            }
            let in_query = url.contains('?');
            let value = self.value(part).filter(|value| !value.is_empty() && (in_query || names_something(value)))?;
            let set = match (part, in_query) {
                // As they stand in the request's own.
                (TagPart::Literal(_) | TagPart::Path(_), false) | (TagPart::Literal(_) | TagPart::Query(_), true) => None,
                (TagPart::Query(_), false) => Some(ENCODED_SEGMENT),
                (TagPart::Path(_), true) => Some(ENCODED_VALUE),
                (TagPart::Header(_) | TagPart::Request(_) | TagPart::Response(_) | TagPart::Variable(_), false) => Some(SEGMENT),
                (TagPart::Header(_) | TagPart::Request(_) | TagPart::Response(_) | TagPart::Variable(_), true) => Some(VALUE),
            };
            match set {
                Some(set) => url.extend(utf8_percent_encode(&value, set)),
                None => url.push_str(&value),
            }
        }
        let path = &url[..url.find('?').unwrap_or(url.len())];
        (!segments(path).iter().any(|segment| matches!(&segment[..], b"." | b".."))).then_some(url)
    }

    fn is_too_long(&self, part: &TagPart) -> bool {
        match part {
            TagPart::Request(name) => self.request_json.is_some_and(|json| json.is_too_long(name)),
            TagPart::Response(name) => self.response_json.is_some_and(|json| json.is_too_long(name)),
            _ => false,
        }
    }

    fn value(&self, part: &'a TagPart) -> Option<Cow<'a, str>> {
        let value = match part {
            TagPart::Literal(text) => text.as_str(),
            TagPart::Path(position) => self.captures.get(*position).copied()?,
            TagPart::Query(name) => query_value(self.request?.uri.query()?, name)?,
            TagPart::Header(name) => self.request?.headers.get(name)?.to_str().ok()?,
            TagPart::Request(name) => self.request_json?.get(name)?,
            TagPart::Response(name) => self.response_json?.get(name)?,
            TagPart::Variable(path) => return Some(self.in_its_case(self.operation?.variable(path)?)),
        };
        Some(self.in_its_case(Cow::Borrowed(value)))
    }

    fn in_its_case(&self, value: Cow<'a, str>) -> Cow<'a, str> {
        if self.in_lower_case { Cow::Owned(value.to_ascii_lowercase()) } else { value }
    }
}

/// The segments of a path as the purge of a prefix reads it.
fn segments(path: &str) -> Vec<Vec<u8>> {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    decoded.split(|byte| b"/\\".contains(byte)).map(<[u8]>::to_vec).collect()
}

/// Whether a value in a path has more than separators.
fn names_something(value: &str) -> bool {
    segments(value).iter().any(|segment| !segment.is_empty())
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
        RouteTags::new(&route.path, &route.tags, &config.tags, None).expect("a valid path")
    }

    fn tags(request: &Request<()>) -> Vec<String> {
        route().tags(&request.clone().into_parts().0).expect("short ones")
    }

    #[test]
    fn a_value_too_long_for_a_tag_or_with_too_many_colons_gives_no_tags() {
        for (id, bounded) in [("7".repeat(256), true), ("7".repeat(257), false), (":".repeat(8), true), (":".repeat(9), false)] {
            let (parts, ()) = Request::get(format!("/projects/p/issues/{id}")).body(()).expect("a request").into_parts();
            assert_eq!(route().tags(&parts).is_some(), bounded, "{id}");
        }
        let team = |length: usize| Request::get("/projects/p/issues/7").header("x-team", "x".repeat(length)).body(()).expect("a request");
        assert!(route().tags(&team(256).into_parts().0).is_some());
        assert!(route().tags(&team(257).into_parts().0).is_none());
    }

    #[test]
    fn captures_of_the_answer_come_later() {
        let (parts, ()) = Request::get("/projects/p/issues/7").body(()).expect("a request").into_parts();
        let route = route();
        assert_eq!(route.in_response(), ["sprint"]);
        let from_body = |sprint: &str| route.tags_in_body(&parts, &[("sprint".to_owned(), sprint.to_owned())].into_iter().collect());
        assert_eq!(from_body("3"), Some(vec!["in:p:3".to_owned()]));
        assert_eq!(route.tags_in_body(&parts, &JsonFields::default()), Some(Vec::new()));
        assert_eq!(from_body(&"3".repeat(257)), None);
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
}
