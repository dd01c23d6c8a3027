//! The text of `[tags] cascade`: the form of the tags that lead to others.

use larder_store::{TagPattern, TagPiece};

use crate::model::purging::tags::{Piece, TagPart, TagTemplate, pieces};
use crate::parse::mistake::Mistake;

/// The form of a tag, as written: text, and names that stand for any text but none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPattern {
    /// Before the first name, between names, and after the last.
    literals: Vec<String>,
    names: Vec<String>,
}

impl NamedPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let mut pattern = Self { literals: vec![String::new()], names: Vec::new() };
        let mut after_place = false;
        for piece in pieces(text)? {
            let name = match piece {
                Piece::Literal(literal) => {
                    *pattern.literals.last_mut().unwrap_or(&mut String::new()) = literal;
                    after_place = false;
                    continue;
                }
                Piece::Placeholder(name) => name,
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
                return Err(Mistake::new(format!("`{{{name}}}` in `{text}` has no proper name"))
                    .hint("a name is made of letters, digits, `_` and `-`: \"project:{id}\""));
            }
            if pattern.names.iter().any(|known| known == name) {
                return Err(Mistake::new(format!("`{text}` names `{name}` twice")).hint("give each part its own name"));
            }
            if after_place {
                return Err(Mistake::new(format!("nothing tells `{{{name}}}` in `{text}` from the part before it"))
                    .hint("put something between them: \"{org}:{id}\""));
            }
            pattern.names.push(name.to_owned());
            pattern.literals.push(String::new());
            after_place = true;
        }
        Ok(pattern)
    }

    /// The names, in the order in which they stand.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// A tag of this form.
    pub(crate) fn sample(&self) -> String {
        let names = self.names.iter().map(String::as_str).chain([""]);
        self.literals.iter().map(String::as_str).zip(names).flat_map(|(literal, name)| [literal, name]).collect()
    }

    pub(crate) fn into_pattern(self) -> TagPattern {
        TagPattern::new(self.literals)
    }
}

/// A tag that follows from another, whose template has no other placeholders than captures of that tag's form.
pub(crate) fn following(template: &TagTemplate) -> Vec<TagPiece> {
    let piece = |part: &TagPart| match part {
        TagPart::Literal(text) => Some(TagPiece::Text(text.clone())),
        TagPart::Path(position) => Some(TagPiece::Capture(*position)),
        TagPart::Query(_) | TagPart::Header(_) | TagPart::Request(_) | TagPart::Response(_) | TagPart::Variable(_) => None,
    };
    template.parts().iter().filter_map(piece).collect()
}
