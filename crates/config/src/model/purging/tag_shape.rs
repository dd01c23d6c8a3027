//! Whether two templates of tags can come to the same text.

use super::{TagPart, TagTemplate};

/// One character of a text, as far as a template says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    This(u8),
    Any,
    /// Any number of any characters.
    Rest,
}

/// Whether what fills the places of one template can make it the same text as the other, or one of its family (`issue:*`).
pub(crate) fn may_meet(one: &TagTemplate, other: &TagTemplate) -> bool {
    let (one, other) = (pieces(one), pieces(other));
    // Whether what is left of both from these places on can meet, from the ends on.
    let mut meets = vec![vec![false; other.len() + 1]; one.len() + 1];
    for i in (0..=one.len()).rev() {
        for j in (0..=other.len()).rev() {
            meets[i][j] = match (one.get(i), other.get(j)) {
                (None, None) => true,
                (Some(Piece::Rest), Some(_)) => meets[i + 1][j] || meets[i][j + 1],
                (Some(_), Some(Piece::Rest)) => meets[i][j + 1] || meets[i + 1][j],
                (Some(Piece::Rest), None) => meets[i + 1][j],
                (None, Some(Piece::Rest)) => meets[i][j + 1],
                (Some(one), Some(other)) => (one == other || [*one, *other].contains(&Piece::Any)) && meets[i + 1][j + 1],
                (None, Some(_)) | (Some(_), None) => false,
            };
        }
    }
    meets[0][0]
}

fn pieces(template: &TagTemplate) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for part in template.parts() {
        match part {
            TagPart::Literal(text) => pieces.extend(text.bytes().map(Piece::This)),
            // Never empty: a template with an empty place is not filled.
            _ => pieces.extend([Piece::Any, Piece::Rest]),
        }
    }
    if pieces.ends_with(&[Piece::This(b':'), Piece::This(b'*')]) {
        pieces.pop();
        pieces.push(Piece::Rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::tags::Placeholders;
    use super::*;

    #[test]
    fn templates_meet_where_some_text_suits_both() {
        let names = ["id".to_owned()];
        let places = Placeholders { of: "a test", names: &names, sources: Placeholders::ROUTE };
        let template = |text| TagTemplate::parse(text, places).expect("a template");
        for (one, other) in [
            ("issues", "issues"),
            ("issue:{id}", "issue:{query.id}"),
            ("issue:{id}", "issue:7"),
            ("issue:*", "issue:{id}"),
            ("issue:*", "issue:7:comments"),
            ("{id}", "anything"),
            ("a:{id}:b", "a:x:{id}"),
            ("{id}:b", "a:{id}"),
        ] {
            assert!(may_meet(&template(one), &template(other)) && may_meet(&template(other), &template(one)), "{one} {other}");
        }
        for (one, other) in [
            ("issues", "issue"),
            ("issue:{id}", "issues:{id}"),
            ("issue:{id}", "issue:"),
            ("a:{id}:b", "a:{id}:c"),
            ("issue:*", "project:{id}"),
        ] {
            assert!(!may_meet(&template(one), &template(other)) && !may_meet(&template(other), &template(one)), "{one} {other}");
        }
    }
}
