//! A stale response instead of an origin that is slow (`stale_if_slow`), or has no place for one more request (`stale_if_overloaded`).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use larder_semantics::{ForwardReason, Reason, may_steer};
use larder_store::{Lookup, StoredResponse};

use super::answer::stale_instead;
use crate::error::FetchError;
use crate::lookup::plan::{FetchPlan, forwarded};
use crate::lookup::request::ClientRequest;
use crate::outcome::{CacheResult, Served};
use crate::service::CacheService;
use crate::upstream::Upstream;

/// How long an origin that was slow counts as slow, so that not each request waits for it anew.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits for the `answer` to a request, for `patience` at most where a stale response may be served for an error. The fetch goes on without the
/// request.
pub(crate) async fn unless_slow<S: Upstream>(
    service: CacheService<S>,
    request: Arc<ClientRequest>,
    plan: FetchPlan,
    patience: Duration,
    answer: impl Future<Output = Result<Served<S::Body>, FetchError>>,
) -> Result<Served<S::Body>, FetchError> {
    if plan.result() == CacheResult::Bypass || plan.origin_only {
        return answer.await;
    }
    let now = service.cache.clock.now();
    if let Some(stored) = plan.found.response().filter(|stored| !stored.may_refresh(now))
        && let Some(served) = instead(&service, &request, stored, plan.forward, Reason::Slow)
    {
        return Ok(served);
    }
    let mut answer = pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        () = tokio::time::sleep(patience) => {}
    }
    // A tier may have brought it meanwhile.
    if let Lookup::Found(stored) = service.stored_for(&request)
        && let Some(served) = instead(&service, &request, &stored, plan.forward, Reason::Slow)
    {
        // What is slow may be another resource.
        if !may_steer(&request.parts.headers) {
            stored.postpone_refresh(service.cache.clock.now().after(PAUSE));
        }
        return Ok(served);
    }
    answer.await
}

fn instead<S: Upstream>(
    service: &CacheService<S>,
    request: &ClientRequest,
    stored: &StoredResponse,
    forward: ForwardReason,
    reason: Reason,
) -> Option<Served<S::Body>> {
    stale_instead(service, request, stored, forwarded(reason, forward), reason)
}

/// A stale response, where one may be served for an error, at once while the inner service has no place for a fetch. Nothing is fetched then:
/// the fetch would wait with those of clients that have nothing else, and the first request that finds a place fetches.
pub(crate) fn if_overloaded<S: Upstream>(service: &CacheService<S>, request: &ClientRequest, plan: &FetchPlan) -> Option<Served<S::Body>> {
    let stored = plan.found.response().filter(|_| plan.result() != CacheResult::Bypass && service.route.pressure.is_full())?;
    instead(service, request, stored, plan.forward, Reason::Overloaded)
}
