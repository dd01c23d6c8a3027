//! Positions that outlive the process.
//!
//! A ledger begins empty with its process, and a tier on a disk does not. What such a tier returns has to be compared with everything that was
//! invalidated since it was fetched, while an earlier process lived and while none did. The log has that by number, so the tier keeps a
//! [`LogPosition`] with each response, and the ledger says whether it can still judge it ([`Ledger::position_of`]):
//!
//! ```text
//! kept with the response          the ledger now                                  the response
//! its number, of this epoch       has read the log from before that number        is compared with what came since
//! its number, of this epoch       the log no longer reaches back that far         is not used
//! its number, of another epoch    the log was emptied, lost its end, or is new    is not used
//! any                             has not read the log yet                        is not used
//! ```

use std::num::NonZeroU64;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use xxhash_rust::xxh3::xxh3_64;

use super::{Ledger, Position};

/// One life of a log of invalidations. A log that was emptied, restored from a copy or replaced by another one has another epoch: its numbers
/// say nothing about those of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(NonZeroU64);

impl Epoch {
    /// The epoch of the log that this text identifies.
    pub fn of(text: &str) -> Self {
        Self(NonZeroU64::new(xxh3_64(text.as_bytes())).unwrap_or(NonZeroU64::MIN))
    }

    /// As a number, to be kept with responses.
    pub fn to_bits(self) -> u64 {
        self.0.get()
    }

    /// The inverse of [`Self::to_bits`]; `None` for 0, which it never gives.
    pub fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }
}

/// A position in the ledger that means the same to a later process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogPosition {
    /// The log's epoch.
    pub epoch: Epoch,
    /// The number of the log's entry that was applied last.
    pub number: u64,
}

impl Ledger {
    /// The log was read to its end, and nothing that this process or an earlier one has invalidated is missing there or here. To be called
    /// after the entries were applied, and after [`Self::start_over_at`] where a new epoch begins.
    pub fn enter(&self, epoch: Epoch) {
        self.epoch.store(epoch.to_bits(), Ordering::Release);
    }

    /// The form in which a tier that outlives the process keeps this position with a response. `None`: a later process could not judge the response.
    /// To be asked before the response is compared with the ledger for the last time.
    pub fn log_position(&self, position: Position) -> Option<LogPosition> {
        let epoch = Epoch::from_bits(self.epoch.load(Ordering::Acquire)).filter(|_| !self.ran_over(position))?;
        Some(LogPosition { epoch, number: position.log_number() })
    }

    /// The position at which a response is to be compared that this process or an earlier one has stored. `None`: not all that was
    /// invalidated since is known, so it must not be used.
    pub fn position_of(&self, stored: LogPosition) -> Option<Position> {
        let epoch = Epoch::from_bits(self.epoch.load(Ordering::Acquire))?;
        let is_known = stored.epoch == epoch && stored.number <= self.logged.load(Ordering::Acquire);
        let position = Position::of_log(stored.number);
        (is_known && position >= self.horizon()).then_some(position)
    }

    /// Everything from before this position is invalid, because its records are no longer kept. A tier may drop what is older.
    pub fn horizon(&self) -> Position {
        self.records.read().unwrap_or_else(PoisonError::into_inner).floor()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Invalidation, InvalidationTarget, Subject, Validity};

    fn purge(tag: &str) -> Invalidation {
        Invalidation::hard([InvalidationTarget::Url(tag.to_owned())])
    }

    fn at(epoch: Epoch, number: u64) -> LogPosition {
        LogPosition { epoch, number }
    }

    fn validity(ledger: &Ledger, stored: LogPosition, url: &str) -> Option<Validity> {
        ledger.position_of(stored).map(|position| ledger.check(&Subject { url, tags: (&[]).into() }, position))
    }

    /// A new process, which reads a log of three entries.
    fn restarted(epoch: Epoch) -> Ledger {
        let ledger = Ledger::default();
        (1..=3).for_each(|number| ledger.apply_logged(number, &purge(&format!("http://a/{number}"))));
        ledger.enter(epoch);
        ledger
    }

    #[test]
    fn a_response_of_an_earlier_process_is_compared_with_what_the_log_has_since() {
        let epoch = Epoch::of("one");
        let ledger = restarted(epoch);
        assert_eq!(validity(&ledger, at(epoch, 1), "http://a/2"), Some(Validity::Invalid));
        assert_eq!(validity(&ledger, at(epoch, 2), "http://a/2"), Some(Validity::Valid));
        assert_eq!(validity(&ledger, at(epoch, 0), "http://a/x"), Some(Validity::Valid));
        assert_eq!(ledger.log_position(ledger.position()), Some(at(epoch, 3)));
    }

    #[test]
    fn nothing_is_judged_before_the_log_was_read_to_its_end() {
        let ledger = Ledger::default();
        ledger.apply_logged(1, &purge("http://a/1"));
        assert_eq!((ledger.position_of(at(Epoch::of("one"), 1)), ledger.log_position(ledger.position())), (None, None));
    }

    #[test]
    fn numbers_of_another_epoch_say_nothing() {
        let ledger = restarted(Epoch::of("one"));
        assert_eq!(ledger.position_of(at(Epoch::of("two"), 3)), None);
        // Not even those that the same log could not have given out.
        assert_eq!(ledger.position_of(at(Epoch::of("one"), 4)), None);
    }

    #[test]
    fn nothing_older_than_the_log_reaches_back_is_judged() {
        let epoch = Epoch::of("one");
        let ledger = Ledger::default();
        ledger.start_over_at(7);
        ledger.apply_logged(8, &purge("http://a/8"));
        ledger.enter(epoch);
        assert_eq!((ledger.position_of(at(epoch, 6)), ledger.horizon()), (None, Position::of_log(7)));
        assert_eq!(validity(&ledger, at(epoch, 7), "http://a/x"), Some(Validity::Valid));
        assert_eq!(validity(&ledger, at(epoch, 7), "http://a/8"), Some(Validity::Invalid));
    }

    #[test]
    fn an_invalidation_of_this_process_counts_before_the_log_has_it() {
        let epoch = Epoch::of("one");
        let ledger = restarted(epoch);
        let stored = ledger.log_position(ledger.position()).expect("it was read");
        ledger.apply(&purge("http://a/x"), larder_semantics::Timestamp::from_secs(1));
        assert_eq!(validity(&ledger, stored, "http://a/x"), Some(Validity::Invalid));
        assert_eq!(validity(&ledger, stored, "http://a/y"), Some(Validity::Valid));
    }

    #[test]
    fn an_epoch_is_kept_as_a_number() {
        let epoch = Epoch::of("one");
        assert_eq!((Epoch::from_bits(epoch.to_bits()), Epoch::from_bits(0)), (Some(epoch), None));
    }
}
