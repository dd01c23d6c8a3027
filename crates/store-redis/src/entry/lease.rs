//! Leases: granted by a look-up, renewed while their holder lives, and given back wherever they were granted.
//!
//! A lease lasts for its term, which is short: it is what others lose to a holder that has died, where they do not notice its silence sooner
//! ([`super::watch`]). One that lives renews it. A look-up whose
//! answer is not waited for any more may be granted a lease all the same, so a request that ends without an answer gives back its token.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use larder_store::{FetchFailure, HeldLease, Lease, LeaseEnd, Offered, RemoteError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::failure::failure_text;
use super::heartbeat::{self, Held};
use super::relay::hand_on;
use super::tier::Tier;
use crate::link::{Lane, Operation};
use crate::scripts;
use crate::value::{EntryKey, millis};

/// Renewals in a term: two may fail, and others still wait.
const RENEWALS: u32 = 4;

/// After an answer that cannot be shared, no replica waits for another one's for this long.
const UNSHARED: Duration = Duration::from_secs(10);

/// After a fetch without an answer, all those who waited have learned of it and gone on by then.
const FAILED: Duration = Duration::from_secs(1);

/// Others are late by this much at least, however short `timeout` is.
const MIN_LATENESS: Duration = Duration::from_millis(50);

/// The longest pause between two looks of a request that waits for a lease (`larder_tower`'s `tiers::waiting`).
const LOOK_PAUSE: Duration = Duration::from_millis(25);

/// A lease that has been asked for. Dropped without an answer, it gives back what may have been granted.
pub(crate) struct PendingLease {
    tier: Weak<Tier>,
    key: String,
    token: u64,
    term: Duration,
    /// `false` once the answer is known.
    open: bool,
}

/// A lease that this process holds.
struct GrantedLease {
    tier: Weak<Tier>,
    key: String,
    token: u64,
    /// Until the body is on its way.
    arriving: Mutex<Option<oneshot::Sender<Arriving>>>,
    keeping: JoinHandle<()>,
}

/// What other replicas may read while it arrives here.
type Arriving = Option<Box<dyn Offered>>;

impl PendingLease {
    pub(crate) fn new(tier: &Arc<Tier>, key: String, token: u64, term: Duration) -> Self {
        Self { tier: Arc::downgrade(tier), key, token, term, open: true }
    }

    /// It was not granted.
    pub(crate) fn refused(mut self) {
        self.open = false;
    }

    pub(crate) fn granted(mut self) -> Lease {
        self.open = false;
        let (tier, key, token) = (Weak::clone(&self.tier), self.key.clone(), self.token);
        let (arriving, arrives) = oneshot::channel();
        let held = tier.upgrade().map(|tier| Arc::new(heartbeat::hold(&tier, token)));
        let keeping = tokio::spawn(keep(Weak::clone(&tier), key.clone(), token, self.term, arrives, held));
        Lease::new(key.clone(), token, GrantedLease { tier, key, token, arriving: Mutex::new(Some(arriving)), keeping })
    }
}

impl Drop for PendingLease {
    fn drop(&mut self) {
        if self.open
            && let Some(tier) = self.tier.upgrade()
        {
            tier.release(self.key.clone(), self.token, LeaseEnd::GivenUp);
        }
    }
}

impl HeldLease for GrantedLease {
    fn end(self: Box<Self>, ending: LeaseEnd) {
        if let Some(tier) = self.tier.upgrade() {
            tier.release(self.key.clone(), self.token, ending);
        }
    }

    fn arriving(&self, offered: Arriving) {
        if let Some(arriving) = self.arriving.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A lease that was lost has nothing to keep.
            let _ = arriving.send(offered);
        }
    }
}

impl Drop for GrantedLease {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

/// Keeps the lease until it is given back, or lost to a replica that did not see it renewed in time. A body that takes long and cannot be relayed lets
/// the others go: each of them would have had its first bytes from a fetch of its own by now. The release does not wait its turn behind queued writes.
async fn keep(tier: Weak<Tier>, key: String, token: u64, term: Duration, arrives: oneshot::Receiver<Arriving>, held: Option<Arc<Held>>) {
    tokio::select! {
        () = renew(&tier, &key, token, term) => return,
        () = cannot_relay(&tier, &key, token, arrives, held) => {}
    }
    if let Some(tier) = tier.upgrade() {
        // One that fails is followed by the end of the term.
        let _ = release(&tier, key, token, LeaseEnd::Failed(None)).await;
    }
}

/// Relays a body that takes long once another replica waits for it. Ready when it takes long and cannot be relayed.
async fn cannot_relay(tier: &Weak<Tier>, key: &str, token: u64, arrives: oneshot::Receiver<Arriving>, held: Option<Arc<Held>>) {
    // The other end goes with the lease only.
    let Ok(offered) = arrives.await else { return pending().await };
    let Some(patience) = tier.upgrade().map(|tier| body_patience(tier.link.options().timeout)) else { return };
    tokio::time::sleep(patience).await;
    let (Some(offered), Some(held)) = (offered, held) else { return };
    held.wanted().await;
    if let Some(tier) = tier.upgrade() {
        hand_on(&tier, key, token, offered, &held).await;
    }
}

/// Ready when the lease is lost.
async fn renew(tier: &Weak<Tier>, key: &str, token: u64, term: Duration) {
    loop {
        tokio::time::sleep(term / RENEWALS).await;
        let Some(tier) = tier.upgrade() else { return };
        let call = scripts::RENEW.call().key(key).arg(token).arg(millis(term));
        let call = &call;
        let work = |mut connection| async move { call.invoke::<bool>(&mut connection).await };
        // A lease that could not be asked about may still be held.
        if tier.link.run(Operation::Renew, Lane::Small, work).await == Ok(false) {
            return;
        }
    }
}

/// How long others wait for a body after its head before it is relayed or they are let go, where an operation may take this long: with a pause between
/// two looks at the lease, and a round trip each for the write and for the look, no more than `timeout` in all.
fn body_patience(timeout: Duration) -> Duration {
    (timeout.max(MIN_LATENESS) * 4 / 5).saturating_sub(LOOK_PAUSE)
}

/// Ends a lease under which nothing was stored.
pub(crate) async fn release(tier: &Arc<Tier>, key: String, token: u64, ending: LeaseEnd) -> Result<(), RemoteError> {
    let (unshared, failure) = match ending {
        LeaseEnd::GivenUp => (0, None),
        LeaseEnd::Failed(failure) => (millis(FAILED), failure),
        LeaseEnd::NotShared(remembered) => (millis(UNSHARED), Some(FetchFailure::NotShared(remembered))),
    };
    let failure = failure.and_then(|failure| failure_text(&failure)).unwrap_or_default();
    let call = scripts::RELEASE.call().key(key.as_str()).key(EntryKey::failure(&key));
    let call = call.arg(token).arg(unshared).arg(failure).arg(millis(FAILED));
    let call = &call;
    let work = |mut connection| async move { call.invoke::<()>(&mut connection).await };
    tier.link.run(Operation::Release, Lane::Small, work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_for_a_body_its_end_and_the_next_look_fit_into_the_timeout() {
        for (timeout, patience) in [(1, 15), (50, 15), (100, 55), (400, 295)] {
            let timeout = Duration::from_millis(timeout);
            assert_eq!(body_patience(timeout), Duration::from_millis(patience));
            assert!(body_patience(timeout) + LOOK_PAUSE < timeout.max(MIN_LATENESS));
        }
    }
}
