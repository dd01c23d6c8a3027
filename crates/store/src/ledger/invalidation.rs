//! Invalidations as plain data, whether of an operator, a write or another replica.

use serde::{Deserialize, Serialize};

/// Targets that are invalidated in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalidation {
    /// The targets. An entry is invalidated if any of them names it.
    pub targets: Vec<InvalidationTarget>,
    /// Stale from now on, but still served while one refresh runs; otherwise it is gone at once.
    #[serde(default)]
    pub soft: bool,
}

impl From<InvalidationTarget> for Invalidation {
    fn from(target: InvalidationTarget) -> Self {
        Self::hard([target])
    }
}

impl Invalidation {
    /// An invalidation after which the responses are gone.
    pub fn hard(targets: impl IntoIterator<Item = InvalidationTarget>) -> Self {
        Self { targets: targets.into_iter().collect(), soft: false }
    }

    /// An invalidation after which the responses are stale.
    pub fn soft(targets: impl IntoIterator<Item = InvalidationTarget>) -> Self {
        Self { targets: targets.into_iter().collect(), soft: true }
    }

    /// The responses with this tag; `issue:*` stands for all tags that begin with `issue:`.
    pub fn tag(tag: impl Into<String>) -> Self {
        InvalidationTarget::Tag(tag.into()).into()
    }

    /// All URLs with this path, on every host and with any query.
    pub fn path(path: impl Into<String>) -> Self {
        InvalidationTarget::Path(path.into()).into()
    }

    /// All URLs that begin with these whole path segments: `/a/b`, or `example.com/a/b`.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        InvalidationTarget::Prefix(prefix.into()).into()
    }

    /// All URLs whose host and path match: `*` stands for anything within a segment, `**` for anything.
    pub fn pattern(pattern: impl Into<String>) -> Self {
        InvalidationTarget::Pattern(pattern.into()).into()
    }

    /// Everything.
    pub fn everything() -> Self {
        InvalidationTarget::All.into()
    }

    /// The same and another target.
    #[must_use]
    pub fn and(mut self, target: InvalidationTarget) -> Self {
        self.targets.push(target);
        self
    }

    /// The same, softly: stale from now on, but still served while one refresh runs.
    #[must_use]
    pub fn into_soft(self) -> Self {
        Self { soft: true, ..self }
    }
}

/// The target of an invalidation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InvalidationTarget {
    /// A URL with all its variants, as it stands in keys.
    Url(String),
    /// All URLs that begin with these whole path segments: `example.com/a/b`, or `/a/b` on every host. A scheme before the host is
    /// ignored.
    Prefix(String),
    /// A surrogate key; `issue:*` stands for all that begin with `issue:` ([`NamedTag`](super::NamedTag)).
    Tag(String),
    /// A route, by name.
    Route(String),
    /// A class, by name.
    Class(String),
    /// A namespace.
    Namespace(String),
    /// One client, by the identity in its keys.
    Identity(String),
    /// All URLs whose host and path match: `*` stands for anything within a segment, `**` for anything.
    Pattern(String),
    /// All URLs in whose host and path this regular expression ([`Regex`](super::Regex)) finds something.
    Regex(String),
    /// Everything.
    All,
    /// All URLs with this path, on every host and with any query.
    Path(String),
}

impl InvalidationTarget {
    /// Every kind, for metrics with bounded labels.
    pub const KINDS: [&'static str; 11] =
        ["url", "prefix", "tag", "route", "class", "namespace", "identity", "pattern", "regex", "all", "path"];

    /// Its kind: one of [`Self::KINDS`].
    pub fn kind(&self) -> &'static str {
        Self::KINDS[self.kind_index()]
    }

    pub(super) fn kind_index(&self) -> usize {
        match self {
            Self::Url(_) => 0,
            Self::Prefix(_) => 1,
            Self::Tag(_) => 2,
            Self::Route(_) => 3,
            Self::Class(_) => 4,
            Self::Namespace(_) => 5,
            Self::Identity(_) => 6,
            Self::Pattern(_) => 7,
            Self::Regex(_) => 8,
            Self::All => 9,
            Self::Path(_) => 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_is_sent_and_stored_stays_as_it_is() {
        let text = r#"{"targets":[{"url":"http://a/x"},{"prefix":"a/b"},{"tag":"issue:7"},{"route":"r"},{"class":"c"},{"namespace":"n"},{"identity":"0f"},{"pattern":"a/*/b"},{"regex":"^a/"},"all",{"path":"/x"}],"soft":true}"#;
        let invalidation: Invalidation = serde_json::from_str(text).expect("the form is known");
        assert_eq!(serde_json::to_string(&invalidation).expect("plain data"), text);
        let kinds: Vec<_> = invalidation.targets.iter().map(InvalidationTarget::kind).collect();
        assert_eq!(kinds, InvalidationTarget::KINDS);
    }

    #[test]
    fn hard_is_what_goes_without_saying() {
        let invalidation: Invalidation = serde_json::from_str(r#"{"targets":["all"]}"#).expect("the form is known");
        assert_eq!(invalidation, Invalidation::hard([InvalidationTarget::All]));
    }
}
