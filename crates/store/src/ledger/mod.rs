//! The invalidation ledger: one growing sequence of invalidations, and for every name in them the last position at which it was invalidated.
//!
//! Every stored response carries the position from before its fetch began. It is valid as long as nothing that names it moved past
//! that position; so a fill that raced an invalidation is invalid by construction, whenever it is committed. An invalidation costs the
//! same whatever the number of entries. A hit costs one compare while nothing was invalidated since the entry was last checked.
//!
//! ```text
//! names an entry by     kept as                       asked with
//! URL, tag, route,      hash -> last position         the entry's own tags: a look-up each
//! class, namespace
//! prefix                hash -> last position         the URL up to each slash, at depths that were ever invalidated
//! pattern               list, newest first            compared once with each entry that is asked for
//! everything            one position
//! ```
//!
//! Records take a bounded part of memory. Where there are too many, the older half is folded: records with something in common become one
//! record that covers them (URLs of a directory or host, tags of a family), and only where that is not enough everything from before is invalid.
//!
//! Replicas share the sequence through an [`InvalidationLog`](crate::InvalidationLog): its entries are numbered, and a position is such a
//! number with a count behind it, of what this process has invalidated since and the log may not have yet. Entries that leave the process
//! carry the number alone ([`Position::shared`]), which can only make them invalid sooner.

mod cascade;
mod checked;
mod epoch;
mod glob;
mod invalidation;
mod named_tag;
mod pattern;
mod prefix;
mod records;
mod spelling;
mod tag;

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_semantics::Timestamp;

use crate::sync::{AtomicU64, RwLock, RwLockWriteGuard};
pub use cascade::{Endless, TagCascade, TagPattern, TagPiece};
pub(crate) use checked::Checked;
pub use epoch::{Epoch, LogPosition};
pub use glob::Glob;
pub use invalidation::{Invalidation, InvalidationTarget};
pub use named_tag::NamedTag;
use pattern::Pattern;
pub use pattern::Regex;
use records::{RECORD, Records};
pub(crate) use tag::tags_weight;
pub use tag::{Tag, TagList, Tags};

/// A position in the sequence of invalidations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// How many bits of a position count what the log does not have yet: four million invalidations between two entries of the log. More of them run over
/// into the numbers of the log: see [`Ledger::ran_over`].
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

/// The names of an entry: its URL and its tags.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its key's URL part: prefixes and patterns are compared with it.
    pub url: &'a str,
    /// Its tags, less that of the URL, which follows from it.
    pub tags: TagList<'a>,
}

/// The validity of an entry, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Validity {
    /// Nothing has invalidated it.
    Valid,
    /// Softly invalidated: stale, but to be served while one refresh runs.
    Stale,
    /// Gone.
    Invalid,
}

/// Figures of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerStats {
    /// The last position given out.
    pub position: Position,
    /// Records kept.
    pub records: usize,
    /// How often records had to make room.
    pub folds: Folds,
    /// Targets invalidated since the start, as [`InvalidationTarget::KINDS`] lists them.
    pub invalidated: [u64; InvalidationTarget::KINDS.len()],
}

/// How often there were too many records, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Folds {
    /// Records became coarser ones: everything that these cover was invalidated with them.
    pub coarser: u64,
    /// That was not enough: everything from before was invalidated.
    pub everything: u64,
}

/// See the module's page.
#[derive(Debug)]
pub struct Ledger {
    /// The last position given out. Written under the lock, after the records.
    head: AtomicU64,
    /// Until when, in milliseconds, everything is vouched for; the largest number where no other process invalidates.
    vouched_until: AtomicU64,
    /// Later, for how many milliseconds after its fetch a response is.
    vouched: AtomicU64,
    records: RwLock<Records>,
    /// The number of the log's entry that was applied last. Written under the lock, before the head.
    logged: AtomicU64,
    /// The first and the last position whose [`Position::log_number`] is that of an entry which was not applied at it.
    overrun: [AtomicU64; 2],
    /// The [`Epoch`] that the log's numbers are of; 0: it was not read yet.
    epoch: AtomicU64,
    /// The maximum time in milliseconds for which anything stored may be served.
    max_lifetime: AtomicU64,
    /// [`Folds`], for readers without the lock.
    folds: [AtomicU64; 2],
    invalidated: [AtomicU64; InvalidationTarget::KINDS.len()],
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            head: AtomicU64::new(0),
            vouched_until: AtomicU64::new(u64::MAX),
            vouched: AtomicU64::new(u64::MAX),
            records: RwLock::default(),
            logged: AtomicU64::new(0),
            overrun: [AtomicU64::new(u64::MAX), AtomicU64::new(0)],
            epoch: AtomicU64::new(0),
            max_lifetime: AtomicU64::new(0),
            folds: [AtomicU64::new(0), AtomicU64::new(0)],
            invalidated: Default::default(),
        }
    }
}

impl Ledger {
    /// The log was read to its end: everything is vouched for until `until`. A process that was suspended, and has not read on, sees by its own
    /// clock that this time is over. From then on a response is vouched for only so long after its origin has sent or confirmed it.
    pub fn vouch_until(&self, until: Timestamp, afterwards: Duration) {
        self.vouched.store(u64::try_from(afterwards.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.vouched_until.store(until.as_millis(), Ordering::Relaxed);
    }

    /// The log cannot be read, so invalidations of other replicas are not known: the time of [`Self::vouch_until`] ends now.
    pub fn cut_off(&self, vouched: Duration) {
        self.vouch_until(Timestamp::from_millis(0), vouched);
    }

    /// The log is being followed: everything is vouched for until a call says otherwise.
    pub fn connected(&self) {
        self.vouched_until.store(u64::MAX, Ordering::Relaxed);
    }

    /// Whether a response that its origin was asked for at `requested`, or had at that time, may be used without asking again.
    pub fn vouches_for(&self, requested: Timestamp, now: Timestamp) -> bool {
        now.as_millis() <= self.vouched_until.load(Ordering::Relaxed)
            || now.as_millis().saturating_sub(requested.as_millis()) <= self.vouched.load(Ordering::Relaxed)
    }

    /// The current position: to be read before a fetch begins.
    pub fn position(&self) -> Position {
        Position(self.head.load(Ordering::Acquire))
    }

    /// Applies an invalidation as one step at the next position. No look-up that starts after it returns finds a response that it names, except
    /// as stale where the invalidation is soft.
    pub fn apply(&self, invalidation: &Invalidation, now: Timestamp) -> Position {
        self.append(invalidation, now, |_| ())
    }

    /// As [`Self::apply`], by a write whose own answer is to be stored as `kept`: whether nothing else invalidated that since `since`, and
    /// the position for it. One step, so that no invalidation falls between the question and the answer.
    pub fn apply_since(&self, invalidation: &Invalidation, now: Timestamp, kept: &Subject<'_>, since: Position) -> (Position, bool) {
        let mut untouched = false;
        let position = self.append(invalidation, now, |records| untouched = records.check(kept, since) == Validity::Valid);
        (position, untouched)
    }

    /// A position that is as good as the position `applied` of an invalidation, once this process has read it back as the log's entry `number`: the
    /// position of that, if the one came right after the other. Otherwise `applied` itself: which of the invalidations between the two concern it
    /// is not known any more.
    pub fn read_back(&self, applied: Position, number: u64) -> Position {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let logged = Position::of_log(number);
        if self.position() == logged && records.before_head == applied { logged } else { applied }
    }

    /// Applies an entry of the log. Entries have to come in the order of their numbers; one that came before is ignored.
    pub fn apply_logged(&self, number: u64, invalidation: &Invalidation) {
        let patterns = Pattern::of(&invalidation.targets);
        self.advance(number, |records, position| records.add(invalidation, patterns, position));
        self.count(invalidation);
    }

    /// Continues from an entry of the log although not all before it are known: everything from before it is invalid.
    pub fn start_over_at(&self, number: u64) {
        self.advance(number, Records::raise_floor);
    }

    fn append(&self, invalidation: &Invalidation, now: Timestamp, look: impl FnOnce(&Records)) -> Position {
        let patterns = Pattern::of(&invalidation.targets);
        let mut records = self.records();
        let head = self.position();
        records.age(now, head, self.max_lifetime.load(Ordering::Relaxed));
        look(&records);
        let next = Position(head.0 + 1);
        records.add(invalidation, patterns, next);
        self.publish(&mut records, next);
        drop(records);
        self.count(invalidation);
        next
    }

    fn advance(&self, number: u64, record: impl FnOnce(&mut Records, Position)) {
        let mut records = self.records();
        if number > self.logged.load(Ordering::Relaxed) {
            let position = Position::of_log(number).max(Position(self.position().0 + 1));
            record(&mut records, position);
            self.logged.store(number, Ordering::Release);
            self.publish(&mut records, position);
        }
    }

    /// Whether this process had invalidated so much since the log's last entry that the position has the number of a later one. Other processes must not
    /// see it: they would take it for one from after that entry.
    pub fn ran_over(&self, position: Position) -> bool {
        let [first, last] = &self.overrun;
        let is_of_log = self.epoch.load(Ordering::Acquire) != 0;
        is_of_log && (first.load(Ordering::Relaxed)..=last.load(Ordering::Relaxed)).contains(&position.0)
    }

    fn records(&self) -> RwLockWriteGuard<'_, Records> {
        self.records.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under the lock and after the records, so that a reader that sees the new head finds them.
    fn publish(&self, records: &mut Records, head: Position) {
        records.before_head = self.position();
        if head.log_number() > self.logged.load(Ordering::Relaxed) {
            self.overrun[0].fetch_min(head.0, Ordering::Relaxed);
            self.overrun[1].fetch_max(head.0, Ordering::Relaxed);
        }
        let Folds { coarser, everything } = records.folds;
        self.folds[0].store(coarser, Ordering::Relaxed);
        self.folds[1].store(everything, Ordering::Relaxed);
        self.head.store(head.0, Ordering::Release);
    }

    fn count(&self, invalidation: &Invalidation) {
        for target in &invalidation.targets {
            self.invalidated[target.kind_index()].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The validity of an entry since `position`.
    pub fn check(&self, subject: &Subject<'_>, position: Position) -> Validity {
        if self.position() <= position {
            return Validity::Valid;
        }
        self.records.read().unwrap_or_else(PoisonError::into_inner).check(subject, position)
    }

    /// A response that may be served for the next `lifetime` milliseconds is about to be stored, so records have to stay for as long.
    pub fn concern(&self, lifetime: u64) {
        if self.max_lifetime.load(Ordering::Relaxed) < lifetime {
            self.max_lifetime.fetch_max(lifetime, Ordering::Relaxed);
        }
    }

    /// How often records had to make room.
    pub fn folds(&self) -> Folds {
        let [coarser, everything] = &self.folds;
        Folds { coarser: coarser.load(Ordering::Relaxed), everything: everything.load(Ordering::Relaxed) }
    }

    /// Bytes of memory that its records take, about.
    pub fn weight(&self) -> u64 {
        (self.records.read().unwrap_or_else(PoisonError::into_inner).len() * RECORD) as u64
    }

    /// Figures for metrics. Drops records that can concern no response any more.
    pub fn stats(&self, now: Timestamp) -> LedgerStats {
        let mut records = self.records();
        let position = self.position();
        records.age(now, position, self.max_lifetime.load(Ordering::Relaxed));
        let invalidated = std::array::from_fn(|kind| self.invalidated[kind].load(Ordering::Relaxed));
        LedgerStats { position, records: records.len(), folds: records.folds, invalidated }
    }
}

#[cfg(test)]
mod tests;
