//! The surrogate keys of a route, filled in from the request.

use http::request::Parts;
use larder_tower::TagSource;

use crate::config::{PathTemplate, TagPart, TagTemplate};

/// A route's tag templates with the path template that their captures come from.
#[derive(Debug)]
pub(crate) struct RouteTags {
    templates: Vec<TagTemplate>,
    path: matchit::Router<()>,
}

impl RouteTags {
    /// For a route with this path.
    pub(crate) fn new(path: &PathTemplate, templates: &[TagTemplate]) -> Result<Self, matchit::InsertError> {
        let mut router = matchit::Router::new();
        router.insert(path.shape(), ())?;
        Ok(Self { templates: templates.to_vec(), path: router })
    }
}

impl TagSource for RouteTags {
    /// A tag of which a part is missing in the request is left out: `project:` would lump together what has nothing in common.
    fn tags(&self, request: &Parts) -> Vec<String> {
        let found = self.path.at(request.uri.path()).ok();
        let captures: Vec<&str> = found.iter().flat_map(|found| found.params.iter()).map(|(_, value)| value).collect();
        self.templates.iter().filter_map(|template| fill(template, request, &captures)).collect()
    }
}

fn fill(template: &TagTemplate, request: &Parts, captures: &[&str]) -> Option<String> {
    let mut tag = String::new();
    for part in template.parts() {
        tag.push_str(match part {
            TagPart::Literal(text) => text,
            TagPart::Path(position) => captures.get(*position)?,
            TagPart::Query(name) => query_value(request.uri.query()?, name)?,
            TagPart::Header(name) => request.headers.get(name)?.to_str().ok()?,
        });
    }
    Some(tag)
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
        RouteTags::new(&route.path, &route.tags).expect("a valid path").tags(&parts)
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
