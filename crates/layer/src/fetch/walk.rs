//! What a look-up could not answer: the miss, the validation, the bypass, each as one walk from top to bottom.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use larder_semantics::{MethodKind, Reason};
use larder_store::{KeyHash, Lookup, StoredResponse, Tags};
use tokio::sync::oneshot;

use super::state::Job;
use super::steps::run;
use crate::cache::Counted;
use crate::clock::monotonic;
use crate::collapse::answer::{NoAnswer, answer};
use crate::collapse::flight::{Join, Permit};
use crate::collapse::follow::follow;
use crate::collapse::outcome::{FetchOutcome, Own, Reply};
use crate::error::FetchError;
use crate::lookup::looked_up::LookedUp;
use crate::lookup::plan::{Going, Plan};
use crate::lookup::request::Asked;
use crate::outcome::Served;
use crate::service::CacheService;
use crate::task::detached::Errand;
use crate::upstream::Upstream;

/// How often a follower whose variant differs from the leader's may join the flight of its own variant.
const MAX_JOINS: usize = 3;

/// After a background refresh that brought nothing to store, no further one for this long: a failing origin is not asked once per
/// request.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

/// A request that needs the origin.
pub(crate) async fn fill<S: Upstream>(service: CacheService<S>, asked: Arc<Asked>, mut plan: Plan) -> Result<Served<S::Body>, FetchError> {
    if plan.alone || service.route.collapse_wait.is_zero() || asked.context.method == MethodKind::Head {
        let remote = plan.may_be_stored_elsewhere();
        return lead(service, asked, plan, None, remote).await;
    }
    let store = &service.cache.store;
    let mut hash = store.flight_hash(store.place_key(&asked.key), &plan.found, &asked.parts.headers);
    for turn in 0..MAX_JOINS {
        match service.join(hash, &asked) {
            Join::Lead(permit) => {
                // Another fill may have landed between the look-up and now.
                if let Some(served) = look_again(&service, &asked, &mut plan) {
                    return Ok(served);
                }
                let remote = plan.may_be_stored_elsewhere();
                return lead(service, asked, plan, Some(permit), remote).await;
            }
            Join::Follow(flight) => match follow(&service, &asked, &plan, flight, turn == 0).await {
                Ok(served) => return Ok(served),
                Err(NoAnswer::Failed(error)) => return Err(error),
                Err(NoAnswer::OtherVariant(own)) => hash = own,
                // The next join starts a newer one.
                Err(NoAnswer::Anew) => {}
                Err(NoAnswer::Alone(reason)) => {
                    plan.reason = reason;
                    // Whoever was followed may have left word about the key.
                    if let Some(served) = look_again(&service, &asked, &mut plan) {
                        return Ok(served);
                    }
                    break;
                }
            },
        }
    }
    plan.alone = true;
    // The fetch that took too long was this replica's; another one may have had more luck meanwhile.
    let remote = plan.reason == Reason::CollapseTimeout;
    lead(service, asked, plan, None, remote).await
}

/// Renews a stale response in the background. One at a time: whoever finds a flight under way leaves it at that.
pub(crate) async fn refresh<S: Upstream>(service: CacheService<S>, asked: Arc<Asked>, stored: Arc<StoredResponse>, _turn: Counted) {
    let store = &service.cache.store;
    let found = Lookup::Found(Arc::clone(&stored));
    let hash = store.flight_hash(store.place_key(&asked.key), &found, &asked.parts.headers);
    let Join::Lead(permit) = service.join(hash, &asked) else { return };
    // Another refresh may have landed since this one was called for.
    if !matches!(service.stored_for(&asked), Lookup::Found(current) if Arc::ptr_eq(&current, &stored)) {
        return;
    }
    in_background(&service, Asked::to_store(asked), found, permit).await;
    // Whatever came back, if it did not take the place of `stored` it will hardly do so at once.
    let pause = service.cache.clock.now().as_millis().saturating_add(REFRESH_PAUSE.as_millis() as u64);
    stored.postpone_refresh(larder_semantics::Timestamp::from_millis(pause));
}

/// Fetches for the store alone.
pub(crate) async fn in_background<S: Upstream>(service: &CacheService<S>, asked: Arc<Asked>, found: Lookup, permit: Permit) {
    // Nobody is there to read the answer: a reader that takes nothing would hold up a body too large to be stored.
    let (reply, _) = oneshot::channel();
    let mut job = Job::new(service, asked, &found, Going::Whole, Some(permit));
    job.in_background = true;
    run(service.clone(), job, Some(found), reply).await;
}

/// Looks whether the store has an answer by now, and otherwise brings the plan up to date.
fn look_again<S: Upstream>(service: &CacheService<S>, asked: &Asked, plan: &mut Plan) -> Option<Served<S::Body>> {
    match service.look_up_again(asked) {
        LookedUp::Hit(hit) if !hit.wants_refresh => Some(hit.served(&asked.context, &asked.parts.headers, &service.cache.in_flight)),
        LookedUp::PartHit(served) => Some(*served),
        // It waits for the origin as it is, and what it brings is better than what is stale.
        LookedUp::Hit(hit) => {
            plan.found = Lookup::Found(hit.stored);
            None
        }
        LookedUp::Fetch(newer) => {
            plan.renew(newer);
            None
        }
        LookedUp::GatewayTimeout(_) => None,
    }
}

/// Fetches, and says how long the origin took. With `remote`, other replicas are asked before; the origin may not be needed then.
async fn lead<S: Upstream>(
    service: CacheService<S>,
    asked: Arc<Asked>,
    plan: Plan,
    permit: Option<Permit>,
    remote: bool,
) -> Result<Served<S::Body>, FetchError> {
    let started = monotonic();
    let mut served = fetch(service, asked, plan, permit, remote).await?;
    served.outcome.upstream = served.outcome.forward.map(|_| monotonic().saturating_duration_since(started));
    Ok(served)
}

/// Fetches. What is under way goes on without a client that leaves.
async fn fetch<S: Upstream>(
    service: CacheService<S>,
    asked: Arc<Asked>,
    plan: Plan,
    permit: Option<Permit>,
    remote: bool,
) -> Result<Served<S::Body>, FetchError> {
    let (reply, outcome) = oneshot::channel();
    let job = Job::new(&service, Arc::clone(&asked), &plan.found, plan.going(&asked), permit);
    let elsewhere = remote.then(|| plan.found.clone());
    let errand = Errand::new(run(service.clone(), job, elsewhere, reply));
    let lost = || FetchOutcome::Failed { error: FetchError::new("the exchange with the upstream was lost"), stored: None };
    let reply = errand.bring(outcome).await.unwrap_or_else(|_| Reply { outcome: lost(), own: Own::Nothing });
    answer(&service, &asked, &plan, reply, None).map_err(|no_answer| match no_answer {
        NoAnswer::Failed(error) => error,
        // These are for followers: a leader gets what it fetched.
        NoAnswer::OtherVariant(_) | NoAnswer::Anew | NoAnswer::Alone(_) => FetchError::new("the fetch has no answer for its client"),
    })
}

impl<S: Upstream> CacheService<S> {
    /// The URI as it goes to the inner service: as sent, less the bypass parameter.
    pub(crate) fn upstream_uri(&self, uri: &Uri) -> Uri {
        self.route.key.query.without_bypass(uri).unwrap_or_else(|| uri.clone())
    }

    /// Joins the flight for a request, or starts one.
    pub(crate) fn join(&self, hash: KeyHash, asked: &Asked) -> Join {
        let more_tags = !self.route.tags.in_response().is_empty();
        self.cache.flights.join(hash, &asked.key, self.cache.store.ledger(), self.cache.clock.now(), more_tags, || self.known_tags(asked))
    }

    /// Everything that is known of an answer's tags before it is there; `None` where they are too many to be kept.
    pub(crate) fn known_tags(&self, asked: &Asked) -> Option<Tags> {
        self.route.known_tags(&asked.parts, &asked.key)
    }
}
