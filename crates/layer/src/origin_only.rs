//! The origin's own answers, while the cache is filled as if it were used: what a service around the cache compares with what would have been served.
//!
//! 1. [`CacheService::dry_run`] says what would be served from memory.
//! 2. [`CacheService::load_from_tiers`]: what would be served from a tier behind it.
//! 3. [`CacheService::would_follow`]: whether the request would wait for another's fetch.
//! 4. [`CacheService::by_origin_only`]: the request is answered by the origin, and the answer is stored as ever.

use std::sync::Arc;

use larder_semantics::MethodKind;
use larder_store::{Lookup, StoredResponse};

use crate::dry_run::DryRun;
use crate::service::CacheService;
use crate::task::detached::detach;
use crate::tiers::look_up::{TierAnswer, ask};
use crate::upstream::Upstream;

impl<S: Clone> CacheService<S> {
    /// The same service for requests that nothing but the origin's own answers will do. Nothing stored answers them: neither fresh nor stale, nor after a
    /// validation, nor for an error or an origin that is slow. No other request's answer does either. What the origin says is stored as ever. It is for
    /// [`Self::serve`] alone, and for requests without content.
    pub fn by_origin_only(&self) -> Self {
        Self { origin_only: true, ..self.clone() }
    }
}

impl<S: Upstream> CacheService<S> {
    /// Whether a request for which nothing is stored would wait for another's fetch now.
    pub fn would_follow(&self, run: &DryRun) -> bool {
        let Some((request, plan)) = run.fetch() else { return false };
        let waits = !plan.alone && !self.route.collapse_wait.is_zero() && request.context.method != MethodKind::Head;
        let (ledger, now) = (self.cache.store.ledger(), self.cache.clock.now());
        let is_under_way = |found: &Lookup| self.cache.flights.is_under_way(self.flight_hash(request, found), &request.key, ledger, now);
        // A fetch for the origin's own answer looks nothing up, so it does not know where its variant lies.
        waits && (is_under_way(&plan.found) || is_under_way(&plan.clone().by_origin_only().found))
    }

    /// What a tier behind the memory would answer a request with, where such a tier would be asked. It is taken into memory, and into nearer tiers. No lease is
    /// asked for, and no other replica's fetch is waited for.
    pub async fn load_from_tiers(&self, run: &DryRun) -> Option<Arc<StoredResponse>> {
        let (request, plan) = run.fetch().filter(|(_, plan)| plan.may_be_stored_elsewhere() && !self.cache.tiers.is_empty())?;
        match ask(&self.cache, &self.route, request, &plan.found, None).await {
            TierAnswer::Serve(stored, promotion) => {
                let (cache, route, response) = (Arc::clone(&self.cache), Arc::clone(&self.route), Arc::clone(&stored));
                detach(async move { cache.promote_to_nearer(response, promotion, &route.tiers).await });
                Some(stored)
            }
            // One that is longer than the memory takes is not compared.
            TierAnswer::Arriving(arriving, _) if arriving.record.body().length <= self.cache.max_in_memory => {
                let stored = Arc::new(arriving.whole().await.ok()?);
                self.cache.promote(&stored).then_some(stored)
            }
            TierAnswer::Arriving(..) | TierAnswer::Relayed(..) | TierAnswer::Failed(..) | TierAnswer::Fetch(_) => None,
        }
    }
}
