//! Patterns over host and path.

/// A pattern: `*` stands for any text without a slash, `**` for any text; everything else is itself. Longest texts cost at most the
/// product of the three lengths involved, never more: there is no way to write a pattern that explodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

/// Where to continue after a mismatch: the index in the pattern after a star, and the text that the star has not matched yet.
type Retry = Option<(usize, usize)>;

impl Glob {
    /// Any text is a pattern.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut at, mut position) = (0, 0);
        let (mut star, mut anything): (Retry, Retry) = (None, None);
        loop {
            if pattern[at..].starts_with(b"**") {
                at += 2;
                (star, anything) = (None, Some((at, position)));
                continue;
            }
            if pattern.get(at) == Some(&b'*') {
                at += 1;
                star = Some((at, position));
                continue;
            }
            match (pattern.get(at), text.get(position)) {
                (None, None) => return true,
                (Some(expected), Some(found)) if expected == found => {
                    at += 1;
                    position += 1;
                    continue;
                }
                _ => {}
            }
            // The inner star matches one byte more, unless that is a slash; then the outer one does.
            if let Some((after, next)) = star
                && text.get(next).is_some_and(|byte| *byte != b'/')
            {
                star = Some((after, next + 1));
                (at, position) = (after, next + 1);
            } else if let Some((after, next)) = anything
                && next < text.len()
            {
                (star, anything) = (None, Some((after, next + 1)));
                (at, position) = (after, next + 1);
            } else {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stays_in_its_segment_and_two_do_not() {
        for (pattern, text, matches) in [
            ("a.example/x", "a.example/x", true),
            ("a.example/x", "a.example/xy", false),
            ("a.example/*/c", "a.example/b/c", true),
            ("a.example/*/c", "a.example/b/b/c", false),
            ("a.example/**/c", "a.example/b/b/c", true),
            ("*.example/**", "a.example/b/c", true),
            ("*.example/**", "a.other/b/c", false),
            ("**", "", true),
            ("*", "a/b", false),
            ("a/i*s/*.json", "a/issues/7.json", true),
            ("a/**/b*/**c", "a/x/b/b1/zc", true),
            ("", "a", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), matches, "{pattern} on {text}");
        }
    }

    /// The definition, taken literally.
    fn defined(pattern: &[u8], text: &[u8]) -> bool {
        if let Some(rest) = pattern.strip_prefix(b"**") {
            return (0..=text.len()).any(|cut| defined(rest, &text[cut..]));
        }
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).take_while(|cut| !text[..*cut].contains(&b'/')).any(|cut| defined(rest, &text[cut..])),
            Some((byte, rest)) => text.first() == Some(byte) && defined(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_definition_says(pattern in "[ab/*]{0,8}", text in "[ab/]{0,9}") {
            prop_assert_eq!(Glob::new(&pattern).matches(&text), defined(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
