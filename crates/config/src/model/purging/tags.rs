//! Templates of tags and of targets of invalidations: `"project:{query.project}"`.

use http::HeaderName;

use crate::parse::mistake::Mistake;
use crate::parse::nearest;

/// A text with placeholders to be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagTemplate {
    parts: Vec<TagPart>,
}

/// One part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagPart {
    /// Text as it stands.
    Literal(String),
    /// The capture at this position: of a path template (see `PathTemplate::captures`), of an event's fields, or of a tag's pattern.
    Path(usize),
    /// The value of this query parameter.
    Query(String),
    /// The value of this request field.
    Header(HeaderName),
    /// The member of this name in the JSON object that the request carries.
    Request(String),
    /// The member of this name in the JSON object that the response carries.
    Response(String),
    /// The variable with this path, of the operation that the request carries out.
    Variable(String),
}

/// The sources that a template's placeholders may name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placeholders<'a> {
    /// The text that has the names, as part of a sentence.
    pub(crate) of: &'static str,
    /// The names that `{NAME}` may have.
    pub(crate) names: &'a [String],
    /// The words that may stand before a dot.
    pub(crate) sources: &'static [&'static str],
}

impl Placeholders<'_> {
    /// The sources of a route's tags: the request that is answered, and its answer.
    pub(crate) const ROUTE: &'static [&'static str] = &["query", "header", "response"];
    /// The sources of the targets of a write.
    pub(crate) const WRITE: &'static [&'static str] = &["query", "header", "request", "response", "variables"];
}

impl TagTemplate {
    /// The parts in order; neighbouring literals are one.
    pub fn parts(&self) -> &[TagPart] {
        &self.parts
    }

    /// Whether it names variables of an operation.
    pub fn has_variables(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, TagPart::Variable(_)))
    }

    /// The names of the members that are taken from the JSON object of a request, and from that of a response.
    pub fn members(&self) -> (impl Iterator<Item = &String>, impl Iterator<Item = &String>) {
        let request = self.parts.iter().filter_map(|part| match part {
            TagPart::Request(name) => Some(name),
            _ => None,
        });
        let response = self.parts.iter().filter_map(|part| match part {
            TagPart::Response(name) => Some(name),
            _ => None,
        });
        (request, response)
    }

    /// Every name has to be one that `placeholders` has; braces that are meant as such are doubled.
    pub(crate) fn parse(text: &str, placeholders: Placeholders<'_>) -> Result<Self, Mistake> {
        if text.is_empty() || text.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
            return Err(Mistake::new(format!("tag `{}` is empty or contains white space", text.escape_debug()))
                .hint("a tag is one word: \"issues\", \"project:{query.project}\""));
        }
        let parts = pieces(text)?.into_iter().map(|piece| match piece {
            Piece::Literal(text) => Ok(TagPart::Literal(text)),
            Piece::Placeholder(placeholder) => part_of(placeholder, placeholders),
        });
        Ok(Self { parts: parts.collect::<Result<_, _>>()? })
    }
}

/// One piece of a template's text.
#[derive(Debug)]
pub(crate) enum Piece<'t> {
    /// With single braces where the text has doubled ones.
    Literal(String),
    /// The text in braces.
    Placeholder(&'t str),
}

/// A template's text taken apart; neighbouring literals are one.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Mistake> {
    let mut pieces = Vec::new();
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
        let (placeholder, after) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or_else(|| {
            Mistake::new(format!("a brace in `{text}` has no partner"))
                .hint("placeholders are written {NAME} or {query.NAME}; a literal brace is doubled")
        })?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Placeholder(placeholder));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

fn part_of(placeholder: &str, Placeholders { of, names, sources }: Placeholders<'_>) -> Result<TagPart, Mistake> {
    if let Some(index) = names.iter().position(|name| name == placeholder) {
        return Ok(TagPart::Path(index));
    }
    let known = |hint: &str| nearest::hint(placeholder, names.iter().map(String::as_str), hint);
    match placeholder.split_once('.') {
        Some((source, name)) if !name.is_empty() && sources.contains(&source) => match source {
            "query" => Ok(TagPart::Query(name.to_owned())),
            "request" => Ok(TagPart::Request(name.to_owned())),
            "response" => Ok(TagPart::Response(name.to_owned())),
            "variables" => Ok(TagPart::Variable(name.to_owned())),
            _ => HeaderName::try_from(name)
                .map(TagPart::Header)
                .map_err(|_| Mistake::new(format!("`{name}` is not the name of a header field")).hint("like {header.x-project}")),
        },
        Some((source, _)) if !sources.is_empty() => {
            let hint = nearest::hint(source, sources.iter().copied(), "placeholders are taken from");
            Err(Mistake::new(format!("unknown placeholder `{{{placeholder}}}` in a tag")).hint(hint))
        }
        None if names.is_empty() && !sources.is_empty() => Err(Mistake::new(format!("`{{{placeholder}}}` is not a part of {of}"))
            .hint(format!("it has no named parts; for a query parameter write {{query.{placeholder}}}"))),
        _ if names.is_empty() => Err(Mistake::new(format!("`{{{placeholder}}}` is not a part of {of}")).hint("it has no named parts")),
        _ => Err(Mistake::new(format!("`{{{placeholder}}}` is not a part of {of}")).hint(known("its named parts"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TagTemplate, Mistake> {
        let names = ["org".to_owned(), "id".to_owned()];
        TagTemplate::parse(text, Placeholders { of: "this route's path", names: &names, sources: Placeholders::WRITE })
    }

    #[test]
    fn places_are_path_parts_query_parameters_fields_and_json_members() {
        let tag = parse("a:{id}:{query.project}{header.X-Team}{request.to}{response.a.b}{variables.input.id}}}!").unwrap();
        let expected = [
            TagPart::Literal("a:".to_owned()),
            TagPart::Path(1),
            TagPart::Literal(":".to_owned()),
            TagPart::Query("project".to_owned()),
            TagPart::Header(HeaderName::from_static("x-team")),
            TagPart::Request("to".to_owned()),
            TagPart::Response("a.b".to_owned()),
            TagPart::Variable("input.id".to_owned()),
            TagPart::Literal("}!".to_owned()),
        ];
        assert_eq!(tag.parts(), expected);
    }

    #[test]
    fn an_unknown_placeholder_is_refused_with_the_nearest_name() {
        let mistake = |text| parse(text).unwrap_err();
        assert_eq!(mistake("issue:{ids}").hint.as_deref(), Some("did you mean `id`?"));
        assert_eq!(mistake("{project}").hint.as_deref(), Some("its named parts: `org`, `id`"));
        assert_eq!(mistake("{qeury.a}").hint.as_deref(), Some("did you mean `query`?"));
        assert_eq!(mistake("{reqest.a}").hint.as_deref(), Some("did you mean `request`?"));
        assert_eq!(
            mistake("{body.a}").hint.as_deref(),
            Some("placeholders are taken from: `query`, `header`, `request`, `response`, `variables`")
        );
        assert_eq!(mistake("{response.}").message, "unknown placeholder `{response.}` in a tag");
        assert_eq!(mistake("{header.a b}").message, "tag `{header.a b}` is empty or contains white space");
        assert_eq!(mistake("{header.(}").message, "`(` is not the name of a header field");
        assert_eq!(mistake("a}").message, "a brace in `a}` has no partner");
        assert_eq!(mistake("").message, "tag `` is empty or contains white space");
    }
}
