//! What was invalidated, and when.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use larder_semantics::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::invalidation::{Invalidation, InvalidationTarget};
use super::pattern::Pattern;
use super::prefix::{Depth, Prefix, host_and_path, prefixes_of};
use super::tag::Tag;
use super::{Position, Subject, Validity};

/// Records kept before the oldest half is folded into the floor: about 12 MiB.
pub(super) const MAX_RECORDS: usize = 256 * 1024;

/// Patterns kept before the oldest half is folded: an entry that was not asked for meanwhile is compared with each.
pub(super) const MAX_PATTERNS: usize = 1024;

/// Regular expressions kept before the oldest half is folded: each takes memory of its own, and longer to compare.
const MAX_REGEXES: usize = 64;

/// Marks of time in the longest lifetime: how exactly records go when they can no longer concern anything.
const MARKS: u64 = 16;

/// Records stay for this long at least, in milliseconds, for what is being fetched and not stored yet.
const LEAST_AGE: u64 = 600_000;

#[derive(Debug, Default)]
pub(super) struct Records {
    tags: HashMap<Tag, Stamp, BuildHasherDefault<Spread>>,
    prefixes: HashMap<Tag, (Stamp, Depth), BuildHasherDefault<Spread>>,
    /// The depths of all prefixes.
    depths: Depth,
    /// Oldest first.
    patterns: VecDeque<(Pattern, Stamp)>,
    everything: Stamp,
    /// The position from which the current one was reached.
    pub(super) before_head: Position,
    /// Everything from before it is invalid: its records are no longer kept.
    floor: Position,
    /// When the head was where, oldest first.
    marks: VecDeque<(Timestamp, Position)>,
}

/// When something was last invalidated, hard and soft.
#[derive(Clone, Copy, Debug, Default)]
struct Stamp {
    hard: Position,
    soft: Position,
}

impl Stamp {
    fn set(&mut self, position: Position, soft: bool) {
        *if soft { &mut self.soft } else { &mut self.hard } = position;
    }

    fn last(self) -> Position {
        self.hard.max(self.soft)
    }

    fn since(self, position: Position) -> Validity {
        match position {
            position if self.hard > position => Validity::Invalid,
            position if self.soft > position => Validity::Stale,
            _ => Validity::Valid,
        }
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
                InvalidationTarget::Prefix(text) => {
                    let prefix = Prefix::new(text);
                    self.prefixes.entry(prefix.tag).or_insert((Stamp::default(), prefix.depth)).0.set(position, soft);
                    self.depths.join(prefix.depth);
                    continue;
                }
                InvalidationTarget::Pattern(_) | InvalidationTarget::Regex(_) => continue,
                InvalidationTarget::All => {
                    self.everything.set(position, soft);
                    continue;
                }
            };
            self.tags.entry(tag).or_default().set(position, soft);
        }
        patterns.into_iter().for_each(|pattern| self.add_pattern(pattern, position, soft));
        if !soft && invalidation.targets.contains(&InvalidationTarget::All) {
            self.raise_floor(position);
        }
        self.fold(MAX_RECORDS, MAX_PATTERNS);
    }

    /// The same pattern again takes the place of the older one.
    fn add_pattern(&mut self, pattern: Pattern, position: Position, soft: bool) {
        let known = self.patterns.iter().position(|(known, _)| *known == pattern).and_then(|at| self.patterns.remove(at));
        let mut stamp = known.map_or_else(Stamp::default, |(_, stamp)| stamp);
        stamp.set(position, soft);
        self.patterns.push_back((pattern, stamp));
    }

    /// What happened to an entry since `position`.
    pub(super) fn check(&self, subject: &Subject<'_>, position: Position) -> Validity {
        if position < self.floor {
            return Validity::Invalid;
        }
        let mut found = self.everything.since(position);
        if !self.tags.is_empty() {
            for tag in subject.tags.iter().chain([Tag::url(subject.url)]) {
                if let Some(stamp) = self.tags.get(&tag) {
                    found = found.max(stamp.since(position));
                }
            }
        }
        if !self.depths.is_empty() {
            for tag in prefixes_of(subject.url, self.depths) {
                if let Some((stamp, _)) = self.prefixes.get(&tag) {
                    found = found.max(stamp.since(position));
                }
            }
        }
        // Each entry is compared with each pattern once: from then on its position is past it.
        for (pattern, stamp) in self.patterns.iter().rev().take_while(|(_, stamp)| stamp.last() > position) {
            let since = stamp.since(position);
            if since > found && pattern.matches(host_and_path(subject.url)) {
                found = since;
            }
        }
        found
    }

    pub(super) fn len(&self) -> usize {
        self.tags.len() + self.prefixes.len() + self.patterns.len()
    }

    /// Forgets what is too old to concern anything that can still be served, given the longest `lifetime` there is in milliseconds.
    pub(super) fn age(&mut self, now: Timestamp, head: Position, lifetime: u64) {
        let lifetime = lifetime.max(LEAST_AGE);
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

    /// Forgets the older half once there are too many, and with it everything stored before.
    fn fold(&mut self, most: usize, most_patterns: usize) {
        if self.patterns.len() > most_patterns {
            let stamp = self.patterns[self.patterns.len() / 2].1;
            self.raise_floor(stamp.last());
        }
        let regexes = || self.patterns.iter().filter(|(pattern, _)| pattern.is_regex());
        let count = regexes().count();
        if count > MAX_REGEXES
            && let Some((_, stamp)) = regexes().nth(count / 2)
        {
            self.raise_floor(stamp.last());
        }
        if self.tags.len() + self.prefixes.len() > most {
            let stamps = self.tags.values().chain(self.prefixes.values().map(|(stamp, _)| stamp));
            let mut positions: Vec<Position> = stamps.map(|stamp| stamp.last()).collect();
            let middle = positions.len() / 2;
            let (_, floor, _) = positions.select_nth_unstable(middle);
            let floor = *floor;
            self.raise_floor(floor);
        }
    }

    /// Everything from before `floor` is invalid, so no record of it is needed.
    pub(super) fn raise_floor(&mut self, floor: Position) {
        self.floor = self.floor.max(floor);
        let floor = self.floor;
        self.tags.retain(|_, stamp| stamp.last() > floor);
        self.prefixes.retain(|_, (stamp, _)| stamp.last() > floor);
        self.patterns.retain(|(_, stamp)| stamp.last() > floor);
        self.depths = Depth::default();
        self.prefixes.values().for_each(|(_, depth)| self.depths.join(*depth));
    }
}

/// Tags are hashes already.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, tag: u64) {
        self.0 = tag;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u64, target: impl Fn(u64) -> InvalidationTarget) -> Records {
        let mut records = Records::default();
        for n in 1..=count {
            add(&mut records, target(n), n);
        }
        records
    }

    fn add(records: &mut Records, target: InvalidationTarget, position: u64) {
        let patterns = Pattern::of(std::slice::from_ref(&target));
        records.add(&Invalidation::hard([target]), patterns, Position(position));
    }

    fn check(records: &Records, tag: &str, position: u64) -> Validity {
        records.check(&Subject { url: "http://a/x", tags: (&[Tag::surrogate(tag)]).into() }, Position(position))
    }

    #[test]
    fn folded_records_invalidate_what_they_can_no_longer_vouch_for() {
        let mut records = filled(10, |n| InvalidationTarget::Tag(n.to_string()));
        records.fold(8, 8);
        assert_eq!((records.floor, records.len()), (Position(6), 4));
        assert_eq!(check(&records, "other", 5), Validity::Invalid);
        assert_eq!(check(&records, "other", 6), Validity::Valid);
        assert_eq!(check(&records, "7", 6), Validity::Invalid);
    }

    #[test]
    fn patterns_are_bounded_by_themselves() {
        let mut records = filled(10, |n| InvalidationTarget::Pattern(format!("b/{n}")));
        records.fold(8, 8);
        assert_eq!((records.floor, records.len()), (Position(6), 4));
    }

    #[test]
    fn regular_expressions_are_bounded_by_themselves() {
        let records = filled(MAX_REGEXES as u64 + 1, |n| InvalidationTarget::Regex(format!("b/{n}")));
        assert_eq!((records.floor, records.len()), (Position(33), 32));
    }

    #[test]
    fn a_pattern_purged_again_and_again_is_one_record() {
        let records = filled(10, |_| InvalidationTarget::Pattern("a/*".to_owned()));
        assert_eq!(records.len(), 1);
        assert_eq!(check(&records, "x", 9), Validity::Invalid);
        assert_eq!(check(&records, "x", 10), Validity::Valid);
    }

    #[test]
    fn after_everything_no_other_record_is_needed() {
        let mut records = filled(10, |n| InvalidationTarget::Tag(n.to_string()));
        add(&mut records, InvalidationTarget::All, 11);
        assert_eq!(records.len(), 0);
        assert_eq!(check(&records, "x", 10), Validity::Invalid);
        assert_eq!(check(&records, "x", 11), Validity::Valid);
    }

    #[test]
    fn records_go_with_the_longest_lifetime_that_they_can_concern() {
        let (at, hour) = (|secs: u64| Timestamp::from_secs(1_000_000 + secs), 3_600_000);
        let mut records = filled(1, |_| InvalidationTarget::Tag("t".to_owned()));
        records.age(at(0), Position(1), hour);
        records.age(at(3_600), Position(1), hour);
        assert_eq!(records.len(), 1);
        assert_eq!(check(&records, "other", 0), Validity::Valid);
        records.age(at(3_601), Position(1), hour);
        assert_eq!(records.len(), 0);
        // What is still there from before can no longer be vouched for.
        assert_eq!(check(&records, "t", 0), Validity::Invalid);
        assert_eq!(check(&records, "t", 1), Validity::Valid);
    }
}
