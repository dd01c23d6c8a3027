//! The concurrency limit of an upstream.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use larder_config::Limit;
use larder_tower::Pressure;
use larder_tower::clock::monotonic;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure_log::RateLimited;
use crate::error::UpstreamError;

/// How many exchanges one upstream has at a time, and the queue before it.
pub(crate) struct ConcurrencyLimit {
    free: Arc<Semaphore>,
    limit: Limit,
    pressure: Pressure,
    refused: AtomicU64,
    name: Arc<str>,
    log: Mutex<RateLimited>,
}

/// Lets one exchange run until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl ConcurrencyLimit {
    /// Of the upstream with this name.
    pub(crate) fn new(name: Arc<str>, limit: Limit) -> Self {
        let permits = if limit.max_requests == 0 { Semaphore::MAX_PERMITS } else { limit.max_requests.min(Semaphore::MAX_PERMITS) };
        let free = Arc::new(Semaphore::new(permits));
        let places = Arc::clone(&free);
        let pressure = Pressure::with_places(move || places.available_permits() > 0);
        Self { free, limit, pressure, refused: AtomicU64::new(0), name, log: Mutex::default() }
    }

    /// Tells running exchanges that others wait for their permit.
    pub(crate) fn pressure(&self) -> &Pressure {
        &self.pressure
    }

    /// Requests that were refused since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// A permit, if one is free and no request waits for it.
    pub(crate) fn try_acquire(&self) -> Option<Permit> {
        Arc::clone(&self.free).try_acquire_owned().ok().map(|permit| Permit { _permit: permit })
    }

    /// Waits for a permit, in the order of arrival.
    pub(crate) async fn acquire(&self) -> Result<Permit, UpstreamError> {
        let waiting = self.pressure.wait();
        let permit = if self.pressure.waiting() > self.limit.queue {
            None
        } else {
            tokio::time::timeout(self.limit.wait, Arc::clone(&self.free).acquire_owned()).await.ok().and_then(Result::ok)
        };
        drop(waiting);
        permit.map(|permit| Permit { _permit: permit }).ok_or_else(|| self.refuse())
    }

    fn refuse(&self) -> UpstreamError {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let refused = self.log.lock().unwrap_or_else(PoisonError::into_inner).count_event(monotonic());
        if let Some(refused) = refused {
            let (upstream, max_requests) = (&*self.name, self.limit.max_requests);
            tracing::warn!(upstream, max_requests, refused, "requests are refused because an upstream has no place for them");
        }
        UpstreamError::Full { retry_after: self.retry_after() }
    }

    /// Seconds after which a refused client may retry: as long as it would have waited.
    fn retry_after(&self) -> u32 {
        u32::try_from(self.limit.wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limit(max_requests: usize, queue: usize) -> Arc<ConcurrencyLimit> {
        Arc::new(ConcurrencyLimit::new("default".into(), Limit { max_requests, queue, wait: Duration::from_secs(1) }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_a_place_waits_for_one_and_no_longer_than_it_may() {
        let limit = limit(1, 1);
        assert!(!limit.pressure().is_full());
        let first = limit.try_acquire().expect("a free permit");
        assert!(limit.try_acquire().is_none() && limit.pressure().is_full());
        assert!(matches!(limit.acquire().await, Err(UpstreamError::Full { retry_after: 1 })), "nobody left in time");
        let (second, ()) = tokio::join!(limit.acquire(), async { drop(first) });
        assert!(second.is_ok());
        assert_eq!(limit.refused(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_the_queue_takes_are_refused_at_once_and_the_others_come_by_arrival() {
        let limit = limit(1, 2);
        let held = limit.try_acquire().expect("a free permit");
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let wait = |number: usize| {
            let (limit, order) = (Arc::clone(&limit), Arc::clone(&order));
            async move {
                let permit = limit.acquire().await;
                order.lock().expect("not poisoned").push((number, permit.is_ok()));
            }
        };
        let leave = async {
            tokio::task::yield_now().await;
            drop(held);
        };
        tokio::join!(biased; wait(1), wait(2), wait(3), leave);
        assert_eq!(*order.lock().expect("not poisoned"), [(3, false), (1, true), (2, true)]);
    }

    #[tokio::test]
    async fn without_a_limit_there_is_always_a_permit() {
        let limit = limit(0, 0);
        let all: Vec<_> = (0..1000).map_while(|_| limit.try_acquire()).collect();
        assert_eq!(all.len(), 1000);
    }
}
