//! One fetch as steps, each of which names the next one (as Varnish's fetch machine does).
//!
//! 1. [`Exchange::ask_tiers`]: a tier behind the memory has the response, or the origin has to be asked.
//! 2. [`Exchange::send`]: the request goes to the origin. Where another replica's fetch was waited for in vain, the first of both counts.
//! 3. [`Exchange::classify`]: the origin's answer is classified. It may lead back to step 2.
//! 4. [`Exchange::act`]: the fetch ends in one [`Action`].

use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use larder_semantics::range::PartialResponse;
use larder_semantics::{Disposition, Freshened, Reason, StoredHead, Timestamp, VarySpec};
use larder_store::{Arriving, Departure, FetchFailure, Lease, Lookup, Relayed, StoredResponse};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::giving_up::unless_given_up;
use super::part::{Confirmed, Joining, Partly};
use super::state::{Fetch, NamedForParts, Naming};
use crate::cache::Counted;
use crate::collapse::flight::Permit;
use crate::collapse::outcome::{FetchOutcome, Own, Reply, own_fields};
use crate::error::FetchError;
use crate::lookup::plan::UpstreamMode;
use crate::lookup::request::ClientRequest;
use crate::rules::TagsInBody;
use crate::service::CacheService;
use crate::tiers::look_up::{Promotion, TierAnswer, ask};
use crate::tiers::waiting::{Overdue, Wait, watch};
use crate::upstream::{Upstream, announced_length, call, call_timed};

/// A fetch under way.
struct Exchange<S: Upstream> {
    service: CacheService<S>,
    fetch: Box<Fetch>,
    reply: oneshot::Sender<Reply<S::Body>>,
}

/// The next step.
enum Step<B> {
    /// Ask the tiers behind the memory.
    AskTiers(Elsewhere),
    /// Ask the origin.
    Send,
    /// Classify its answer.
    Classify { response: Response<B>, request_time: Timestamp },
    /// End.
    Act(Action<B>),
}

/// The query for the tiers.
pub(crate) struct Elsewhere {
    /// The entry found in memory.
    pub(crate) found: Lookup,
    /// The time until which another replica's fetch is waited for; `None`: without end.
    pub(crate) until: Option<Instant>,
}

/// How a fetch ends.
enum Action<B> {
    /// No client waits, and others wait for the place that the exchange takes.
    GiveUp,
    /// There is no answer.
    Fail(FetchError),
    /// Another replica has got no answer.
    FailElsewhere(FetchFailure, Option<Arc<StoredResponse>>),
    /// A tier had the response, and it is in memory now.
    Load(Arc<StoredResponse>, Promotion),
    /// A tier has the response, and its body arrives.
    StoreArriving(Arriving, Promotion),
    /// Another replica is fetching the response, and its body arrives from there.
    StoreRelayed(Relayed, Promotion),
    /// Store the response.
    Store { response: Response<B>, head: Arc<StoredHead>, vary: Option<VarySpec> },
    /// Store a part.
    StorePart { response: Response<B>, meta: Box<PartialResponse>, missing: Option<Box<Joining>> },
    /// A stored part is still good.
    ConfirmPart { response: Response<B>, confirmed: Box<Confirmed<B>> },
    /// Stored responses are still good.
    Freshen { response: Response<B>, answer: Freshened, others: Vec<Freshened> },
    /// A stored response stands in for a server error.
    ServeStale(Response<B>),
    /// A server error that followers share.
    ShareError { response: Response<B>, reason: Reason },
    /// The answer is for its client alone.
    Pass { response: Response<B>, reason: Reason, remember: bool },
}

/// The rest of an action: the body is read to its end.
type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Fetches, hands the outcome to the client and the followers, and reads the body to its end. With `elsewhere`, the tiers behind
/// the memory are asked before.
///
/// Rare steps are boxed: a future is as large as its largest step, it is moved, and a block beyond a kilobyte is slow to allocate.
pub(crate) async fn run<S: Upstream>(
    service: CacheService<S>,
    fetch: Box<Fetch>,
    elsewhere: Option<Elsewhere>,
    reply: oneshot::Sender<Reply<S::Body>>,
) {
    let _counted = Counted::new(&service.cache, |counters| &counters.fills);
    let mut exchange = Exchange { service, fetch, reply };
    let mut step = elsewhere.map_or(Step::Send, Step::AskTiers);
    let action = loop {
        step = match step {
            Step::AskTiers(elsewhere) => exchange.ask_tiers(elsewhere).await,
            Step::Send => exchange.send().await,
            Step::Classify { response, request_time } => exchange.classify(response, request_time),
            Step::Act(action) => break action,
        };
    };
    match action {
        Action::Store { response, head, vary } => exchange.store(response, head, vary).await,
        action => {
            if let Some(rest) = exchange.act(action) {
                rest.await;
            }
        }
    }
}

/// Asks the origin once for the whole, and says what a fetch would do with the answer, without doing it.
pub(crate) async fn try_out<S: Upstream>(service: CacheService<S>, request: Arc<ClientRequest>) -> Result<TriedOut, FetchError> {
    let mut fetch = Fetch::new(&service, request, &Lookup::Absent(Departure::Unknown), UpstreamMode::Whole, None);
    fetch.is_trial = true;
    // The receiving end lives on, so the exchange has a client that waits.
    let (reply, _client) = oneshot::channel();
    let mut exchange = Exchange { service, fetch, reply };
    let step = match exchange.send().await {
        Step::Classify { response, request_time } => {
            let fields = response.headers().clone();
            (exchange.classify(response, request_time), fields)
        }
        other => (other, HeaderMap::new()),
    };
    match step {
        (Step::Act(Action::Store { response, head, vary }), fields) => {
            Ok(TriedOut { status: response.status(), fields, length: announced_length(&response), verdict: Ok((head, vary)) })
        }
        (Step::Act(Action::Pass { response, reason, .. } | Action::ShareError { response, reason }), fields) => {
            Ok(TriedOut { status: response.status(), fields, length: announced_length(&response), verdict: Err(reason) })
        }
        (Step::Act(Action::StorePart { response, .. }), fields) => {
            let reason = Reason::PartialContent;
            Ok(TriedOut { status: response.status(), fields, length: announced_length(&response), verdict: Err(reason) })
        }
        (Step::Act(Action::Fail(error)), _) => Err(error),
        // The others are about stored responses, of which this fetch knows none.
        _ => Err(FetchError::lost()),
    }
}

/// Asks the origin once for the whole, and gives its answer as it comes.
pub(crate) async fn ask_whole<S: Upstream>(
    service: &CacheService<S>,
    request: Arc<ClientRequest>,
) -> Result<Response<S::Body>, FetchError> {
    let fetch = Fetch::new(service, request, &Lookup::Absent(Departure::Unknown), UpstreamMode::Whole, None);
    call(&service.inner, || fetch.request(service)).await
}

/// What the origin has answered, and what a fetch would do with it.
#[derive(Debug)]
#[non_exhaustive]
pub struct TriedOut {
    /// The status.
    pub status: StatusCode,
    /// The fields, as they came.
    pub fields: HeaderMap,
    /// The announced length of the body, in bytes.
    pub length: Option<u64>,
    /// The head that would be stored with its selecting fields, once the body is proven complete; or why nothing would be.
    pub verdict: Result<(Arc<StoredHead>, Option<VarySpec>), Reason>,
}

impl<S: Upstream> Exchange<S> {
    async fn ask_tiers(&mut self, Elsewhere { found, until }: Elsewhere) -> Step<S::Body> {
        let Self { service, fetch, .. } = self;
        if service.cache.tiers.is_empty() {
            return Step::Send;
        }
        let begins = || fetch.permit.iter().for_each(Permit::waits_elsewhere);
        let wait = fetch.permit.is_some().then_some(Wait { until, begins: &begins });
        let answer = Box::pin(ask(&service.cache, &service.route, &fetch.request, &found, wait)).await;
        self.go_on_from(answer)
    }

    fn go_on_from(&mut self, answer: TierAnswer) -> Step<S::Body> {
        Step::Act(match answer {
            TierAnswer::Serve(stored, promotion) => Action::Load(stored, promotion),
            TierAnswer::Arriving(arriving, promotion) => Action::StoreArriving(arriving, promotion),
            TierAnswer::Relayed(relayed, promotion) => Action::StoreRelayed(relayed, promotion),
            TierAnswer::Failed(failure, candidate) => Action::FailElsewhere(failure, candidate),
            TierAnswer::Fetch(basis) => {
                self.fetch.begin_now(&self.service.cache, basis);
                return Step::Send;
            }
        })
    }

    async fn send(&mut self) -> Step<S::Body> {
        match self.fetch.overdue.take() {
            None => self.send_alone().await,
            Some(overdue) => Box::pin(self.send_and_watch(overdue)).await,
        }
    }

    /// Sends, and takes what another replica's fetch brings meanwhile, which was waited for before.
    async fn send_and_watch(&mut self, overdue: Overdue) -> Step<S::Body> {
        let (cache, route, request) = (Arc::clone(&self.service.cache), Arc::clone(&self.service.route), Arc::clone(&self.fetch.request));
        let known = self.fetch.candidates.first().cloned();
        let answer = tokio::select! {
            biased;
            step = self.send_alone() => return step,
            answer = watch(&cache, &route, &request, known.as_deref(), overdue) => answer,
        };
        self.go_on_from(answer)
    }

    async fn send_alone(&mut self) -> Step<S::Body> {
        let Self { service, fetch, reply } = self;
        let answer = call_timed(&service.inner, &service.cache.clock, || fetch.request(service));
        match unless_given_up(answer, fetch, reply, &service.route.pressure).await {
            None => Step::Act(Action::GiveUp),
            Some(Err(error)) => Step::Act(Action::Fail(error)),
            Some(Ok((response, request_time))) => Step::Classify { response, request_time },
        }
    }

    fn classify(&mut self, mut response: Response<S::Body>, request_time: Timestamp) -> Step<S::Body> {
        let Self { service, fetch, .. } = self;
        let named = service.route.tags.take_tags(response.headers_mut());
        fetch.tag(named.as_deref());
        if let Some(parts) = fetch.request.parts.extensions.get::<NamedForParts>() {
            parts.set(named);
        }
        let announced = announced_length(&response);
        let exchange = fetch.exchange(service, &response, request_time);
        match fetch.part_of(&exchange, announced, service.route.max_object, &service.cache.in_flight) {
            Partly::No => {
                let disposition = fetch.judge(service, &exchange, announced);
                self.classify_whole(response, disposition)
            }
            Partly::Store { missing: None, .. }
                if let Some(reason) = fetch.objection_to_storing(service, &exchange).or_else(|| fetch.guarded_part(service, &exchange)) =>
            {
                Step::Act(Action::Pass { response, reason, remember: false })
            }
            // What is stored is from before the guard was set.
            Partly::Store { missing: Some(_), .. } if service.route.refuses_part(&fetch.request.parts, exchange.headers) => {
                self.classify_part(response, Partly::AskAgain { too_large: false })
            }
            Partly::Confirmed(_) if fetch.guarded_head(service, &exchange, None).is_some() => {
                self.classify_part(response, Partly::AskAgain { too_large: false })
            }
            partly => self.classify_part(response, partly),
        }
    }

    fn classify_part(&mut self, response: Response<S::Body>, partly: Partly<S::Body>) -> Step<S::Body> {
        let Self { service, fetch, .. } = self;
        if let Partly::Store { meta, .. } = &partly {
            fetch.tag_by_groups(&meta.head);
        }
        Step::Act(match partly {
            Partly::No => Action::Pass { response, reason: Reason::Partial, remember: false },
            Partly::AskAgain { too_large } => {
                fetch.ask_as_sent(&service.cache, too_large);
                return Step::Send;
            }
            Partly::Store { .. } if fetch.naming == Naming::TooMany => {
                Action::Pass { response, reason: Reason::TooManyTags, remember: true }
            }
            // A part of an object does not have all its members.
            Partly::Store { .. } if service.route.tags_in(response.headers()) != TagsInBody::None => {
                Action::Pass { response, reason: Reason::UnreadTags, remember: true }
            }
            Partly::Store { meta, missing } => Action::StorePart { response, meta, missing },
            Partly::Confirmed(confirmed) => Action::ConfirmPart { response, confirmed },
        })
    }

    fn classify_whole(&mut self, response: Response<S::Body>, disposition: Disposition) -> Step<S::Body> {
        let Self { service, fetch, .. } = self;
        if let Disposition::Store { head, .. } = &disposition {
            fetch.tag_by_groups(head);
        }
        Step::Act(match disposition {
            Disposition::Refetch { .. } => {
                fetch.candidates.clear();
                fetch.selected = false;
                return Step::Send;
            }
            Disposition::Store { .. } if fetch.naming == Naming::TooMany => {
                Action::Pass { response, reason: Reason::TooManyTags, remember: true }
            }
            Disposition::Store { .. } if service.route.tags_in(response.headers()) == TagsInBody::Unreadable => {
                Action::Pass { response, reason: Reason::UnreadTags, remember: true }
            }
            Disposition::Store { kept: false, .. } if !fetch.is_followed() => {
                Action::Pass { response, reason: Reason::LifetimeZero, remember: false }
            }
            Disposition::Store { head, vary, kept } => {
                fetch.keeps = kept;
                Action::Store { response, head, vary }
            }
            Disposition::Freshen { answer, others } => Action::Freshen { response, answer, others },
            Disposition::ServeStale { .. } => Action::ServeStale(response),
            Disposition::Pass { reason, .. } if response.status().is_server_error() && fetch.is_followed() => {
                Action::ShareError { response, reason }
            }
            Disposition::Pass { reason, remember } => Action::Pass { response, reason, remember },
        })
    }

    /// The action that is not rare.
    fn store(self, response: Response<S::Body>, head: Arc<StoredHead>, vary: Option<VarySpec>) -> impl Future<Output = ()> + Send {
        self.fetch.forget_part(&self.service.cache);
        self.fetch.store(self.service, response, head, vary, self.reply)
    }

    /// Ends the fetch. Work that cannot be done at once comes back as a future.
    fn act(self, action: Action<S::Body>) -> Option<Rest> {
        let Self { service, mut fetch, reply } = self;
        match action {
            Action::GiveUp => {}
            Action::Fail(error) => fetch.fail(&service.cache, error, reply),
            Action::FailElsewhere(failure, candidate) => fetch.fail_elsewhere(failure, candidate, reply),
            Action::Load(stored, promotion) => {
                fetch.deliver(FetchOutcome::Loaded(Arc::clone(&stored)), Own::Nothing, reply);
                return Some(Box::pin(async move { service.cache.promote_to_nearer(stored, promotion, &service.route.tiers).await }));
            }
            Action::StoreArriving(arriving, promotion) => {
                return Some(Box::pin(fetch.store_arriving(service, arriving, promotion, reply)));
            }
            Action::StoreRelayed(relayed, promotion) => {
                return Some(Box::pin(fetch.store_relayed(service, relayed, promotion, reply)));
            }
            Action::Store { response, head, vary } => return Some(Box::pin(Self { service, fetch, reply }.store(response, head, vary))),
            Action::StorePart { response, meta, missing } => {
                // No request waits for a part.
                fetch.permit = None;
                fetch.lease.take().into_iter().for_each(Lease::not_shared);
                return Some(Box::pin(fetch.store_part(service, response, meta, missing, reply)));
            }
            Action::ConfirmPart { response, confirmed } => {
                let part = fetch.keep_confirmed(&service, *confirmed, own_fields(&response));
                fetch.deliver(FetchOutcome::NotShared, Own::Part(part), reply);
            }
            Action::Freshen { response, answer, others } => {
                others.into_iter().for_each(|other| fetch.freshen_other(&service, other));
                let own = own_fields(&response);
                return Some(Box::pin(async move { fetch.freshen(&service, answer, own, reply).await }));
            }
            Action::ServeStale(response) => fetch.serve_stale(&service.cache, response, reply),
            Action::ShareError { response, reason } => return Some(Box::pin(fetch.refuse(service, response, reason, reply))),
            Action::Pass { response, reason, remember } => fetch.pass(&service.cache, response, reason, remember, reply),
        }
        None
    }
}
