//! Targets that are compared with each entry: patterns and regular expressions over host and path.

use regex::bytes::RegexBuilder;

use super::glob::Glob;
use super::invalidation::InvalidationTarget;

/// Bytes that a compiled expression may take.
const MAX_COMPILED: usize = 64 << 10;

/// Maximum nesting of groups.
const DEEPEST: u32 = 50;

/// A regular expression over bytes, without Unicode classes. Matching takes time linear in the text, whatever the expression is.
#[derive(Clone, Debug)]
pub struct Regex(regex::bytes::Regex);

impl Regex {
    /// Compiles it.
    ///
    /// # Errors
    /// It is malformed, or would take more than 64 KiB; the text says what is wrong.
    pub fn new(text: &str) -> Result<Self, String> {
        let built =
            RegexBuilder::new(text).unicode(false).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).nest_limit(DEEPEST).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it takes more than 64KiB once compiled".to_owned(),
            // Several lines that show the position; the last one says what is wrong.
            error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        })
    }

    /// Whether it finds something in the text.
    pub fn finds(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }
}

/// One of both, ready to be compared.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Glob(Glob),
    Regex(Box<str>, Regex),
    /// Another replica could compile it and this one cannot, so it has to match everything.
    Anything(Box<str>),
}

impl Pattern {
    /// The patterns of an invalidation. Compiling is slow, so it is done before any lock is taken.
    pub(super) fn of(targets: &[InvalidationTarget]) -> Vec<Self> {
        let patterns = targets.iter().filter_map(|target| match target {
            InvalidationTarget::Pattern(text) => Some(Self::Glob(Glob::new(text))),
            InvalidationTarget::Regex(text) => Some(
                Regex::new(text).map_or_else(|_| Self::Anything(text.as_str().into()), |regex| Self::Regex(text.as_str().into(), regex)),
            ),
            _ => None,
        });
        patterns.collect()
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.matches(text),
            Self::Regex(_, regex) => regex.finds(text),
            Self::Anything(_) => true,
        }
    }

    pub(super) fn is_regex(&self) -> bool {
        !matches!(self, Self::Glob(_))
    }
}

/// The same text is the same pattern.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Glob(one), Self::Glob(other)) => one == other,
            (Self::Regex(one, _) | Self::Anything(one), Self::Regex(other, _) | Self::Anything(other)) => one == other,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_finds_its_place_anywhere_unless_it_says_where() {
        for (regex, text, found) in [
            ("/issues/[0-9]+$", "a.example/issues/7", true),
            ("/issues/[0-9]+$", "a.example/issues/7/x", false),
            ("^a\\.example/", "b.a.example/", false),
            ("(?i)/ISSUES", "a.example/issues", true),
        ] {
            assert_eq!(Regex::new(regex).map(|regex| regex.finds(text)), Ok(found), "{regex} on {text}");
        }
    }

    #[test]
    fn mistakes_in_an_expression_are_reported() {
        for (regex, said) in
            [("(", "unclosed group"), ("a{1001}{1001}", "it takes more than 64KiB once compiled"), ("\\p{Greek}", "Unicode")]
        {
            let error = Regex::new(regex).expect_err(regex);
            assert!(error.contains(said), "{regex}: {error}");
        }
    }

    #[test]
    fn an_expression_of_another_replica_that_is_not_understood_spares_nothing() {
        let [pattern] = &Pattern::of(&[InvalidationTarget::Regex("(".to_owned())])[..] else { panic!("one") };
        assert!(pattern.matches("a/b") && pattern.is_regex());
    }
}
