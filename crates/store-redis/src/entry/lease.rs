//! Leases: granted by a look-up, renewed while their holder lives, and given back wherever they were granted.
//!
//! A lease lasts for its term, which is short: it is what others lose to a holder that has died. One that lives renews it. A look-up whose
//! answer nobody waits for any more may be granted a lease all the same, so whatever ends without an answer gives back its token.

use std::sync::{Arc, Weak};
use std::time::Duration;

use larder_store::{Ending, Held, Holder, Lease, Position, RemoteError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::tier::Inner;
use crate::link::{Lane, Operation};
use crate::scripts;
use crate::value::millis;

/// Renewals in a term: two may fail, and others still wait.
const RENEWALS: u32 = 4;

/// After an answer that cannot be shared, no replica waits for another one's for this long.
const UNSHARED: Duration = Duration::from_secs(10);

/// After a fetch without an answer, all those who waited have asked again by then.
const FAILED: Duration = Duration::from_secs(1);

/// A lease that has been asked for. Dropped without an answer, it gives back what may have been granted.
pub(crate) struct Asked {
    inner: Weak<Inner>,
    place: String,
    token: u64,
    term: Duration,
    /// `false` once the answer is known.
    open: bool,
}

/// A lease that this process holds.
struct Kept {
    inner: Weak<Inner>,
    place: String,
    token: u64,
    arriving: Arc<Notify>,
    renewing: JoinHandle<()>,
}

impl Asked {
    pub(crate) fn new(inner: &Arc<Inner>, place: String, token: u64, term: Duration) -> Self {
        Self { inner: Arc::downgrade(inner), place, token, term, open: true }
    }

    /// It was not granted.
    pub(crate) fn refused(mut self) {
        self.open = false;
    }

    pub(crate) fn granted(mut self) -> Lease {
        self.open = false;
        let (inner, place, token) = (Weak::clone(&self.inner), self.place.clone(), self.token);
        let arriving = Arc::new(Notify::new());
        let renewing = tokio::spawn(renew(Weak::clone(&inner), place.clone(), token, self.term, Arc::clone(&arriving)));
        Lease::new(place.clone(), token, Kept { inner, place, token, arriving, renewing })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.open
            && let Some(inner) = self.inner.upgrade()
        {
            inner.release(self.place.clone(), self.token, Ending::GivenUp);
        }
    }
}

impl Held for Kept {
    fn end(self: Box<Self>, ending: Ending) {
        if let Some(inner) = self.inner.upgrade() {
            inner.release(self.place.clone(), self.token, ending);
        }
    }

    fn arriving(&self) {
        self.arriving.notify_one();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// Until the lease is given back, or lost to somebody who did not see it renewed in time. Once the body is on its way, others wait for half a
/// term more.
async fn renew(inner: Weak<Inner>, place: String, token: u64, term: Duration, arriving: Arc<Notify>) {
    let mut last = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(term / RENEWALS) => {}
            () = arriving.notified() => last = true,
        }
        let Some(inner) = inner.upgrade() else { return };
        let call = scripts::RENEW.call().key(&place).arg(token).arg(millis(term));
        let call = &call;
        let work = |mut connection| async move { call.invoke::<bool>(&mut connection).await };
        // What could not be asked may still be the holder's.
        if inner.link.run(Operation::Renew, Lane::Small, work).await == Ok(false) {
            return;
        }
        if last {
            drop(inner);
            break;
        }
    }
    tokio::time::sleep(term / 2).await;
    if let Some(inner) = inner.upgrade() {
        inner.release(place, token, Ending::Failed);
    }
}

/// Ends a lease under which nothing was stored.
pub(crate) async fn release(inner: &Arc<Inner>, place: String, token: u64, ending: Ending) -> Result<(), RemoteError> {
    let unshared = match ending {
        Ending::GivenUp => 0,
        Ending::Failed => millis(FAILED),
        Ending::NotShared => millis(UNSHARED),
    };
    let call = scripts::RELEASE.call().key(place).arg(token).arg(unshared);
    let call = &call;
    let work = |mut connection| async move { call.invoke::<()>(&mut connection).await };
    inner.link.run(Operation::Release, Lane::Small, work).await
}

/// Whose lease a value is: `TOKEN NUMBER`. One that says nothing of its position, as earlier versions wrote it, is taken to be current.
pub(crate) fn holder(value: &[u8]) -> Option<Holder> {
    let mut words = std::str::from_utf8(value).ok()?.split(' ');
    let token = words.next()?.parse().ok()?;
    let position = words.next().map_or(Some(Position(u64::MAX)), |number| number.parse().ok().map(Position::of_log))?;
    Some(Holder { token, position })
}
