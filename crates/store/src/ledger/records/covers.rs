//! The coarser targets that cover a record. Where there are too many records, those with the same cover become one.

use crate::ledger::invalidation::InvalidationTarget;
use crate::ledger::named_tag::{FAMILY_END, NamedTag};
use crate::ledger::prefix::{Depth, Prefix, ancestors, host_and_path};
use crate::ledger::spelling::one_spelling;
use crate::ledger::tag::Tag;

/// How many of them a record has at most.
pub(super) const LEVELS: usize = 3;

/// From the finest to the coarsest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Covers([Option<Cover>; LEVELS]);

/// A target that covers others. Only half of its hash is kept: two that share it invalidate more than they have to, and never less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cover {
    pub(super) hash: u32,
    kind: Kind,
}

/// The other operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// An entry's tags.
    Tag,
    /// The prefixes of an entry's URL at this depth, with or without its host.
    Prefix { depth: u8, host: bool },
}

impl Cover {
    /// A prefix's depth; `None` for a tag.
    pub(super) fn depth(self) -> Option<Depth> {
        match self.kind {
            Kind::Tag => None,
            Kind::Prefix { depth, host } => Some(Depth::of(u32::from(depth), host)),
        }
    }

    fn tag(tag: Tag) -> Self {
        Self { hash: half(tag), kind: Kind::Tag }
    }

    fn prefix(prefix: (Tag, u32), host: bool) -> Self {
        Self { hash: half(prefix.0), kind: Kind::Prefix { depth: u8::try_from(prefix.1).unwrap_or(u8::MAX), host } }
    }
}

/// The half of a hash that is kept, and that an entry's tags and prefixes are compared by.
pub(super) fn half(tag: Tag) -> u32 {
    tag.to_bits() as u32
}

impl Covers {
    /// Those of a target. Names that the configuration gives have none: there are few.
    pub(super) fn of(target: &InvalidationTarget) -> Self {
        match target {
            InvalidationTarget::Url(url) => Self::of_path(host_and_path(&one_spelling(url)), true),
            InvalidationTarget::Path(path) => Self::of_path(&one_spelling(path), true),
            InvalidationTarget::Prefix(text) => Self::of_path(&Prefix::text(text), false),
            InvalidationTarget::Tag(name) => Self::of_tag(name),
            InvalidationTarget::Identity(_) => Self([Some(Cover::tag(Tag::any_identity())), None, None]),
            _ => Self::default(),
        }
    }

    /// The path itself (with all its queries), its directory, and the host, or without one the path's first segment.
    fn of_path(text: &str, itself: bool) -> Self {
        // Without a host the shortest covers everything, which is no better than to drop everything.
        let host = !text.starts_with('/');
        let all: Vec<(Tag, u32)> = ancestors(text).filter(|(_, depth)| host || *depth > 0).collect();
        let finest = all.len().saturating_sub(usize::from(!itself));
        let covers = [finest.checked_sub(1), finest.checked_sub(2), (finest > 2).then_some(0)];
        Self(covers.map(|at| at.map(|at| Cover::prefix(all[at], host))))
    }

    /// The families: the smallest, the next, and the largest.
    fn of_tag(name: &str) -> Self {
        let (text, ends) = match NamedTag::read(name) {
            NamedTag::One(name) => (name, 0),
            NamedTag::Family(prefix) => (prefix.into(), 1),
        };
        let all: Vec<usize> = text.match_indices(FAMILY_END).map(|(at, _)| at).collect();
        let finest = all.len().saturating_sub(ends);
        let covers = [finest.checked_sub(1), finest.checked_sub(2), (finest > 2).then_some(0)];
        Self(covers.map(|at| at.map(|at| Cover::tag(Tag::family(&text[..=all[at]])))))
    }

    pub(super) fn at(&self, level: usize) -> Option<Cover> {
        self.0[level]
    }
}
