//! What entries are known under.

use xxhash_rust::xxh3::xxh3_64;

/// What an invalidation names, as a 64-bit hash of its text. Two texts with one hash are invalidated together: a miss, never a leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(u64);

impl Tag {
    /// The tag that every variant of a URL carries; `url` is a key's URL part.
    pub fn url(url: &str) -> Self {
        Self::of("url", url)
    }

    /// A surrogate key.
    pub fn surrogate(name: &str) -> Self {
        Self::of("tag", name)
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

    /// Everything stored for one caller, as their identity stands in a key.
    pub fn identity(text: &str) -> Self {
        Self::of("identity", text)
    }

    /// The hash itself, for a stored or a sent form.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// From [`Self::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) fn prefix(text: &str) -> Self {
        Self::of("prefix", text)
    }

    fn of(kind: &str, text: &str) -> Self {
        Self(xxh3_64(text.as_bytes()) ^ xxh3_64(kind.as_bytes()))
    }
}

/// The tags of one entry.
pub type Tags = Box<[Tag]>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_of_another_kind_is_another_tag() {
        let kinds = [Tag::url, Tag::surrogate, Tag::route, Tag::class, Tag::namespace, Tag::identity, Tag::prefix];
        for (index, one) in kinds.iter().enumerate() {
            assert!(kinds[..index].iter().all(|other| other("x") != one("x")));
        }
    }
}
