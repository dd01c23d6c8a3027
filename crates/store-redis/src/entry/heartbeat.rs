//! The heartbeat of a replica that holds leases: a number in Redis that it counts on. One for all its leases, so that it costs the same
//! however many fetches are under way, and nothing while there are none or they are fast.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::tier::Tier;
use crate::link::{Lane, Operation};
use crate::value::{alive, millis};

/// Heartbeats within the time that an operation may take. [`super::watch`] takes a replica to be silent that has left out six of them.
const HEARTBEATS: u32 = 8;

/// The shortest time between two of them: a `timeout` below 40 ms does not make others notice a death sooner.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// How long the last one stays in Redis.
const KEPT: Duration = Duration::from_secs(60);

/// The time between two heartbeats, where an operation may take this long.
pub(super) fn interval(timeout: Duration) -> Duration {
    (timeout / HEARTBEATS).max(MIN_INTERVAL)
}

/// This replica's heartbeat.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    replica: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    leases: usize,
    beats: bool,
    count: u64,
}

/// A lease that is held.
pub(crate) struct Held(Arc<Mutex<State>>);

impl Heartbeat {
    /// Of a replica that no other has the name of.
    pub(crate) fn new(replica: u64) -> Self {
        Self { replica, state: Arc::default() }
    }

    /// This replica's name in its leases.
    pub(crate) fn replica(&self) -> u64 {
        self.replica
    }

    /// One more lease; and whether the heartbeat has to be started.
    fn hold(&self) -> (Held, bool) {
        let mut state = lock(&self.state);
        state.leases += 1;
        let beats = std::mem::replace(&mut state.beats, true);
        (Held(Arc::clone(&self.state)), !beats)
    }

    /// The next number; `None`: no lease is held any more, so it stops.
    fn next(&self) -> Option<u64> {
        let mut state = lock(&self.state);
        state.beats = state.leases > 0;
        state.count += 1;
        state.beats.then_some(state.count)
    }
}

/// Counts on for as long as the lease is held.
pub(super) fn hold(tier: &Arc<Tier>) -> Held {
    let (held, starts) = tier.heartbeat.hold();
    if starts {
        tokio::spawn(beat(Arc::downgrade(tier)));
    }
    held
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.0).leases -= 1;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn beat(tier: Weak<Tier>) {
    loop {
        let Some(pause) = tier.upgrade().map(|tier| interval(tier.link.options().timeout)) else { return };
        tokio::time::sleep(pause).await;
        let Some(tier) = tier.upgrade() else { return };
        let Some(count) = tier.heartbeat.next() else { return };
        let mut set = redis::cmd("SET");
        set.arg(alive(&tier.link.options().prefix, tier.heartbeat.replica)).arg(count).arg("PX").arg(millis(KEPT));
        let set = &set;
        let work = |mut connection| async move { set.query_async::<()>(&mut connection).await };
        // One that fails is followed by another.
        let _ = tier.link.run(Operation::Renew, Lane::Small, work).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_on_while_any_lease_is_held_and_begins_again_with_the_next() {
        let heartbeat = Heartbeat::new(7);
        let (one, starts) = heartbeat.hold();
        let (other, starts_again) = heartbeat.hold();
        assert!(starts && !starts_again, "one heartbeat for all leases");
        assert_eq!([heartbeat.next(), heartbeat.next()], [Some(1), Some(2)]);
        drop(one);
        assert_eq!(heartbeat.next(), Some(3));
        drop(other);
        assert_eq!(heartbeat.next(), None);
        let (_next, starts) = heartbeat.hold();
        assert!(starts);
        assert!(heartbeat.next() > Some(3), "a number is not used twice");
    }

    #[test]
    fn a_short_timeout_does_not_make_it_race() {
        assert_eq!(interval(Duration::from_millis(400)), Duration::from_millis(50));
        assert_eq!(interval(Duration::from_millis(1)), MIN_INTERVAL);
    }
}
