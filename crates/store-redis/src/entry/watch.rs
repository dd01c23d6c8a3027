//! The look at other replicas' heartbeats, while a request here waits for their fetches or reads what they relay. With each look the holders are told
//! that they are waited for.
//!
//! A holder is silent once its number has stood still for three quarters of the time that an operation may take, and for some looks in a row,
//! each of which Redis has answered: a Redis or a replica that stood still itself makes no other silent. The looks of one lease count from when
//! a request here saw it first, so the holder's first heartbeat need not be there before.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::heartbeat::{KEPT, interval};
use super::tier::Tier;
use crate::link::{Lane, Operation};
use crate::value::{alive, millis, wanted};

/// Least number of looks without a new number after which a holder is silent.
const LOOKS: u32 = 3;

/// A lease that nobody here has asked about for so long is not looked at any more.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// Leases of other replicas that are watched.
#[derive(Debug)]
pub(crate) struct Watched {
    state: Mutex<State>,
    /// For how long a number stands still before its replica is silent.
    max_silence: Duration,
    /// Notified when a replica has become silent.
    silenced: Notify,
}

#[derive(Debug, Default)]
struct State {
    leases: HashMap<u64, Sight>,
    looks: bool,
}

/// The signs of life of one lease's holder.
#[derive(Debug)]
struct Sight {
    replica: u64,
    looked_at: Instant,
    /// The number that was read last, and when it was read first; `None` before the first look, and a replica without one has none.
    number: Option<(Option<u64>, Instant)>,
    unchanged: u32,
    is_silent: bool,
}

impl Sight {
    fn new(replica: u64, looked_at: Instant) -> Self {
        Self { replica, looked_at, number: None, unchanged: 0, is_silent: false }
    }

    fn see(&mut self, number: Option<u64>, now: Instant, max_silence: Duration) {
        match self.number {
            Some((known, since)) if known == number => {
                self.unchanged += 1;
                self.is_silent = self.unchanged >= LOOKS && now.saturating_duration_since(since) >= max_silence;
            }
            _ => (self.number, self.unchanged, self.is_silent) = (Some((number, now)), 0, false),
        }
    }
}

/// Whether the holder of this lease is silent. It is looked at from the first question on.
pub(super) fn is_silent(tier: &Arc<Tier>, token: u64, replica: u64) -> bool {
    let looked_at = (tier.link.clocks().monotonic)();
    let mut state = tier.watched.lock();
    if !std::mem::replace(&mut state.looks, true) {
        tokio::spawn(look(Arc::downgrade(tier)));
    }
    let sight = state.leases.entry(token).or_insert_with(|| Sight::new(replica, looked_at));
    sight.looked_at = looked_at;
    sight.is_silent
}

impl Watched {
    /// Where an operation may take this long.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { state: Mutex::default(), max_silence: timeout * 3 / 4, silenced: Notify::new() }
    }

    /// Ready when the holder of this lease, which has been asked about, is silent.
    pub(crate) async fn silenced(&self, token: u64) {
        loop {
            // Made before the look, so that no notice in between is missed.
            let silenced = self.silenced.notified();
            if self.lock().leases.get(&token).is_some_and(|sight| sight.is_silent) {
                return;
            }
            silenced.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replicas to look at, each with the leases that are asked about; none: nobody asks any more, and looking ends.
    fn replicas(&self, now: Instant) -> BTreeMap<u64, Vec<u64>> {
        let mut state = self.lock();
        state.leases.retain(|_, sight| now.saturating_duration_since(sight.looked_at) <= FORGOTTEN);
        state.looks = !state.leases.is_empty();
        let mut replicas = BTreeMap::<u64, Vec<u64>>::new();
        state.leases.iter().for_each(|(token, sight)| replicas.entry(sight.replica).or_default().push(*token));
        replicas
    }

    fn saw(&self, replicas: &[u64], numbers: &[Option<u64>], now: Instant) {
        let numbers: HashMap<u64, Option<u64>> = replicas.iter().copied().zip(numbers.iter().copied()).collect();
        let mut state = self.lock();
        // A lease that came while Redis was asked may be of a replica that it was not asked about.
        for sight in state.leases.values_mut() {
            numbers.get(&sight.replica).into_iter().for_each(|number| sight.see(*number, now, self.max_silence));
        }
        if state.leases.values().any(|sight| sight.is_silent) {
            self.silenced.notify_waiters();
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
        tokio::join!(look_at(&tier, &replicas), tell(&tier, &replicas));
    }
}

/// Reads the numbers of these replicas.
async fn look_at(tier: &Tier, replicas: &BTreeMap<u64, Vec<u64>>) {
    let mut get = redis::cmd("MGET");
    replicas.keys().for_each(|replica| _ = get.arg(alive(&tier.link.options().prefix, *replica)));
    let get = &get;
    let work = |mut connection| async move { get.query_async::<Vec<Option<u64>>>(&mut connection).await };
    // A look that fails says nothing of any replica.
    if let Ok(numbers) = tier.link.run(Operation::Renew, Lane::Small, work).await {
        let replicas: Vec<u64> = replicas.keys().copied().collect();
        tier.watched.saw(&replicas, &numbers, (tier.link.clocks().monotonic)());
    }
}

/// Tells these replicas which of their leases are waited for here. By itself: a server that takes no writes still answers the look.
async fn tell(tier: &Tier, replicas: &BTreeMap<u64, Vec<u64>>) {
    let mut sign = redis::pipe();
    for (replica, tokens) in replicas {
        let key = wanted(&tier.link.options().prefix, *replica);
        sign.cmd("SADD").arg(&key).arg(tokens).ignore();
        sign.cmd("PEXPIRE").arg(&key).arg(millis(KEPT)).ignore();
    }
    let sign = &sign;
    let work = |mut connection| async move { sign.query_async::<()>(&mut connection).await };
    // One that fails is followed by another.
    let _ = tier.link.run(Operation::Renew, Lane::Small, work).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(800);

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn now() -> Instant {
        Instant::now()
    }

    fn watching(leases: &[(u64, u64)], now: Instant) -> Watched {
        let watched = Watched::new(TIMEOUT);
        leases.iter().for_each(|(token, replica)| _ = watched.lock().leases.insert(*token, Sight::new(*replica, now)));
        watched
    }

    fn silent(watched: &Watched) -> Vec<u64> {
        let state = watched.lock();
        let mut silent: Vec<u64> = state.leases.iter().filter(|(_, sight)| sight.is_silent).map(|(token, _)| *token).collect();
        silent.sort_unstable();
        silent
    }

    #[test]
    fn a_replica_whose_number_stands_still_is_silent_and_one_that_counts_on_is_not() {
        let start = now();
        let watched = watching(&[(1, 7), (2, 8), (3, 9)], start);
        assert!(watched.replicas(start).into_keys().eq([7, 8, 9]));
        for look in 0..=6 {
            assert_eq!(silent(&watched), [0; 0], "look {look}");
            // One has never counted, one has stopped, and one goes on with every other look.
            watched.saw(&[7, 8, 9], &[None, Some(5), Some(u64::from(look / 2))], start + look * interval(TIMEOUT));
        }
        assert_eq!(silent(&watched), [1, 2]);
        watched.saw(&[7, 8, 9], &[Some(1), Some(6), Some(9)], start + TIMEOUT);
        assert_eq!(silent(&watched), [0; 0], "it was slow, and lives");
    }

    #[test]
    fn a_look_that_comes_late_makes_no_replica_silent() {
        let start = now();
        let watched = watching(&[(1, 7)], start);
        for look in 0..LOOKS {
            watched.saw(&[7], &[Some(5)], start + look * 10 * TIMEOUT);
            assert_eq!(silent(&watched), [0; 0], "look {look}");
        }
        watched.saw(&[7], &[Some(5)], start + LOOKS * 10 * TIMEOUT);
        assert_eq!(silent(&watched), [1]);
    }

    #[test]
    fn a_new_lease_of_a_replica_that_had_nothing_to_say_is_not_silent() {
        let start = now();
        let watched = watching(&[(1, 7)], start);
        (0..9).for_each(|look| watched.saw(&[7], &[Some(5)], start + look * interval(TIMEOUT)));
        watched.lock().leases.insert(2, Sight::new(7, start));
        watched.saw(&[7], &[Some(5)], start + 9 * interval(TIMEOUT));
        assert_eq!(silent(&watched), [1]);
    }

    #[tokio::test]
    async fn a_request_that_waits_learns_at_once_of_a_silence() {
        let start = now();
        let watched = watching(&[(1, 7), (2, 8)], start);
        let looks = async {
            for look in 0..=6u32 {
                tokio::task::yield_now().await;
                watched.saw(&[7, 8], &[Some(5), Some(u64::from(look))], start + look * interval(TIMEOUT));
            }
        };
        tokio::join!(watched.silenced(1), looks);
        tokio::select! {
            biased;
            () = watched.silenced(2) => panic!("it counts on"),
            () = watched.silenced(1) => {}
        }
    }

    #[test]
    fn a_lease_that_is_not_asked_about_is_forgotten() {
        let start = now();
        let watched = watching(&[(1, 7)], start);
        assert_eq!(watched.replicas(start), BTreeMap::from([(7, vec![1])]));
        assert!(watched.replicas(start + 2 * FORGOTTEN).is_empty());
        assert!(!watched.lock().looks);
    }
}
