//! The records of the ledger: invalidations, and when each was.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use larder_semantics::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::covers::{Cover, Covers, LEVELS};
use super::folded::Folded;
use super::invalidation::{Invalidation, InvalidationTarget};
use super::pattern::Pattern;
use super::prefix::{Depth, Prefix, host_and_path, path_of, prefixes_of};
use super::tag::Tag;
use super::{Folds, Position, Subject, Validity};

/// Bytes that a record takes, with its part of the table.
pub(super) const RECORD: usize = 60;

/// Records kept before the older half gives way: about 13 MiB. As many as a table of a power of two holds.
pub(super) const MAX_RECORDS: usize = 224 * 1024;

/// Records that become one of what covers them: fewer are not worth what is made old besides.
const WORTH_FOLDING: u32 = 16;

/// Patterns kept before the oldest half is folded: an entry that was not asked for meanwhile is compared with each.
pub(super) const MAX_PATTERNS: usize = 1024;

/// Regular expressions kept before the oldest half is folded: each takes memory of its own, and longer to compare.
const MAX_REGEXES: usize = 64;

/// Marks of time in the longest lifetime: how exactly records go when they can no longer concern anything.
const MARKS: u64 = 16;

/// Records stay for this long at least, in milliseconds, for what is being fetched and not stored yet.
const MIN_RECORD_AGE: u64 = 600_000;

#[derive(Debug, Default)]
pub(super) struct Records {
    tags: HashMap<Tag, Record, BuildHasherDefault<Spread>>,
    /// Whether URLs are among them by their path alone.
    paths: bool,
    prefixes: HashMap<Tag, (Record, Depth), BuildHasherDefault<Spread>>,
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
    /// When the head was where, oldest first.
    marks: VecDeque<(Timestamp, Position)>,
}

/// The invalidations, and the coarser ones that cover folded ones.
#[derive(Clone, Copy, Debug)]
struct Record {
    stamp: Stamp,
    covers: Covers,
}

/// When something was last invalidated, hard and soft.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamp {
    hard: Position,
    soft: Position,
}

impl Stamp {
    fn set(&mut self, position: Position, soft: bool) {
        *if soft { &mut self.soft } else { &mut self.hard } = position;
    }

    pub(super) fn join(&mut self, other: Self) {
        (self.hard, self.soft) = (self.hard.max(other.hard), self.soft.max(other.soft));
    }

    pub(super) fn last(self) -> Position {
        self.hard.max(self.soft)
    }

    pub(super) fn since(self, position: Position) -> Validity {
        match position {
            position if self.hard > position => Validity::Invalid,
            position if self.soft > position => Validity::Stale,
            _ => Validity::Valid,
        }
    }
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
                    Tag::path(path)
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

    /// The same pattern again takes the place of the older one.
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
        if !self.tags.is_empty() {
            let path = self.paths.then(|| Tag::path(path_of(subject.url)));
            for tag in subject.tags.iter().chain([Tag::url(subject.url)]).chain(path) {
                if let Some(record) = self.tags.get(&tag) {
                    found = found.max(record.stamp.since(position));
                }
            }
        }
        if !self.depths.is_empty() {
            for tag in prefixes_of(subject.url, self.depths) {
                if let Some((record, _)) = self.prefixes.get(&tag) {
                    found = found.max(record.stamp.since(position));
                }
            }
        }
        found = found.max(self.folded.check(subject, position));
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
        self.targets() + self.patterns.len()
    }

    fn targets(&self) -> usize {
        self.tags.len() + self.prefixes.len() + self.folded.len()
    }

    /// Forgets what is too old to concern anything that can still be served, given the longest `lifetime` there is in milliseconds.
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

    /// Makes room once there are too many.
    fn fold(&mut self, max: usize, max_patterns: usize) {
        let regexes = self.patterns.iter().filter(|(pattern, _)| pattern.is_regex());
        let regexes: Vec<Position> = regexes.map(|(_, stamp)| stamp.last()).collect();
        let all: Vec<Position> = self.patterns.iter().map(|(_, stamp)| stamp.last()).collect();
        for (list, max) in [(all, max_patterns), (regexes, MAX_REGEXES)] {
            if list.len() > max {
                self.drop_everything_before(list[list.len() / 2]);
            }
        }
        if self.targets() > max {
            self.fold_targets(max);
        }
    }

    /// Of the older half, those that share what covers them become one: as fine as gives room enough.
    fn fold_targets(&mut self, max: usize) {
        let records = self.tags.values().chain(self.prefixes.values().map(|(record, _)| record));
        let mut positions: Vec<Position> = records.map(|record| record.stamp).chain(self.folded.stamps()).map(Stamp::last).collect();
        let middle = positions.len() / 2;
        let (_, half, _) = positions.select_nth_unstable(middle);
        let half = *half;
        for level in 0..LEVELS {
            self.fold_into(level, half);
            if self.targets() <= max - max / 4 {
                self.folds.coarser += 1;
                return;
            }
        }
        self.drop_everything_before(half);
    }

    /// Folds the records from before `half` into what covers them at a level, where that is worth it.
    fn fold_into(&mut self, level: usize, half: Position) {
        let cover = |record: &Record| record.covers.at(level).filter(|_| record.stamp.last() <= half);
        let mut groups: HashMap<Cover, u32> = HashMap::new();
        let records = self.tags.values().chain(self.prefixes.values().map(|(record, _)| record));
        records.filter_map(cover).for_each(|cover| *groups.entry(cover).or_default() += 1);
        groups.retain(|_, members| *members >= WORTH_FOLDING);
        let folded = &mut self.folded;
        let mut keep = |record: &Record| match cover(record).filter(|cover| groups.contains_key(cover)) {
            Some(cover) => {
                folded.add(cover, record.stamp);
                false
            }
            None => true,
        };
        self.tags.retain(|_, record| keep(record));
        self.prefixes.retain(|_, (record, _)| keep(record));
        self.join_depths();
    }

    fn drop_everything_before(&mut self, floor: Position) {
        self.folds.everything += 1;
        self.raise_floor(floor);
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

    fn check_url(records: &Records, url: &str, position: u64) -> Validity {
        records.check(&Subject { url, tags: (&[]).into() }, Position(position))
    }

    #[test]
    fn writes_to_ever_new_urls_make_old_what_is_near_them_and_nothing_else() {
        for (url, near) in [
            (|n: u64| format!("http://a.example/login?x={n}"), "http://a.example/login?y"),
            (|n| format!("http://a.example/issues/{n}"), "http://a.example/issues/x"),
            (|n| format!("http://a.example/{n}/{n}/x"), "http://a.example/z"),
        ] as [(fn(u64) -> String, &str); 3]
        {
            let mut records = filled(200, |n| InvalidationTarget::Url(url(n)));
            records.fold(150, 8);
            assert!(records.targets() < 150 && records.folds == Folds { coarser: 1, everything: 0 }, "{:?}", records.folds);
            assert_eq!((check_url(&records, near, 50), check_url(&records, near, 150)), (Validity::Invalid, Validity::Valid), "{near}");
            assert_eq!((check_url(&records, &url(20), 19), check_url(&records, &url(20), 101)), (Validity::Invalid, Validity::Valid));
            assert_eq!((check_url(&records, &url(190), 189), check_url(&records, &url(190), 190)), (Validity::Invalid, Validity::Valid));
            for other in ["http://b.example/issues/1", "http://b.example/login?x=1"] {
                assert_eq!(check_url(&records, other, 0), Validity::Valid, "{other}");
            }
        }
    }

    #[test]
    fn what_is_near_is_as_fine_as_gives_room_enough() {
        let mut records = filled(200, |n| InvalidationTarget::Url(format!("http://a.example/issues/{n}")));
        records.fold(150, 8);
        assert_eq!(check_url(&records, "http://a.example/about", 0), Validity::Valid);
        let mut records = filled(200, |n| InvalidationTarget::Tag(format!("org:1:issue:{n}")));
        records.fold(150, 8);
        let about = |tag: &str| {
            let tags = Tag::surrogates([tag]).expect("few");
            records.check(&Subject { url: "http://a/x", tags: tags.as_slice().into() }, Position(0))
        };
        assert_eq!(
            (about("org:1:issue:x"), about("org:1:x"), about("org:1:issue:199")),
            (Validity::Invalid, Validity::Valid, Validity::Invalid)
        );
        let mut records = filled(200, |n| InvalidationTarget::Prefix(format!("a.example/projects/{n}")));
        records.fold(150, 8);
        assert_eq!(check_url(&records, "http://a.example/projects/x/y", 0), Validity::Invalid);
        assert_eq!(check_url(&records, "http://a.example/about", 0), Validity::Valid);
        let mut records = filled(200, |n| InvalidationTarget::Path(format!("/issues/{n}")));
        records.fold(150, 8);
        assert_eq!(check_url(&records, "http://any.example/issues/x", 0), Validity::Invalid);
        assert_eq!(check_url(&records, "http://any.example/about", 0), Validity::Valid);
    }

    #[test]
    fn callers_become_all_callers_and_nothing_that_is_for_everybody() {
        let mut records = filled(200, |n| InvalidationTarget::Identity(n.to_string()));
        records.fold(150, 8);
        let of = |tags: &[Tag]| records.check(&Subject { url: "http://a/x", tags: tags.into() }, Position(0));
        assert_eq!(of(&[Tag::any_identity(), Tag::identity("other")]), Validity::Invalid);
        assert_eq!(of(&[]), Validity::Valid);
    }

    #[test]
    fn a_fold_never_forgets_what_was_hard_or_soft() {
        let mut records = Records::default();
        for n in 1..=200_u64 {
            let invalidation = Invalidation { targets: vec![InvalidationTarget::Url(format!("http://a/i/{n}"))], soft: n > 20 };
            records.add(&invalidation, Vec::new(), Position(n));
        }
        records.fold(150, 8);
        assert_eq!(
            (check_url(&records, "http://a/i/5", 4), check_url(&records, "http://a/i/90", 30)),
            (Validity::Invalid, Validity::Stale)
        );
    }

    #[test]
    fn hosts_that_nobody_has_heard_of_before_leave_no_other_way_than_everything() {
        let mut records = filled(200, |n| InvalidationTarget::Url(format!("http://{n}.example/")));
        records.fold(150, 8);
        assert_eq!((records.folds.everything, records.floor), (1, Position(101)));
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
        // Entries from before can no longer be vouched for.
        assert_eq!(check(&records, "t", 0), Validity::Invalid);
        assert_eq!(check(&records, "t", 1), Validity::Valid);
    }
}
