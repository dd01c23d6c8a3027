//! Writes and publications of invalidations that have not ended: a process that stops waits for them, since what it does not publish is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many there are, and whether they are to end now.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    count: AtomicUsize,
    /// Notified when there are none any more.
    ended: Notify,
    is_given_up: AtomicBool,
    given_up: Notify,
}

/// Counts as one of them for as long as it lives.
pub(crate) struct UnfinishedGuard(Arc<Unfinished>);

impl Unfinished {
    /// One more begins.
    pub(crate) fn begin(self: &Arc<Self>) -> UnfinishedGuard {
        self.count.fetch_add(1, Ordering::AcqRel);
        UnfinishedGuard(Arc::clone(self))
    }

    /// Waits until no answer is waited for any longer.
    pub(crate) async fn given_up(&self) {
        loop {
            // Made before the look, so that none is missed in between.
            let given_up = self.given_up.notified();
            if self.is_given_up.load(Ordering::Acquire) {
                return;
            }
            given_up.await;
        }
    }

    /// Waits until there are none.
    pub(crate) async fn ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Lets those that wait for an answer end without it, from now on.
    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
        self.given_up.notify_waiters();
    }
}

impl Drop for UnfinishedGuard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}
