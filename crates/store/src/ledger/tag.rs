//! Tags: the names that invalidations know entries by.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::named_tag::{FAMILY_END, NamedTag};
use super::spelling::one_spelling;
use crate::weight::allocated;

/// Families that one surrogate key may belong to.
const MAX_FAMILIES: usize = 16;

/// Tags of one entry. Its stored form counts them in 16 bits.
const MAX_TAGS: usize = 16 * 1024;

/// Up to so many tags are compared one by one.
const FEW: usize = 32;

/// A name that an invalidation gives, as a 64-bit hash of its text. Two texts with one hash are invalidated together: a miss, never a leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag([u8; Tag::SIZE]);

impl Hash for Tag {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.to_bits());
    }
}

impl Tag {
    /// Bytes that one takes.
    pub(crate) const SIZE: usize = size_of::<u64>();

    /// The tag that every variant of a URL has, said or not, and every other spelling of it; `url` is a key's URL part.
    pub fn url(url: &str) -> Self {
        Self::of_spelling(&one_spelling(url))
    }

    /// The same, of the one text for all its spellings.
    pub(super) fn of_spelling(text: &str) -> Self {
        Self::of("url", text)
    }

    /// A surrogate key.
    pub fn surrogate(name: &str) -> Self {
        Self::of("tag", name)
    }

    /// The tags of an entry with these surrogate keys: each key, and each family that it belongs to. `None` where they are too many
    /// to be kept: more than 16 families of one key, or more than 16,384 tags.
    pub fn surrogates<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Vec<Self>> {
        let mut tags = Vec::new();
        let mut known = HashSet::new();
        for name in names {
            let families = name.match_indices(FAMILY_END).map(|(at, _)| Self::family(&name[..=at]));
            for (level, tag) in families.chain([Self::surrogate(name)]).enumerate() {
                if level > MAX_FAMILIES || tags.len() > MAX_TAGS {
                    return None;
                }
                let is_new = match tags.len() {
                    ..=FEW => !tags.contains(&tag),
                    _ => {
                        // Only a long list needs a table.
                        if known.is_empty() {
                            known.extend(tags.iter().copied());
                        }
                        known.insert(tag)
                    }
                };
                if is_new {
                    tags.push(tag);
                }
            }
        }
        (tags.len() <= MAX_TAGS).then_some(tags)
    }

    /// Both together; `None` where they are too many to be kept.
    pub fn joined(tags: &[Self], more: &[Self]) -> Option<Tags> {
        (tags.len() + more.len() <= MAX_TAGS).then(|| tags.iter().chain(more).copied().collect())
    }

    /// The tag that an invalidation of a surrogate key names: `issue:7` one, `issue:*` the family of all that begin with `issue:`.
    pub(super) fn named(name: &str) -> Self {
        match NamedTag::read(name) {
            NamedTag::Family(prefix) => Self::family(prefix),
            NamedTag::One(name) => Self::surrogate(&name),
        }
    }

    pub(super) fn family(prefix: &str) -> Self {
        Self::of("family", prefix)
    }

    /// Everything stored under a route of this name.
    pub fn route(name: &str) -> Self {
        Self::of("route", name)
    }

    /// Everything stored under routes of a class of this name.
    pub fn class(name: &str) -> Self {
        Self::of("class", name)
    }

    /// Everything stored under a namespace.
    pub fn namespace(name: &str) -> Self {
        Self::of("namespace", name)
    }

    /// Everything stored for anybody in particular.
    pub fn any_identity() -> Self {
        Self::of("identities", "")
    }

    /// Every URL with this path, on whatever host.
    pub(super) fn path(path: &str) -> Self {
        Self::of("path", path)
    }

    /// Everything stored for one client, by the identity in its keys.
    pub fn identity(text: &str) -> Self {
        Self::of("identity", text)
    }

    /// The hash itself, for a stored or a sent form.
    pub fn to_bits(self) -> u64 {
        u64::from_le_bytes(self.0)
    }

    /// The bytes of [`Self::to_bits`], little-endian.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From [`Self::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        Self(bits.to_le_bytes())
    }

    pub(super) fn prefix(text: &str) -> Self {
        Self::of("prefix", text)
    }

    fn of(kind: &str, text: &str) -> Self {
        Self::from_bits(xxh3_64(text.as_bytes()) ^ xxh3_64(kind.as_bytes()))
    }
}

/// The tags of one entry, shared by the exchange that brings it and all that wait for it.
pub type Tags = Arc<[Tag]>;

/// Bytes of memory they take, with the counts of those who share them.
pub(crate) fn tags_weight(tags: &Tags) -> usize {
    allocated(2 * size_of::<usize>() + size_of_val::<[_]>(tags))
}

/// Tags in a row, to look at.
#[derive(Clone, Copy, Debug)]
pub struct TagList<'a>(Row<'a>);

#[derive(Clone, Copy, Debug)]
enum Row<'a> {
    Tags(&'a [Tag]),
    /// The inverse of [`Tag::as_bytes`].
    Packed(&'a [[u8; Tag::SIZE]]),
}

impl<'a> TagList<'a> {
    /// Of what [`Tag::as_bytes`] gave, one behind the other.
    pub(crate) fn packed(bytes: &'a [u8]) -> Self {
        Self(Row::Packed(bytes.as_chunks().0))
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Tag> + 'a {
        let (tags, packed): (&[Tag], &[_]) = match self.0 {
            Row::Tags(tags) => (tags, &[]),
            Row::Packed(packed) => (&[], packed),
        };
        tags.iter().copied().chain(packed.iter().map(|bits| Tag(*bits)))
    }
}

impl<'a> From<&'a [Tag]> for TagList<'a> {
    fn from(tags: &'a [Tag]) -> Self {
        Self(Row::Tags(tags))
    }
}

impl<'a, const N: usize> From<&'a [Tag; N]> for TagList<'a> {
    fn from(tags: &'a [Tag; N]) -> Self {
        Self(Row::Tags(tags))
    }
}

impl<'a> From<&'a Tags> for TagList<'a> {
    fn from(tags: &'a Tags) -> Self {
        Self(Row::Tags(tags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_all_that_begins_the_same_up_to_a_colon() {
        for (named, of, names) in [
            ("issue:7", "issue:7", true),
            ("issue:7", "issue:78", false),
            ("issue:*", "issue:7", true),
            ("issue:*", "issue:", true),
            ("issue:*", "issues:7", false),
            ("issue:*", "issue", false),
            ("org:1:*", "org:1:issue:7", true),
            ("org:*", "org:1:issue:7", true),
            ("org:2:*", "org:1:issue:7", false),
            ("iss*", "issue:7", false),
            ("*", "issue:7", false),
        ] {
            assert_eq!(Tag::surrogates([of]).expect("few").contains(&Tag::named(named)), names, "{named} and {of}");
        }
    }

    #[test]
    fn a_family_of_many_is_kept_once() {
        let names: Vec<String> = (0..50).map(|n| format!("issue:{n}")).collect();
        assert_eq!(Tag::surrogates(names.iter().map(String::as_str)).expect("few").len(), 51);
        let tags = Tag::surrogates(names.iter().chain(&names).map(String::as_str)).expect("few");
        assert_eq!(tags.len(), 51, "each once, however many there are");
    }

    #[test]
    fn a_response_with_too_many_families_or_tags_has_none() {
        let deep = |colons: usize| format!("a{}", ":".repeat(colons));
        assert_eq!(Tag::surrogates([deep(16).as_str()]).map(|tags| tags.len()), Some(17));
        assert_eq!(Tag::surrogates([deep(17).as_str()]), None);
        assert_eq!(Tag::surrogates([deep(1 << 20).as_str()]), None);
        let many: Vec<String> = (0..70_000).map(|n| n.to_string()).collect();
        assert_eq!(Tag::surrogates(many.iter().map(String::as_str)), None, "its stored form could not count them");
        let max = Tag::surrogates(many[..10_000].iter().map(String::as_str)).expect("few enough");
        assert_eq!((Tag::joined(&max, &max[..6_384]).map(|tags| tags.len()), Tag::joined(&max, &max)), (Some(16_384), None));
    }

    #[test]
    fn the_same_text_of_another_kind_is_another_tag() {
        let kinds = [Tag::url, Tag::surrogate, Tag::family, Tag::route, Tag::class, Tag::namespace, Tag::identity, Tag::prefix];
        for (index, one) in kinds.iter().enumerate() {
            assert!(kinds[..index].iter().all(|other| other("x") != one("x")));
        }
    }
}
