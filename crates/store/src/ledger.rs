//! The invalidation ledger: one growing sequence of invalidations, and for each tag the last position at which it was invalidated.
//!
//! Every stored response carries the position from before its fetch began. It is valid as long as none of its tags moved past that
//! position; so a fill that raced an invalidation is invalid by construction, whenever it is committed. An invalidation costs the
//! same whatever the number of entries. A hit costs one compare while nothing was invalidated since the entry was last checked.
//!
//! Replicas share the sequence through an [`InvalidationLog`](crate::InvalidationLog): its entries are numbered, and a position is such a
//! number with a count behind it, of what this process has invalidated since and the log may not have yet. Entries that leave the process
//! carry the number alone ([`Position::shared`]), which can only make them invalid sooner.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use larder_semantics::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

/// A place in the sequence of invalidations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// How many bits of a position count what the log does not have yet: four million invalidations between two entries of the log.
const LOCAL_BITS: u32 = 22;

impl Position {
    /// The position at which a log's entry of this number has been applied.
    pub fn of_log(number: u64) -> Self {
        Self(number << LOCAL_BITS)
    }

    /// The number of the log's entry that was applied last.
    pub fn log_number(self) -> u64 {
        self.0 >> LOCAL_BITS
    }

    /// The position as other replicas can read it.
    pub fn shared(self) -> Self {
        Self::of_log(self.log_number())
    }
}

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

    /// The hash itself, for a stored or a sent form.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// From [`Self::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    fn of(kind: &str, text: &str) -> Self {
        Self(xxh3_64(text.as_bytes()) ^ xxh3_64(kind.as_bytes()))
    }
}

/// The tags of one entry.
pub type Tags = Box<[Tag]>;

/// Records kept before the oldest half is folded into the floor: about 8 MiB.
const MAX_RECORDS: usize = 256 * 1024;

/// See the module's page.
#[derive(Debug)]
pub struct Ledger {
    /// The last position given out. Written under the lock, after the records.
    head: AtomicU64,
    /// For how many milliseconds after its fetch a response is vouched for; the largest number while the log is followed.
    vouched: AtomicU64,
    records: RwLock<Records>,
}

#[derive(Debug, Default)]
struct Records {
    moved: HashMap<Tag, Position, BuildHasherDefault<Spread>>,
    /// Everything from before it is invalid: its records are no longer kept.
    floor: Position,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { head: AtomicU64::new(0), vouched: AtomicU64::new(u64::MAX), records: RwLock::default() }
    }
}

impl Ledger {
    /// While the log cannot be read, nobody knows what other replicas have invalidated: from now on a response is vouched for only so
    /// long after its origin has sent or confirmed it.
    pub fn cut_off(&self, vouched: Duration) {
        self.vouched.store(u64::try_from(vouched.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The log is being followed.
    pub fn connected(&self) {
        self.vouched.store(u64::MAX, Ordering::Relaxed);
    }

    /// Whether a response that its origin sent or confirmed at `response_time` may be used without asking.
    pub fn vouches_for(&self, response_time: Timestamp, now: Timestamp) -> bool {
        now.as_millis().saturating_sub(response_time.as_millis()) <= self.vouched.load(Ordering::Relaxed)
    }

    /// The current position: to be read before a fetch begins.
    pub fn position(&self) -> Position {
        Position(self.head.load(Ordering::Acquire))
    }

    /// Invalidates everything that carries one of `tags`, as one step. When it returns, no look-up that starts later finds any of it.
    pub fn invalidate(&self, tags: impl IntoIterator<Item = Tag>) -> Position {
        self.record(&mut self.records.write().unwrap_or_else(PoisonError::into_inner), tags)
    }

    /// As [`Self::invalidate`], by a write whose own answer is to be stored with `kept` as its tags: whether nothing else invalidated any
    /// of those since `since`, and the position for it. One step, so that no invalidation falls between the question and the answer.
    pub fn invalidate_since(&self, tags: impl IntoIterator<Item = Tag>, kept: &[Tag], since: Position) -> (Position, bool) {
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        let untouched = records.is_valid(kept, since);
        (self.record(&mut records, tags), untouched)
    }

    fn record(&self, records: &mut Records, tags: impl IntoIterator<Item = Tag>) -> Position {
        let position = Position(self.head.load(Ordering::Relaxed) + 1);
        for tag in tags {
            records.moved.insert(tag, position);
        }
        records.fold(MAX_RECORDS);
        // Released last: whoever sees the new head finds the records.
        self.head.store(position.0, Ordering::Release);
        position
    }

    /// Applies an entry of the log. Entries have to come in the order of their numbers; one that came before is ignored.
    pub fn apply(&self, number: u64, tags: impl IntoIterator<Item = Tag>) {
        self.advance(number, |records, position| {
            records.moved.extend(tags.into_iter().map(|tag| (tag, position)));
            records.fold(MAX_RECORDS);
        });
    }

    /// Goes on from an entry of the log although not all before it are known: everything from before it is invalid.
    pub fn start_over_at(&self, number: u64) {
        self.advance(number, |records, position| {
            records.moved.clear();
            records.floor = position;
        });
    }

    fn advance(&self, number: u64, record: impl FnOnce(&mut Records, Position)) {
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        let position = Position::of_log(number);
        if position.0 > self.head.load(Ordering::Relaxed) {
            record(&mut records, position);
            self.head.store(position.0, Ordering::Release);
        }
    }

    /// Whether nothing that carries `tags` was invalidated since `position`.
    pub fn is_valid(&self, tags: &[Tag], position: Position) -> bool {
        if self.position() <= position {
            return true;
        }
        self.records.read().unwrap_or_else(PoisonError::into_inner).is_valid(tags, position)
    }
}

impl Records {
    fn is_valid(&self, tags: &[Tag], position: Position) -> bool {
        position >= self.floor && tags.iter().all(|tag| self.moved.get(tag).is_none_or(|moved| *moved <= position))
    }

    /// Forgets the older half once there are more than `most`, and with it everything stored before.
    fn fold(&mut self, most: usize) {
        if self.moved.len() <= most {
            return;
        }
        let mut positions: Vec<Position> = self.moved.values().copied().collect();
        let middle = positions.len() / 2;
        let (_, floor, _) = positions.select_nth_unstable(middle);
        self.floor = *floor;
        let floor = self.floor;
        self.moved.retain(|_, moved| *moved > floor);
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

    #[test]
    fn an_entry_is_valid_until_one_of_its_tags_moves() {
        let ledger = Ledger::default();
        let tags = [Tag::url("http://a/x"), Tag::surrogate("issues")];
        let before = ledger.position();
        ledger.invalidate([Tag::url("http://a/other")]);
        assert!(ledger.is_valid(&tags, before));
        ledger.invalidate([Tag::surrogate("issues")]);
        assert!(!ledger.is_valid(&tags, before));
        assert!(ledger.is_valid(&tags, ledger.position()));
    }

    #[test]
    fn a_fetch_that_began_before_an_invalidation_is_invalid_whenever_it_ends() {
        let ledger = Ledger::default();
        let tags = [Tag::url("http://a/x")];
        let began = ledger.position();
        let acknowledged = ledger.invalidate(tags);
        assert!(acknowledged > began);
        assert!(!ledger.is_valid(&tags, began));
    }

    #[test]
    fn a_write_outlives_its_own_invalidation_and_no_other() {
        let ledger = Ledger::default();
        let (url, project) = (Tag::url("http://a/x"), Tag::surrogate("project"));
        let began = ledger.position();
        let (position, untouched) = ledger.invalidate_since([url], &[url, project], began);
        assert!(untouched && ledger.is_valid(&[url, project], position) && !ledger.is_valid(&[url], began));
        ledger.invalidate([project]);
        let (_, untouched) = ledger.invalidate_since([url], &[url, project], position);
        assert!(!untouched, "the project was purged while the write was under way");
    }

    #[test]
    fn a_url_and_a_surrogate_key_of_the_same_text_differ() {
        assert_ne!(Tag::url("x"), Tag::surrogate("x"));
    }

    #[test]
    fn the_log_and_this_process_make_one_sequence() {
        let ledger = Ledger::default();
        let (mine, theirs) = ([Tag::surrogate("mine")], [Tag::surrogate("theirs")]);
        ledger.apply(7, theirs);
        let after_7 = ledger.position();
        assert_eq!((after_7.log_number(), after_7), (7, after_7.shared()));
        ledger.invalidate(mine);
        let after_mine = ledger.position();
        assert!(after_mine > after_7 && after_mine.shared() == after_7);
        assert!(!ledger.is_valid(&mine, after_mine.shared()), "what left this process is not taken back in its place");
        assert!(ledger.is_valid(&mine, after_mine) && ledger.is_valid(&theirs, after_7));
        ledger.apply(8, theirs);
        assert!(ledger.is_valid(&mine, after_mine) && !ledger.is_valid(&theirs, after_mine));
        ledger.apply(8, mine);
        assert!(ledger.is_valid(&mine, after_mine), "an entry is applied once");
    }

    #[test]
    fn while_it_is_cut_off_only_what_is_young_is_vouched_for() {
        let (ledger, fetched) = (Ledger::default(), Timestamp::from_secs(100));
        assert!(ledger.vouches_for(fetched, Timestamp::from_secs(1_000_000)));
        ledger.cut_off(Duration::from_secs(30));
        assert!(ledger.vouches_for(fetched, Timestamp::from_secs(130)));
        assert!(!ledger.vouches_for(fetched, Timestamp::from_millis(130_001)));
        ledger.connected();
        assert!(ledger.vouches_for(fetched, Timestamp::from_secs(1_000_000)));
    }

    #[test]
    fn after_a_gap_nothing_from_before_is_vouched_for() {
        let ledger = Ledger::default();
        ledger.apply(7, [Tag::surrogate("a")]);
        let before = ledger.position();
        ledger.start_over_at(20);
        assert!(!ledger.is_valid(&[Tag::surrogate("b")], before));
        assert!(ledger.is_valid(&[Tag::surrogate("a")], ledger.position()));
        assert_eq!(ledger.position(), Position::of_log(20));
    }

    #[test]
    fn folded_records_invalidate_what_they_can_no_longer_vouch_for() {
        let mut records = Records::default();
        for n in 1..=10 {
            records.moved.insert(Tag(n), Position(n));
        }
        records.fold(8);
        assert_eq!(records.floor, Position(6));
        assert_eq!(records.moved.len(), 4);
        let ledger = Ledger { head: AtomicU64::new(10), records: RwLock::new(records), ..Ledger::default() };
        assert!(!ledger.is_valid(&[Tag(99)], Position(5)));
        assert!(ledger.is_valid(&[Tag(99)], Position(6)));
        assert!(!ledger.is_valid(&[Tag(7)], Position(6)));
    }
}
