//! The look at other replicas' heartbeats, while a request here waits for their fetches.
//!
//! A holder is silent once its number has stood still for some looks in a row, each of which Redis has answered: a Redis or a replica that
//! stood still itself makes nobody silent. The looks of one lease count from when a request here saw it first, so the holder's first heartbeat
//! need not be there before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::heartbeat::interval;
use super::tier::Tier;
use crate::link::{Lane, Operation};
use crate::value::alive;

/// A holder is silent after so many looks without a new number: within half of the time that an operation may take.
const LOOKS: u32 = 3;

/// A lease that nobody here has asked about for so long is not looked at any more.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// Leases of other replicas that are watched.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    leases: HashMap<u64, Sight>,
    looks: bool,
}

/// What is seen of one lease's holder.
#[derive(Debug)]
struct Sight {
    replica: u64,
    asked: Instant,
    /// The number that was read last; `None` before the first look, and a replica without one has none.
    number: Option<Option<u64>>,
    unchanged: u32,
}

impl Sight {
    fn see(&mut self, number: Option<u64>) {
        let is_unchanged = self.number.replace(number) == Some(number);
        self.unchanged = if is_unchanged { self.unchanged + 1 } else { 0 };
    }

    fn is_silent(&self) -> bool {
        self.unchanged >= LOOKS
    }
}

/// Whether the holder of this lease is silent. It is looked at from the first question on.
pub(super) fn is_silent(tier: &Arc<Tier>, token: u64, replica: u64) -> bool {
    let asked = (tier.link.clocks().monotonic)();
    let mut state = tier.watched.lock();
    if !std::mem::replace(&mut state.looks, true) {
        tokio::spawn(look(Arc::downgrade(tier)));
    }
    let sight = state.leases.entry(token).or_insert(Sight { replica, asked, number: None, unchanged: 0 });
    sight.asked = asked;
    sight.is_silent()
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replicas to look at; none: nobody asks any more, and looking ends.
    fn replicas(&self, now: Instant) -> Vec<u64> {
        let mut state = self.lock();
        state.leases.retain(|_, sight| now.saturating_duration_since(sight.asked) <= FORGOTTEN);
        state.looks = !state.leases.is_empty();
        let mut replicas: Vec<u64> = state.leases.values().map(|sight| sight.replica).collect();
        replicas.sort_unstable();
        replicas.dedup();
        replicas
    }

    fn saw(&self, replicas: &[u64], numbers: &[Option<u64>]) {
        let numbers: HashMap<u64, Option<u64>> = replicas.iter().copied().zip(numbers.iter().copied()).collect();
        // A lease that came while Redis was asked may be of a replica that it was not asked about.
        for sight in self.lock().leases.values_mut() {
            numbers.get(&sight.replica).into_iter().for_each(|number| sight.see(*number));
        }
    }
}

async fn look(tier: Weak<Tier>) {
    loop {
        let Some(pause) = tier.upgrade().map(|tier| interval(tier.link.options().timeout)) else { return };
        tokio::time::sleep(pause).await;
        let Some(tier) = tier.upgrade() else { return };
        let replicas = tier.watched.replicas((tier.link.clocks().monotonic)());
        if replicas.is_empty() {
            return;
        }
        let prefix = &tier.link.options().prefix;
        let mut get = redis::cmd("MGET");
        replicas.iter().for_each(|replica| _ = get.arg(alive(prefix, *replica)));
        let get = &get;
        let work = |mut connection| async move { get.query_async::<Vec<Option<u64>>>(&mut connection).await };
        // A look that fails says nothing of any replica.
        if let Ok(numbers) = tier.link.run(Operation::Renew, Lane::Small, work).await {
            tier.watched.saw(&replicas, &numbers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn now() -> Instant {
        Instant::now()
    }

    fn watching(leases: &[(u64, u64)]) -> Watched {
        let watched = Watched::default();
        for (token, replica) in leases {
            let sight = Sight { replica: *replica, asked: now(), number: None, unchanged: 0 };
            watched.lock().leases.insert(*token, sight);
        }
        watched
    }

    fn silent(watched: &Watched) -> Vec<u64> {
        let state = watched.lock();
        let mut silent: Vec<u64> = state.leases.iter().filter(|(_, sight)| sight.is_silent()).map(|(token, _)| *token).collect();
        silent.sort_unstable();
        silent
    }

    #[test]
    fn a_replica_whose_number_stands_still_is_silent_and_one_that_counts_on_is_not() {
        let watched = watching(&[(1, 7), (2, 8), (3, 9)]);
        assert_eq!(watched.replicas(now()), [7, 8, 9]);
        for look in 0..=u64::from(LOOKS) {
            assert_eq!(silent(&watched), [0; 0], "look {look}");
            // One has never counted, one has stopped, and one goes on with every other look.
            watched.saw(&[7, 8, 9], &[None, Some(5), Some(look / 2)]);
        }
        assert_eq!(silent(&watched), [1, 2]);
        watched.saw(&[7, 8, 9], &[Some(1), Some(6), Some(9)]);
        assert_eq!(silent(&watched), [0; 0], "it was slow, and lives");
    }

    #[test]
    fn a_new_lease_of_a_replica_that_had_nothing_to_say_is_not_silent() {
        let watched = watching(&[(1, 7)]);
        (0..9).for_each(|_| watched.saw(&[7], &[Some(5)]));
        let sight = Sight { replica: 7, asked: now(), number: None, unchanged: 0 };
        watched.lock().leases.insert(2, sight);
        watched.saw(&[7], &[Some(5)]);
        assert_eq!(silent(&watched), [1]);
    }

    #[test]
    fn a_watch_without_questions_is_forgotten() {
        let watched = watching(&[(1, 7)]);
        assert_eq!(watched.replicas(now()), [7]);
        assert!(watched.replicas(now() + 2 * FORGOTTEN).is_empty());
        assert!(!watched.lock().looks);
    }
}
