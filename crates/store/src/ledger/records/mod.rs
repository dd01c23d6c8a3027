//! The records of the ledger: invalidations, and when each was.
//!
//! [`Records::add`] records an invalidation, [`Records::check`] compares an entry with all of them. [`Records::fold`] makes room where there
//! are too many (`fold`, into `folded`, by what `covers` them), and [`Records::age`] forgets those that can concern nothing any more.

mod covers;
mod fold;
mod folded;
mod stamp;
mod tag_map;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use larder_semantics::Timestamp;

use self::covers::Covers;
use self::folded::Folded;
use self::stamp::Stamp;
use self::tag_map::TagMap;
use super::invalidation::{Invalidation, InvalidationTarget};
use super::pattern::Pattern;
use super::prefix::{Depth, Prefix, host_and_path, path_of, prefixes_of};
use super::spelling::{Spellings, one_spelling};
use super::tag::Tag;
use super::{Folds, Position, Subject, Validity};

/// Bytes that a record takes, with its part of the table.
pub(super) const RECORD: usize = 60;

/// Records kept before the older half is folded: about 13 MiB. As many as a table of a power of two holds.
pub(super) const MAX_RECORDS: usize = 224 * 1024;

/// Patterns kept before the oldest half is folded: an entry that was not asked for meanwhile is compared with each.
pub(super) const MAX_PATTERNS: usize = 1024;

/// Regular expressions kept before the oldest half is folded: each takes memory of its own, and longer to compare.
const MAX_REGEXES: usize = 64;

/// Number of time marks in the longest lifetime: the precision with which records expire.
const MARKS: u64 = 16;

/// Minimum age in milliseconds before a record expires, for responses that are being fetched and not stored yet.
const MIN_RECORD_AGE: u64 = 600_000;

#[derive(Debug, Default)]
pub(super) struct Records {
    tags: TagMap<Record>,
    /// Whether URLs are among them by their path alone.
    paths: bool,
    prefixes: TagMap<(Record, Depth)>,
    /// The depths of all prefixes.
    depths: Depth,
    /// Oldest first.
    patterns: VecDeque<(Pattern, Stamp)>,
    everything: Stamp,
    folded: Folded,
    pub(super) folds: Folds,
    /// The position from which the current one was reached.
    pub(super) before_head: Position,
    /// Everything from before it is invalid: its records are no longer kept.
    floor: Position,
    /// Times, each with the last position then, oldest first.
    marks: VecDeque<(Timestamp, Position)>,
}

/// The invalidations, and the coarser ones that cover folded ones.
#[derive(Clone, Copy, Debug)]
struct Record {
    stamp: Stamp,
    covers: Covers,
}

impl Record {
    fn of(target: &InvalidationTarget) -> Self {
        Self { stamp: Stamp::default(), covers: Covers::of(target) }
    }
}

impl Records {
    /// `patterns` are those of the invalidation.
    pub(super) fn add(&mut self, invalidation: &Invalidation, patterns: Vec<Pattern>, position: Position) {
        let soft = invalidation.soft;
        for target in &invalidation.targets {
            let tag = match target {
                InvalidationTarget::Url(url) => Tag::url(url),
                InvalidationTarget::Tag(name) => Tag::named(name),
                InvalidationTarget::Route(name) => Tag::route(name),
                InvalidationTarget::Class(name) => Tag::class(name),
                InvalidationTarget::Namespace(name) => Tag::namespace(name),
                InvalidationTarget::Identity(text) => Tag::identity(text),
                InvalidationTarget::Path(path) => {
                    self.paths = true;
                    Tag::path(&one_spelling(path))
                }
                InvalidationTarget::Prefix(text) => {
                    let prefix = Prefix::new(text);
                    let (record, _) = self.prefixes.entry(prefix.tag).or_insert_with(|| (Record::of(target), prefix.depth));
                    record.stamp.set(position, soft);
                    self.depths.join(prefix.depth);
                    continue;
                }
                InvalidationTarget::Pattern(_) | InvalidationTarget::Regex(_) => continue,
                InvalidationTarget::All => {
                    self.everything.set(position, soft);
                    continue;
                }
            };
            self.tags.entry(tag).or_insert_with(|| Record::of(target)).stamp.set(position, soft);
        }
        patterns.into_iter().for_each(|pattern| self.add_pattern(pattern, position, soft));
        if !soft && invalidation.targets.contains(&InvalidationTarget::All) {
            self.raise_floor(position);
        }
        self.fold(MAX_RECORDS, MAX_PATTERNS);
    }

    /// A pattern that is known already is moved to the end.
    fn add_pattern(&mut self, pattern: Pattern, position: Position, soft: bool) {
        let known = self.patterns.iter().position(|(known, _)| *known == pattern).and_then(|at| self.patterns.remove(at));
        let mut stamp = known.map_or_else(Stamp::default, |(_, stamp)| stamp);
        stamp.set(position, soft);
        self.patterns.push_back((pattern, stamp));
    }

    /// The validity of an entry since `position`.
    pub(super) fn check(&self, subject: &Subject<'_>, position: Position) -> Validity {
        if position < self.floor {
            return Validity::Invalid;
        }
        let mut found = self.everything.since(position);
        let url = Spellings::of(subject.url);
        if !self.tags.is_empty() {
            let path = self.paths.then(|| Tag::path(path_of(url.one())));
            for tag in subject.tags.iter().chain([Tag::of_spelling(url.one())]).chain(path) {
                if let Some(record) = self.tags.get(&tag) {
                    found = found.max(record.stamp.since(position));
                }
            }
        }
        if !self.depths.is_empty() {
            for tag in url.each().flat_map(|url| prefixes_of(url, self.depths)) {
                if let Some((record, _)) = self.prefixes.get(&tag) {
                    found = found.max(record.stamp.since(position));
                }
            }
        }
        found = found.max(self.folded.check(subject, &url, position));
        // Each entry is compared with each pattern once: from then on its position is behind the pattern's.
        for (pattern, stamp) in self.patterns.iter().rev().take_while(|(_, stamp)| stamp.last() > position) {
            let since = stamp.since(position);
            if since > found && url.each().any(|url| pattern.matches(host_and_path(url))) {
                found = since;
            }
        }
        found
    }

    /// Everything from before it is invalid.
    pub(super) fn floor(&self) -> Position {
        self.floor
    }

    pub(super) fn len(&self) -> usize {
        self.targets() + self.patterns.len()
    }

    fn targets(&self) -> usize {
        self.tags.len() + self.prefixes.len() + self.folded.len()
    }

    /// Drops records that are too old to concern a response that can still be served, given the longest `lifetime` in milliseconds.
    pub(super) fn age(&mut self, now: Timestamp, head: Position, lifetime: u64) {
        let lifetime = lifetime.max(MIN_RECORD_AGE);
        let past = |then: Timestamp, by: u64| now.as_millis().saturating_sub(then.as_millis()) > by;
        if self.len() > 0 && self.marks.back().is_none_or(|(then, _)| past(*then, lifetime / MARKS)) {
            self.marks.push_back((now, head));
        }
        let mut floor = None;
        while let Some((_, position)) = self.marks.front().filter(|(then, _)| past(*then, lifetime)) {
            floor = Some(*position);
            self.marks.pop_front();
        }
        if let Some(floor) = floor {
            self.raise_floor(floor);
        }
    }

    /// Everything from before `floor` is invalid, so no record of it is needed.
    pub(super) fn raise_floor(&mut self, floor: Position) {
        self.floor = self.floor.max(floor);
        let floor = self.floor;
        self.tags.retain(|_, record| record.stamp.last() > floor);
        self.prefixes.retain(|_, (record, _)| record.stamp.last() > floor);
        self.patterns.retain(|(_, stamp)| stamp.last() > floor);
        self.folded.raise_floor(floor);
        self.join_depths();
    }

    fn join_depths(&mut self) {
        self.depths = Depth::default();
        self.prefixes.values().for_each(|(_, depth)| self.depths.join(*depth));
    }
}
