//! Path templates of routes: `/issues/{id}`, `/files/{*rest}`.

use std::fmt::Write;

use crate::parse::mistake::Mistake;
use larder_message::path_reading;

/// A path template. `{name}` stands for one segment or a part of one, `{*rest}` for everything to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    shape: String,
    captures: Vec<String>,
    catch_all: Option<usize>,
}

impl PathTemplate {
    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The template in `matchit`'s syntax with its captures named by position (`{0}`, `{*1}`): equal for templates that match the same paths.
    pub fn shape(&self) -> &str {
        &self.shape
    }

    /// The names of the captures, in the order in which they stand.
    pub fn captures(&self) -> &[String] {
        &self.captures
    }

    /// For a template that ends in `{*rest}`: the part before it. A path that is just this part has an empty rest and belongs to the
    /// route too (unless another route names it), which `matchit` does not match by itself.
    pub fn without_rest(&self) -> Option<&str> {
        self.catch_all.map(|start| &self.shape[..start])
    }

    /// The template that matches every path.
    pub fn everything() -> Self {
        Self { text: "/{*rest}".to_owned(), shape: "/{*0}".to_owned(), captures: vec!["rest".to_owned()], catch_all: Some(1) }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        check_characters(text)?;
        let mut template = Self { text: text.to_owned(), shape: String::new(), captures: Vec::new(), catch_all: None };
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            template.shape.push_str(&path_reading::decoded(&rest[..at]));
            rest = &rest[at..];
            // A doubled brace stands for itself.
            if rest.starts_with("{{") || rest.starts_with("}}") {
                template.shape.push_str(&rest[..2]);
                rest = &rest[2..];
                continue;
            }
            let (capture, after) = split_capture(text, rest)?;
            template.capture(capture, after)?;
            rest = after;
        }
        template.shape.push_str(&path_reading::decoded(rest));
        template.check_with_matchit()?;
        Ok(template)
    }

    fn capture(&mut self, capture: &str, after: &str) -> Result<(), Mistake> {
        let (star, name) = capture.strip_prefix('*').map_or(("", capture), |name| ("*", name));
        let in_text = &self.text;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
            return Err(Mistake::new(format!("`{{{capture}}}` in `{in_text}` has no proper name"))
                .hint("a name is made of letters, digits, `_` and `-`: {id}, {*rest}"));
        }
        if self.captures.iter().any(|known| known == name) {
            return Err(Mistake::new(format!("`{in_text}` names `{name}` twice")).hint("give each part its own name"));
        }
        if star == "*" {
            if !after.is_empty() || !self.shape.ends_with('/') {
                return Err(Mistake::new(format!("`{{*{name}}}` in `{in_text}` is not a whole last segment"))
                    .hint(format!("the rest of a path stands at its end, after a slash: /files/{{*{name}}}")));
            }
            self.catch_all = Some(self.shape.len());
        }
        // Writing to a String cannot fail.
        let _ = write!(self.shape, "{{{star}{}}}", self.captures.len());
        self.captures.push(name.to_owned());
        Ok(())
    }

    /// The router has the last word on what a template may be.
    fn check_with_matchit(&self) -> Result<(), Mistake> {
        matchit::Router::new().insert(self.shape.as_str(), ()).map_err(|error| {
            let hint = match error {
                matchit::InsertError::InvalidParamSegment => "one {name} a segment: /{a}/{b}, or prefix-{a}",
                _ => "{name} stands for one segment, {*rest} for everything to the end",
            };
            Mistake::new(format!("`{}` is not a path template", self.text)).hint(hint)
        })
    }
}

/// `capture` and what follows of `{capture}…`.
fn split_capture<'t>(text: &str, rest: &'t str) -> Result<(&'t str, &'t str), Mistake> {
    rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).filter(|(capture, _)| !capture.contains(['{', '/'])).ok_or_else(|| {
        Mistake::new(format!("a brace in `{text}` has no partner"))
            .hint("{name} stands for one segment; a brace that is meant as such is doubled: {{ or }}")
    })
}

fn check_characters(text: &str) -> Result<(), Mistake> {
    if !text.starts_with('/') {
        let meant = if text == "*" { "{*rest}" } else { text.trim_start_matches('^').trim_start_matches('/') };
        return Err(Mistake::new(format!("path `{text}` does not begin with a slash")).hint(format!("write \"/{meant}\"")));
    }
    if text.contains(['?', '#']) {
        return Err(Mistake::new(format!("path `{text}` contains a query or a fragment"))
            .hint("a route matches the path only; leave out everything from `?` or `#` on"));
    }
    let decoded = path_reading::decoded(text);
    if path_reading::normal(&decoded) != decoded || text.contains('\\') {
        return Err(Mistake::new(format!("path `{text}` has segments that no path is looked up with"))
            .hint("routes see paths without `.`, `..`, empty segments and backslashes; write it without them"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Mistake::new(format!("path `{text}` contains a character that no request path has"))
            .hint("write it as clients send it, percent-encoded: a space is %20"));
    }
    Ok(())
}

/// Forms of other systems that are legal here but match literally; says how to write what was probably meant.
pub(crate) fn foreign_form(text: &str) -> Option<String> {
    text.split('/').find_map(|segment| match segment {
        "*" | "**" => Some("{*rest}".to_owned()),
        _ => segment.strip_prefix(':').filter(|name| !name.is_empty()).map(|name| format!("{{{name}}}")),
    })
}

/// The first piece that only a regular expression would have. `$`, `(` and `+` stand in paths of their own right (`/Products(1)`, `/$metadata`).
pub(crate) fn regex_form(text: &str) -> Option<&str> {
    const PIECES: [&str; 8] = [".*", ".+", "(?", "[", "]", "^", "|", ")?"];
    let end = text.ends_with('$').then(|| &text[text.len() - 1..]);
    PIECES.into_iter().find(|piece| text.contains(piece)).or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3986_2_3_unreserved_characters_are_themselves() {
        assert_eq!(PathTemplate::parse("/%7E{user}/%2e%2ex").map(|template| template.shape().to_owned()), Ok("/~{0}/..x".to_owned()));
    }

    #[test]
    fn a_template_that_no_path_can_have_is_refused() {
        for text in ["/a/../b", "/a/./b", "/a//b", "//a", "/a/%2e%2E/b", "/a/..", "/a/{b}/.", "/a\\b"] {
            assert!(message(text).ends_with("has segments that no path is looked up with"), "{text}: {}", message(text));
        }
    }

    fn message(text: &str) -> String {
        PathTemplate::parse(text).unwrap_err().message
    }

    #[test]
    fn captures_are_named_by_position_in_the_shape() {
        let template = PathTemplate::parse("/orgs/{org}/files/v{version}/{*rest}").unwrap();
        assert_eq!(template.shape(), "/orgs/{0}/files/v{1}/{*2}");
        assert_eq!(template.captures(), ["org", "version", "rest"]);
        assert_eq!(template.without_rest(), Some("/orgs/{0}/files/v{1}/"));
        assert_eq!(PathTemplate::parse("/orgs/{o}/files/v{v}/{*r}").unwrap().shape(), template.shape());
    }

    #[test]
    fn everything_is_what_its_text_says() {
        assert_eq!(PathTemplate::parse("/{*rest}").unwrap(), PathTemplate::everything());
    }

    #[test]
    fn doubled_braces_are_literal() {
        let template = PathTemplate::parse("/a/{{b}}/{c}").unwrap();
        assert_eq!((template.shape(), template.captures().len()), ("/a/{{b}}/{0}", 1));
    }

    #[test]
    fn bad_templates_are_refused() {
        for text in [
            "issues",
            "",
            "/a?b=1",
            "/a#b",
            "/a b",
            "/ä",
            "/{",
            "/}",
            "/{}",
            "/{*}",
            "/{a",
            "/{a/b}",
            "/{a}{b}",
            "/{*rest}/b",
            "/x{*rest}",
            "/{a}/{a}",
            "/{a.b}",
        ] {
            assert!(PathTemplate::parse(text).is_err(), "{text}");
        }
        assert_eq!(message("/{a}/{a}"), "`/{a}/{a}` names `a` twice");
        assert_eq!(message("/{a"), "a brace in `/{a` has no partner");
        assert_eq!(message("/{*rest}/b"), "`{*rest}` in `/{*rest}/b` is not a whole last segment");
    }

    #[test]
    fn forms_of_other_systems_are_recognised() {
        assert_eq!(foreign_form("/issues/:id").as_deref(), Some("{id}"));
        assert_eq!(foreign_form("/files/*").as_deref(), Some("{*rest}"));
        assert_eq!(foreign_form("/v1/things:batch/{id}"), None);
        for (text, piece) in
            [("/issues/.*", ".*"), ("/issues/[0-9]", "["), ("/a|/b", "|"), ("/issues$", "$"), ("/(?:a)", "(?"), ("/a.+b", ".+")]
        {
            assert_eq!(regex_form(text), Some(piece), "{text}");
        }
        for text in ["/Products(1)/$metadata", "/a.b/c+d", "/$batch/x", "/a$b/{id}"] {
            assert_eq!(regex_form(text), None, "{text}");
        }
    }
}
