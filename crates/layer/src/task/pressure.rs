//! Exchanges that no client waits for any more, and requests that wait for the place of one.
//!
//! A fetch goes on without its client, so that the next client finds its answer stored. That ends where the inner service
//! has no place left: a client that asks for ever new URLs and leaves would otherwise hold all of them. The inner service says when a
//! request waits ([`Pressure::wait`]); then the oldest exchange ends that has neither client nor follower.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

/// How many requests wait for a place at an inner service. Clones are the same.
#[derive(Clone, Default)]
pub struct Pressure(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    /// `None`: there is always one.
    has_place: Option<Box<dyn Fn() -> bool + Send + Sync>>,
    /// The oldest first.
    unattended: Mutex<VecDeque<Entry>>,
}

struct Entry {
    is_wanted: Box<dyn Fn() -> bool + Send>,
    end: oneshot::Sender<()>,
}

/// A request that waits for a place, until it is dropped.
#[derive(Debug)]
pub struct Waiting(Pressure);

/// Ready when the exchange that it belongs to is to end.
#[derive(Debug)]
pub(crate) struct GivenUp(oneshot::Receiver<()>);

impl Pressure {
    /// At an inner service that has so many places: `has_place` says whether one is free.
    pub fn with_places(has_place: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared { has_place: Some(Box::new(has_place)), ..Shared::default() }))
    }

    /// Whether one more request would have to wait for its place.
    pub fn is_full(&self) -> bool {
        self.waiting() > 0 || self.0.has_place.as_ref().is_some_and(|has_place| !has_place())
    }

    /// A request waits for a place from now on. The oldest exchange without client and follower ends for it.
    pub fn wait(&self) -> Waiting {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        let mut unattended = self.unattended();
        if let Some(index) = unattended.iter().position(|entry| !entry.end.is_closed() && !(entry.is_wanted)())
            && let Some(entry) = unattended.remove(index)
        {
            // An exchange that has just ended by itself gives its place back as well.
            let _ = entry.end.send(());
        }
        drop(unattended);
        Waiting(self.clone())
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::SeqCst)
    }

    /// An exchange whose client may have left continues while it `is_wanted` or no request waits for its place.
    pub(crate) fn unattended_exchange(&self, is_wanted: impl Fn() -> bool + Send + 'static) -> GivenUp {
        let (end, given_up) = oneshot::channel();
        let entry = Entry { is_wanted: Box::new(is_wanted), end };
        let mut unattended = self.unattended();
        unattended.retain(|entry| !entry.end.is_closed());
        // A request that begins to wait after this finds it in the list.
        if self.waiting() > 0 && !(entry.is_wanted)() {
            let _ = entry.end.send(());
        } else {
            unattended.push_back(entry);
        }
        GivenUp(given_up)
    }

    fn unattended(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.unattended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pressure").field("waiting", &self.waiting()).field("unattended", &self.unattended().len()).finish()
    }
}

impl Future for GivenUp {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(()) => Poll::Ready(()),
            // The list is gone, so this never becomes ready.
            Err(_) => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn is_ready(given_up: &mut GivenUp) -> bool {
        given_up.0.try_recv().is_ok()
    }

    #[test]
    fn a_waiting_request_ends_the_oldest_exchange_without_client_and_follower() {
        let pressure = Pressure::default();
        let wanted = Arc::new(AtomicBool::new(true));
        let followed = Arc::clone(&wanted);
        let mut first = pressure.unattended_exchange(move || followed.load(Ordering::SeqCst));
        let mut second = pressure.unattended_exchange(|| false);
        let mut third = pressure.unattended_exchange(|| false);
        let waiting = pressure.wait();
        assert_eq!((is_ready(&mut first), is_ready(&mut second), is_ready(&mut third)), (false, true, false));
        drop(waiting);
        wanted.store(false, Ordering::SeqCst);
        drop(pressure.wait());
        assert_eq!((is_ready(&mut first), is_ready(&mut third)), (true, false));
    }

    #[test]
    fn an_exchange_that_is_left_while_others_wait_ends_at_once() {
        let pressure = Pressure::default();
        let waiting = pressure.wait();
        assert!(is_ready(&mut pressure.unattended_exchange(|| false)));
        assert!(!is_ready(&mut pressure.unattended_exchange(|| true)));
        drop(waiting);
        assert!(!is_ready(&mut pressure.unattended_exchange(|| false)));
    }

    #[test]
    fn it_is_full_without_a_free_place_and_while_others_wait_for_one() {
        let has_place = Arc::new(AtomicBool::new(true));
        let place = Arc::clone(&has_place);
        let pressure = Pressure::with_places(move || place.load(Ordering::SeqCst));
        assert!(!pressure.is_full() && !Pressure::default().is_full());
        let waiting = pressure.wait();
        assert!(pressure.is_full(), "the free place is for the one that waits");
        drop(waiting);
        has_place.store(false, Ordering::SeqCst);
        assert!(pressure.is_full());
    }

    #[test]
    fn exchanges_that_are_over_are_forgotten() {
        let pressure = Pressure::default();
        (0..100).for_each(|_| drop(pressure.unattended_exchange(|| false)));
        assert!(pressure.unattended().len() <= 1);
    }
}
