//! Records that stand for many: each has the position of the last invalidation that it covers.

use std::collections::HashMap;

use super::covers::{Cover, half};
use super::stamp::Stamp;
use crate::ledger::prefix::{Depth, prefixes_of};
use crate::ledger::spelling::Spellings;
use crate::ledger::{Position, Subject, Validity};

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Folded {
    tags: HashMap<u32, Stamp>,
    prefixes: HashMap<u32, (Stamp, Depth)>,
    /// The depths of all prefixes.
    depths: Depth,
}

impl Folded {
    pub(super) fn add(&mut self, cover: Cover, stamp: Stamp) {
        match cover.depth() {
            None => self.tags.entry(cover.hash).or_default().join(stamp),
            Some(depth) => {
                let (known, depths) = self.prefixes.entry(cover.hash).or_default();
                known.join(stamp);
                depths.join(depth);
                self.depths.join(depth);
            }
        }
    }

    /// The validity of an entry since `position`.
    pub(super) fn check(&self, subject: &Subject<'_>, url: &Spellings<'_>, position: Position) -> Validity {
        let mut found = Validity::Valid;
        if !self.tags.is_empty() {
            let stamps = subject.tags.iter().filter_map(|tag| self.tags.get(&half(tag)));
            found = stamps.fold(found, |found, stamp| found.max(stamp.since(position)));
        }
        if !self.depths.is_empty() {
            let prefixes = url.each().flat_map(|url| prefixes_of(url, self.depths));
            let stamps = prefixes.filter_map(|tag| self.prefixes.get(&half(tag)));
            found = stamps.fold(found, |found, (stamp, _)| found.max(stamp.since(position)));
        }
        found
    }

    pub(super) fn len(&self) -> usize {
        self.tags.len() + self.prefixes.len()
    }

    /// Drops records from before `floor`.
    pub(super) fn raise_floor(&mut self, floor: Position) {
        self.tags.retain(|_, stamp| stamp.last() > floor);
        self.prefixes.retain(|_, (stamp, _)| stamp.last() > floor);
        self.depths = Depth::default();
        self.prefixes.values().for_each(|(_, depth)| self.depths.join(*depth));
    }

    pub(super) fn stamps(&self) -> impl Iterator<Item = Stamp> + '_ {
        self.tags.values().copied().chain(self.prefixes.values().map(|(stamp, _)| *stamp))
    }
}
