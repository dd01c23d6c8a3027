//! What requests are about, and the bodies that name it, so that a reader can tell another's, an older and a damaged answer by the body alone.

use std::fmt;

use crate::Lot;

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// For everyone, of all sizes that memory keeps.
    Key,
    /// Selected by `Accept-Language`.
    Language,
    /// One for each `Authorization`, by the route's `scope`.
    Identity,
    /// One for each `Authorization`, which the origin calls private.
    Private,
    /// One for each session cookie, of which the origin says nothing.
    Cookie,
    /// It arrives piece by piece.
    Stream,
    /// Longer than memory keeps.
    Large,
    /// From an origin that fails in all ways.
    Broken,
}

impl Family {
    pub(super) const ALL: [Self; 8] =
        [Self::Key, Self::Language, Self::Identity, Self::Private, Self::Cookie, Self::Stream, Self::Large, Self::Broken];

    /// The first part of its paths.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Language => "language",
            Self::Identity => "identity",
            Self::Private => "private",
            Self::Cookie => "cookie",
            Self::Stream => "stream",
            Self::Large => "large",
            Self::Broken => "broken",
        }
    }

    /// How many resources it has.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Key => 120,
            Self::Large => 3,
            _ => 8,
        }
    }

    /// For whom a resource has answers of their own.
    pub(super) fn readers(self) -> &'static [&'static str] {
        match self {
            Self::Language => &["de", "en", "fr"],
            Self::Identity | Self::Private | Self::Cookie => &["ann", "bob", "eve"],
            Self::Key | Self::Stream | Self::Large | Self::Broken => &["all"],
        }
    }

    /// Whether a PUT to it changes it.
    pub(super) fn is_written(self) -> bool {
        matches!(self, Self::Key | Self::Language | Self::Stream | Self::Large)
    }
}

/// A resource, and whose answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    pub(super) family: Family,
    pub(super) key: usize,
    pub(super) reader: &'static str,
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.family.word(), self.key, self.reader)
    }
}

/// Bytes after which the filling of a body begins again. It divides no size of a chunk or segment, so that one that stands in another's place shows.
const PERIOD: usize = 1021;

impl Subject {
    /// One of a family, by lot.
    pub(super) fn drawn(family: Family, lot: &mut Lot) -> Self {
        Self { family, key: lot.below(family.count()), reader: lot.one_of(family.readers()) }
    }

    /// Those of all families.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let keys = |family: Family| (0..family.count()).map(move |key| (family, key));
        let each = |(family, key): (Family, usize)| family.readers().iter().map(move |reader| Self { family, key, reader });
        Family::ALL.into_iter().flat_map(keys).flat_map(each)
    }

    /// The one that a request asks for: by its target and a field of the request.
    pub(super) fn asked(target: &str, field: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let (word, key) = target.strip_prefix('/')?.split_once('/')?;
        let family = Family::ALL.into_iter().find(|family| family.word() == word)?;
        let said = match family {
            Family::Language => field("accept-language")?,
            Family::Identity | Family::Private => field("authorization")?,
            Family::Cookie => field("cookie")?,
            Family::Key | Family::Stream | Family::Large | Family::Broken => "all".to_owned(),
        };
        let reader = family.readers().iter().find(|reader| said.ends_with(**reader))?;
        Some(Self { family, key: key.parse().ok()?, reader })
    }

    /// Its path.
    pub(super) fn path(self) -> String {
        format!("/{}/{}", self.family.word(), self.key)
    }

    /// The field by which a request says whose answer it asks for.
    pub(super) fn field(self) -> Option<(&'static str, String)> {
        match self.family {
            Family::Language => Some(("Accept-Language", self.reader.to_owned())),
            Family::Identity | Family::Private => Some(("Authorization", format!("Bearer {}", self.reader))),
            Family::Cookie => Some(("Cookie", format!("session={}", self.reader))),
            Family::Key | Family::Stream | Family::Large | Family::Broken => None,
        }
    }

    /// Its tag, under which it is purged for all readers.
    pub(super) fn tag(self) -> String {
        format!("{}:{}", self.family.word(), self.key)
    }

    /// The entity tag of a version.
    pub(super) fn etag(self, version: u64) -> String {
        format!("\"{self}.{version}\"")
    }

    /// The version that an entity tag names, if it is this subject's.
    pub(super) fn version_in(self, etag: &str) -> Option<u64> {
        let tag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        tag.strip_prefix(&self.to_string())?.strip_prefix('.')?.parse().ok()
    }

    /// The least length of its bodies.
    pub(super) fn min_length(self) -> usize {
        match self.family {
            Family::Large => 3_000_000,
            Family::Stream => 24_000,
            _ => [300, 300, 5_000, 300, 300, 100_000, 300, 600_000][self.key % 8],
        }
    }

    /// The body of a version: its first line names both.
    pub(super) fn body(self, version: u64) -> Vec<u8> {
        let length = self.min_length() + (version % 7) as usize * 13;
        let mut body = format!("{self} {version}\n").into_bytes();
        let seed = body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mut lot = Lot(seed | 1);
        let filling: Vec<u8> = (0..PERIOD).map(|_| b'a' + lot.below(26) as u8).collect();
        while body.len() < length {
            let rest = (length - body.len()).min(PERIOD);
            body.extend_from_slice(&filling[..rest]);
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, Subject};

    #[test]
    fn a_request_for_a_subject_is_known_by_its_path_and_field() {
        for subject in Subject::all() {
            let field = |name: &str| subject.field().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            assert_eq!(Subject::asked(&subject.path(), field), Some(subject));
            assert_eq!(subject.version_in(&subject.etag(17)), Some(17));
        }
    }

    #[test]
    fn bodies_of_two_subjects_or_versions_differ_and_their_parts_too() {
        let subject = Subject { family: Family::Large, key: 1, reader: "all" };
        let (one, next) = (subject.body(1), subject.body(2));
        assert_ne!(one[100..2_000], next[100..2_000]);
        assert_ne!(one[100..1_000], one[100 + 256 * 1024..1_000 + 256 * 1024]);
        assert_ne!(one, Subject { key: 2, ..subject }.body(1));
    }
}
