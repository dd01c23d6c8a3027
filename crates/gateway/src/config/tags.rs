//! Tag templates of routes: `"project:{query.project}"`.

use http::HeaderName;

use super::mistake::Mistake;
use super::nearest;

/// A tag with places to be filled from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagTemplate {
    parts: Vec<TagPart>,
}

/// One part of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagPart {
    /// Text as it stands.
    Literal(String),
    /// The capture at this position of the route's path template (see `PathTemplate::captures`).
    Path(usize),
    /// The value of this query parameter.
    Query(String),
    /// The value of this request field.
    Header(HeaderName),
}

impl TagTemplate {
    /// The parts in order; neighbouring literals are one.
    pub fn parts(&self) -> &[TagPart] {
        &self.parts
    }

    /// `{name}` must be one of `captures`; braces that are meant as such are doubled.
    pub(super) fn parse(text: &str, captures: &[String]) -> Result<Self, Mistake> {
        if text.is_empty() || text.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
            return Err(Mistake::new(format!("tag `{}` is empty or contains white space", text.escape_debug()))
                .hint("a tag is one word: \"issues\", \"project:{query.project}\""));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                literal.push_str(&rest[..1]);
                rest = &rest[2..];
                continue;
            }
            let (place, after) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or_else(|| {
                Mistake::new(format!("a brace in tag `{text}` has no partner"))
                    .hint("places are written {query.NAME}, {header.NAME} or {NAME of a path part}; a literal brace is doubled")
            })?;
            if !literal.is_empty() {
                parts.push(TagPart::Literal(std::mem::take(&mut literal)));
            }
            parts.push(place_of(place, captures)?);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(TagPart::Literal(literal));
        }
        Ok(Self { parts })
    }
}

fn place_of(place: &str, captures: &[String]) -> Result<TagPart, Mistake> {
    if let Some(index) = captures.iter().position(|capture| capture == place) {
        return Ok(TagPart::Path(index));
    }
    match place.split_once('.') {
        Some(("query", name)) if !name.is_empty() => Ok(TagPart::Query(name.to_owned())),
        Some(("header", name)) => HeaderName::try_from(name)
            .map(TagPart::Header)
            .map_err(|_| Mistake::new(format!("`{name}` is not the name of a header field")).hint("like {header.x-project}")),
        Some((source, _)) => {
            let hint = nearest::hint(source, ["query", "header"], "places are taken from");
            Err(Mistake::new(format!("unknown place `{{{place}}}` in a tag")).hint(hint))
        }
        None if captures.is_empty() => Err(Mistake::new(format!("`{{{place}}}` is not a part of this route's path"))
            .hint(format!("the path has no named parts; for a query parameter write {{query.{place}}}"))),
        None => {
            let hint = nearest::hint(place, captures.iter().map(String::as_str), "the path's named parts");
            Err(Mistake::new(format!("`{{{place}}}` is not a part of this route's path")).hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures() -> Vec<String> {
        vec!["org".to_owned(), "id".to_owned()]
    }

    #[test]
    fn places_are_path_parts_query_parameters_and_fields() {
        let tag = TagTemplate::parse("a:{id}:{query.project}{header.X-Team}}}!", &captures()).unwrap();
        let expected = [
            TagPart::Literal("a:".to_owned()),
            TagPart::Path(1),
            TagPart::Literal(":".to_owned()),
            TagPart::Query("project".to_owned()),
            TagPart::Header(HeaderName::from_static("x-team")),
            TagPart::Literal("}!".to_owned()),
        ];
        assert_eq!(tag.parts(), expected);
    }

    #[test]
    fn what_cannot_be_filled_is_refused_with_the_nearest_name() {
        let mistake = |text| TagTemplate::parse(text, &captures()).unwrap_err();
        assert_eq!(mistake("issue:{ids}").hint.as_deref(), Some("did you mean `id`?"));
        assert_eq!(mistake("{project}").hint.as_deref(), Some("the path's named parts: `org`, `id`"));
        assert_eq!(mistake("{qeury.a}").hint.as_deref(), Some("did you mean `query`?"));
        assert_eq!(mistake("{header.a b}").message, "tag `{header.a b}` is empty or contains white space");
        assert_eq!(mistake("{header.(}").message, "`(` is not the name of a header field");
        assert_eq!(mistake("a}").message, "a brace in tag `a}` has no partner");
        assert_eq!(mistake("").message, "tag `` is empty or contains white space");
    }
}
