//! The groups that responses name (RFC 9875), as tags.

use larder_semantics::{CacheGroup, StoredHead};
use larder_store::{InvalidationTarget, NamedTag, Tag};

/// The tags that a stored response has by its groups. `url`: the part of its key.
pub(crate) fn group_tags(url: &str, head: &StoredHead) -> Vec<Tag> {
    CacheGroup::of_stored(url, head).iter().map(|group| Tag::surrogate(group.name())).collect()
}

/// A group as the target of an invalidation.
pub(crate) fn group_target(group: &CacheGroup) -> InvalidationTarget {
    InvalidationTarget::Tag(NamedTag::quoted(group.name()).into_owned())
}
