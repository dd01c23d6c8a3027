//! Surrogate keys as invalidations name them: one of them, or a family.

use std::borrow::Cow;

/// Surrogate keys that are the same up to one of these are a family.
pub(super) const FAMILY_END: char = ':';

/// Stands for anything, behind a colon at the end.
const STAR: char = '*';

/// Before such a star, and before others of its kind there: the star is one of the key itself.
const QUOTE: char = '\\';

/// The text of an [`InvalidationTarget::Tag`](super::InvalidationTarget::Tag), read.
///
/// ```text
/// issue:7     one key
/// issue:*     all that begin with `issue:`
/// issue:\*    one key, `issue:*`
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedTag<'t> {
    /// This key.
    One(Cow<'t, str>),
    /// All keys that begin so, up to and with a colon.
    Family(&'t str),
}

impl<'t> NamedTag<'t> {
    /// Reads the text of a target.
    pub fn read(text: &'t str) -> Self {
        match starred(text) {
            None => Self::One(text.into()),
            Some((prefix, "")) => Self::Family(prefix),
            Some((prefix, quotes)) => Self::One(format!("{prefix}{}{STAR}", &quotes[1..]).into()),
        }
    }

    /// The text that names this one key, quoted where it would read as a family.
    pub fn quoted(key: &str) -> Cow<'_, str> {
        match starred(key) {
            None => key.into(),
            Some((prefix, quotes)) => format!("{prefix}{QUOTE}{quotes}{STAR}").into(),
        }
    }

    /// The text of a template that has been filled in, as a target: a family only where the template itself ends so (`end`: its last literal text, if
    /// it ends in text), and never because of what was filled in.
    pub fn of_template(end: Option<&str>, filled: String) -> String {
        match end {
            Some(end) if Self::quoted(end) != end => filled,
            _ => Self::quoted(&filled).into_owned(),
        }
    }
}

/// The text before a star at its end, up to and with a colon, and the quotes between the two.
fn starred(text: &str) -> Option<(&str, &str)> {
    let before = text.strip_suffix(STAR)?;
    let prefix = before.trim_end_matches(QUOTE);
    prefix.ends_with(FAMILY_END).then(|| before.split_at(prefix.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_behind_a_colon_at_the_end_is_a_family_unless_it_is_quoted() {
        for (text, read) in [
            ("issue:7", NamedTag::One("issue:7".into())),
            ("issue:*", NamedTag::Family("issue:")),
            ("a:*:*", NamedTag::Family("a:*:")),
            (r"issue:\*", NamedTag::One("issue:*".into())),
            (r"issue:\\*", NamedTag::One(r"issue:\*".into())),
            ("*", NamedTag::One("*".into())),
            (r"\*", NamedTag::One(r"\*".into())),
            ("iss*", NamedTag::One("iss*".into())),
        ] {
            assert_eq!(NamedTag::read(text), read, "{text}");
        }
    }

    #[test]
    fn only_the_template_itself_names_a_family() {
        for (end, filled, target) in [
            (None, "issue:*", r"issue:\*"),
            (Some("*"), "issue:*", r"issue:\*"),
            (None, r"issue:\*", r"issue:\\*"),
            (None, "issue:7", "issue:7"),
            (Some("issue:*"), "issue:*", "issue:*"),
            (Some(":*"), "org:*:*", "org:*:*"),
        ] {
            assert_eq!(NamedTag::of_template(end, filled.to_owned()), target, "{end:?} {filled}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_key_reads_as_one_key(key in r"[a:*\\]{0,6}") {
            let quoted = NamedTag::quoted(&key);
            prop_assert_eq!(NamedTag::read(&quoted), NamedTag::One(key.as_str().into()));
        }
    }
}
