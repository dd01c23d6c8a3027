//! The heartbeat of a replica that holds leases: a number in Redis that it counts on. One for all its leases, so that it costs the same
//! however many fetches are under way, and nothing while there are none or they are fast. With each one the replica also reads which of its leases
//! others wait for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use larder_store::RemoteError;
use tokio::sync::Notify;

use super::tier::Tier;
use crate::link::{Lane, Operation};
use crate::value::{alive, millis, wanted};

/// Heartbeats within the time that an operation may take. [`super::watch`] takes a replica to be silent that has left out six of them.
const HEARTBEATS: u32 = 8;

/// The shortest time between two of them: a `timeout` below 40 ms does not make others notice a death sooner.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// How long the last one stays in Redis, and the signs of those who wait.
pub(super) const KEPT: Duration = Duration::from_secs(60);

/// Tokens that one heartbeat takes along; the next one takes more.
const MAX_TOKENS: usize = 256;

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
    /// The leases that are held, by their tokens. Each is notified when others wait for it.
    leases: HashMap<u64, Arc<Notify>>,
    beats: bool,
    count: u64,
}

/// A lease that is held.
pub(crate) struct Held {
    state: Arc<Mutex<State>>,
    token: u64,
    wanted: Arc<Notify>,
}

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
    fn hold(&self, token: u64) -> (Held, bool) {
        let (mut state, wanted) = (lock(&self.state), Arc::new(Notify::new()));
        state.leases.insert(token, Arc::clone(&wanted));
        let beats = std::mem::replace(&mut state.beats, true);
        (Held { state: Arc::clone(&self.state), token, wanted }, !beats)
    }

    /// Others wait for these leases.
    fn want(&self, tokens: &[u64]) {
        let state = lock(&self.state);
        tokens.iter().filter_map(|token| state.leases.get(token)).for_each(|wanted| wanted.notify_one());
    }

    fn want_all(&self) {
        lock(&self.state).leases.values().for_each(|wanted| wanted.notify_one());
    }

    /// The next number; `None`: no lease is held any more, so it stops.
    fn next(&self) -> Option<u64> {
        let mut state = lock(&self.state);
        state.beats = !state.leases.is_empty();
        state.count += 1;
        state.beats.then_some(state.count)
    }
}

/// Counts on for as long as the lease is held.
pub(super) fn hold(tier: &Arc<Tier>, token: u64) -> Held {
    let (held, starts) = tier.heartbeat.hold(token);
    if starts {
        tokio::spawn(beat(Arc::downgrade(tier)));
    }
    held
}

impl Held {
    /// Ready when another replica waits for the lease.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.state).leases.remove(&self.token);
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
        let (prefix, replica) = (&tier.link.options().prefix, tier.heartbeat.replica);
        let mut beat = redis::pipe();
        beat.cmd("SET").arg(alive(prefix, replica)).arg(count).arg("PX").arg(millis(KEPT)).ignore();
        beat.cmd("SPOP").arg(wanted(prefix, replica)).arg(MAX_TOKENS);
        let beat = &beat;
        let work = |mut connection| async move { beat.query_async::<(Vec<u64>,)>(&mut connection).await };
        match tier.link.run(Operation::Renew, Lane::Small, work).await {
            Ok((tokens,)) => tier.heartbeat.want(&tokens),
            // Others may wait for any of them, and this replica may not read for which.
            Err(RemoteError::Refused) => tier.heartbeat.want_all(),
            // One that fails is followed by another.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_on_while_any_lease_is_held_and_begins_again_with_the_next() {
        let heartbeat = Heartbeat::new(7);
        let (one, starts) = heartbeat.hold(1);
        let (other, starts_again) = heartbeat.hold(2);
        assert!(starts && !starts_again, "one heartbeat for all leases");
        assert_eq!([heartbeat.next(), heartbeat.next()], [Some(1), Some(2)]);
        drop(one);
        assert_eq!(heartbeat.next(), Some(3));
        drop(other);
        assert_eq!(heartbeat.next(), None);
        let (_next, starts) = heartbeat.hold(3);
        assert!(starts);
        assert!(heartbeat.next() > Some(3), "a number is not used twice");
    }

    #[tokio::test]
    async fn a_lease_learns_that_it_is_waited_for_even_before_it_asks() {
        let heartbeat = Heartbeat::new(7);
        let (one, other) = (heartbeat.hold(1).0, heartbeat.hold(2).0);
        heartbeat.want(&[1, 9]);
        tokio::select! {
            biased;
            () = other.wanted() => panic!("no other replica waits for it"),
            () = one.wanted() => {}
        }
    }

    #[test]
    fn a_short_timeout_does_not_make_it_race() {
        assert_eq!(interval(Duration::from_millis(400)), Duration::from_millis(50));
        assert_eq!(interval(Duration::from_millis(1)), MIN_INTERVAL);
    }
}
