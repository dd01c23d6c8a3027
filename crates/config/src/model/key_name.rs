//! `key.name`: the names by which people know what is stored.

use http::HeaderName;

use crate::model::purging::tags::{Piece, pieces};
use crate::parse::mistake::Mistake;
use crate::parse::nearest;

/// Before a name where it stands as a tag: so it goes wherever tags go.
pub const NAME_TAG: &str = "name:";

/// Bytes of the longest template.
const MAX_LENGTH: usize = 128;

/// Colons in a template: each begins a family of names, and a tag has no more than sixteen of those.
const MAX_COLONS: usize = 12;

/// Characters that mean something in the patterns by which names are looked for, here and in Redis.
const OF_PATTERNS: [char; 7] = ['*', '?', '[', ']', '\\', '{', '}'];

/// The placeholders that are no parts of the path.
const WORDS: [&str; 6] = ["namespace", "route", "method", "host", "path", "query"];

/// A template of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNameTemplate {
    parts: Vec<NamePart>,
}

/// One part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePart {
    /// Text as it stands.
    Literal(String),
    /// The capture at this position of the route's path.
    Capture(usize),
    /// The namespace.
    Namespace,
    /// The name of the route.
    Route,
    /// `GET`, or the method of a request whose content is in the key.
    Method,
    /// Host and port as they stand in the key.
    Host,
    /// The path as it stands in the key.
    Path,
    /// The query as it stands in the key.
    Query,
    /// The value of this parameter there.
    Parameter(String),
    /// The value of this field of the key.
    Header(HeaderName),
}

impl KeyNameTemplate {
    /// The parts in order; neighbouring literals are one.
    pub fn parts(&self) -> &[NamePart] {
        &self.parts
    }

    /// Of a route whose path has these captures, and whose key has these fields.
    pub(crate) fn parse(text: &str, captures: &[String], fields: &[HeaderName]) -> Result<Self, Mistake> {
        if text.len() > MAX_LENGTH {
            let mistake = Mistake::new(format!("this name has {} characters: at most {MAX_LENGTH}", text.len()));
            return Err(mistake.hint("a name is a handle for people; what is stored is found by its whole key"));
        }
        let mut parts = Vec::new();
        for piece in pieces(text)? {
            parts.push(match piece {
                Piece::Literal(literal) => checked(literal)?,
                Piece::Placeholder(placeholder) => part_of(placeholder, captures, fields)?,
            });
        }
        let colons = text.matches(':').count();
        if colons > MAX_COLONS {
            let mistake = Mistake::new(format!("this name has {colons} colons: at most {MAX_COLONS}"));
            return Err(mistake.hint("each is the end of what `larder purge --name \"issue:*\"` may name"));
        }
        Ok(Self { parts })
    }
}

fn checked(literal: String) -> Result<NamePart, Mistake> {
    if let Some(found) = literal.chars().find(|found| !found.is_ascii_graphic() || OF_PATTERNS.contains(found)) {
        let mistake = Mistake::new(format!("`{}` cannot stand in a name", found.escape_debug()));
        return Err(mistake.hint("ASCII without spaces, and nothing that means something in a pattern (* ? [ ] { } \\)"));
    }
    Ok(NamePart::Literal(literal))
}

fn part_of(placeholder: &str, captures: &[String], fields: &[HeaderName]) -> Result<NamePart, Mistake> {
    if let Some(position) = captures.iter().position(|name| name == placeholder) {
        return Ok(NamePart::Capture(position));
    }
    match placeholder {
        "namespace" => return Ok(NamePart::Namespace),
        "route" => return Ok(NamePart::Route),
        "method" => return Ok(NamePart::Method),
        "host" => return Ok(NamePart::Host),
        "path" => return Ok(NamePart::Path),
        "query" => return Ok(NamePart::Query),
        _ => {}
    }
    match placeholder.split_once('.') {
        Some(("query", name)) if !name.is_empty() => Ok(NamePart::Parameter(name.to_owned())),
        Some(("header", name)) if !name.is_empty() => header(name, fields),
        _ => {
            let known = captures.iter().map(String::as_str).chain(WORDS);
            let hint = nearest::hint(placeholder, known, "{query.NAME}, {header.NAME} of a field of the key, and");
            Err(Mistake::new(format!("`{{{placeholder}}}` is neither a part of the route's path nor known to names")).hint(hint))
        }
    }
}

/// A field that is no part of the key has no value where only the key is known.
fn header(name: &str, fields: &[HeaderName]) -> Result<NamePart, Mistake> {
    let field = HeaderName::try_from(name)
        .map_err(|_| Mistake::new(format!("`{name}` is not the name of a header field")).hint("like {header.x-branch}"))?;
    if fields.contains(&field) {
        return Ok(NamePart::Header(field));
    }
    let mistake = Mistake::new(format!("`{{header.{name}}}` is not a part of the key"));
    Err(mistake.hint(format!("add it: key = {{ headers = [\"{field}\"] }}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<KeyNameTemplate, Mistake> {
        KeyNameTemplate::parse(text, &["id".to_owned()], &[HeaderName::from_static("x-branch")])
    }

    #[test]
    fn places_are_parts_of_the_key() {
        let template = parse("{namespace}:issue:{id}:{query}:{query.lang}{header.X-Branch}").expect("a template");
        let literal = |text: &str| NamePart::Literal(text.to_owned());
        let expected = [
            NamePart::Namespace,
            literal(":issue:"),
            NamePart::Capture(0),
            literal(":"),
            NamePart::Query,
            literal(":"),
            NamePart::Parameter("lang".to_owned()),
            NamePart::Header(HeaderName::from_static("x-branch")),
        ];
        assert_eq!(template.parts(), expected);
    }

    #[test]
    fn what_cannot_be_filled_or_looked_for_is_refused() {
        for (text, message) in [
            ("{ids}", "`{ids}` is neither a part of the route's path nor known to names"),
            ("{query.}", "`{query.}` is neither a part of the route's path nor known to names"),
            ("{header.x-other}", "`{header.x-other}` is not a part of the key"),
            ("issue:*", "`*` cannot stand in a name"),
            ("a b", "` ` cannot stand in a name"),
            ("{{id}}", "`{` cannot stand in a name"),
            ("{id", "a brace in `{id` has no partner"),
        ] {
            assert_eq!(parse(text).expect_err(text).message, message);
        }
        assert_eq!(parse("{ids}").expect_err("unknown").hint.as_deref(), Some("did you mean `id`?"));
        assert_eq!(parse(&"a".repeat(129)).expect_err("long").message, "this name has 129 characters: at most 128");
        assert_eq!(parse(&":".repeat(13)).expect_err("deep").message, "this name has 13 colons: at most 12");
    }
}
