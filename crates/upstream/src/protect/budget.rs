//! How many requests may be sent once more: a share of all, and some a second in any case (as in Finagle).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_config::PerMille;

/// Retries that may be saved up, so that a server that dies under load with all its requests costs no client an error.
const MAX_SAVED: i64 = 100;

/// Retries that are allowed in each second, however few requests there are.
const RESERVE: u32 = 10;

/// The budget of one upstream.
#[derive(Debug)]
pub(crate) struct Budget {
    share: i64,
    /// Thousandths of a retry.
    saved: AtomicI64,
    reserve: Mutex<Reserve>,
}

#[derive(Debug, Default)]
struct Reserve {
    second: Option<Instant>,
    used: u32,
}

impl Budget {
    /// Of so many retries for a thousand requests.
    pub(crate) fn new(share: PerMille) -> Self {
        let share = i64::from(share.0);
        let saved = if share == 0 { 0 } else { MAX_SAVED * 1000 };
        Self { share, saved: AtomicI64::new(saved), reserve: Mutex::default() }
    }

    /// A request came.
    pub(crate) fn deposit(&self) {
        // Threads that add at the same moment exceed the limit by a request each, which is nothing.
        if self.saved.load(Ordering::Relaxed) < MAX_SAVED * 1000 {
            self.saved.fetch_add(self.share, Ordering::Relaxed);
        }
    }

    /// Whether one more request may be sent again.
    pub(crate) fn withdraw(&self, now: Instant) -> bool {
        let taken = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| (saved >= 1000).then(|| saved - 1000));
        taken.is_ok() || self.reserve.lock().unwrap_or_else(PoisonError::into_inner).take(now)
    }
}

impl Reserve {
    fn take(&mut self, now: Instant) -> bool {
        if self.second.is_none_or(|second| now.saturating_duration_since(second) >= Duration::from_secs(1)) {
            *self = Self { second: Some(now), used: 0 };
        }
        self.used += 1;
        self.used <= RESERVE
    }
}

#[cfg(test)]
mod tests {
    use larder_tower::clock::monotonic;

    use super::*;

    fn withdrawn(budget: &Budget, now: Instant) -> usize {
        (0..1000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn retries_are_a_share_of_all_requests_and_ten_a_second() {
        let (budget, now) = (Budget::new(PerMille(200)), monotonic());
        assert_eq!(withdrawn(&budget, now), 110, "what it begins with, and the reserve of this second");
        (0..100).for_each(|_| budget.deposit());
        assert_eq!(withdrawn(&budget, now), 20);
        assert_eq!(withdrawn(&budget, now + Duration::from_secs(1)), 10);
    }

    #[test]
    fn no_more_is_saved_than_an_outage_may_cost() {
        let (budget, now) = (Budget::new(PerMille(1000)), monotonic());
        (0..100_000).for_each(|_| budget.deposit());
        assert_eq!(withdrawn(&budget, now), 110);
    }

    #[test]
    fn without_a_share_there_is_the_reserve_alone() {
        let (budget, now) = (Budget::new(PerMille(0)), monotonic());
        (0..100).for_each(|_| budget.deposit());
        assert_eq!(withdrawn(&budget, now), 10);
    }
}
