//! One request of a test on the way of a client's, and what came of it.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use larder_semantics::Reason;
use larder_store::StoredResponse;
use larder_tower::{CacheResult, EffectiveTarget, FetchError, Served};
use serde_json::{Value, json};

use super::origin::{Asked, ClientPath};
use super::purges;
use super::stage::{Stage, settle};
use crate::active::ActiveConfig;
use crate::client::effective_target;
use crate::config::{PurgeWord, TestAnswer, TestRequest, TestResult};
use crate::explain::{ExplainRequest, Explanation, explain, question};
use crate::limits::{Answers, Over, UnderLimits};
use crate::problem::{LIMITED, Problem};
use crate::proxy::{FAILED, NOT_STORED, Renegotiation, Service, Step, for_the_cache, way};
use crate::purge::{Refused, USUAL_WAIT, purge};
use crate::routing::{WayBody, head_of, reads_content};
use crate::upstream::{ClientContext, UpstreamError};

/// What came of a request.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) answer: Answer,
    /// How it would be answered, from before it was.
    pub(super) explanation: Box<Explanation>,
    pub(super) route: Option<String>,
    pub(super) key: Option<String>,
    /// What is stored for it now.
    pub(super) kept: Option<Kept>,
    /// What the origin was asked.
    pub(super) asked: Vec<Asked>,
    pub(super) purges: Vec<PurgeWord>,
}

/// The answer as the client has it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) result: TestResult,
    pub(super) reason: Option<Reason>,
    pub(super) stored: bool,
    pub(super) stale: bool,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What is stored.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) response: Arc<StoredResponse>,
    /// Seconds of freshness that are left.
    pub(super) ttl: i64,
    /// The surrogate keys that the route gives it.
    pub(super) tags: Vec<String>,
}

/// A request before the cache.
struct AtCache<'s> {
    service: &'s Service,
    /// Its head as the cache sees it.
    head: Request<()>,
    effective: EffectiveTarget,
}

/// Asks, and lets everything come to its end that this sets off.
pub(super) async fn ask(stage: &Stage, request: &TestRequest, answer: Option<&TestAnswer>) -> Result<Seen, Refused> {
    let active = &stage.active;
    stage.origin.begin(request.url.path(), &request.method, answer);
    let explanation = Box::new(explain(active, question(&as_json(request))?).await?);
    let asked = question(&as_json(request))?;
    let (head, connection) = (head_of(&asked.request), asked.connection);
    let target = effective_target(head.uri(), head.headers(), &connection, &active.trusted);
    let (answer, at_cache) = walk(stage, asked).await;
    settle().await;
    let all = purges::without_own(active, target.of(head.uri()), answer.status, &answer.headers, stage.purges.take());
    let run = at_cache.map(|at| (at.service.dry_run(at.head, &at.effective, &Bytes::copy_from_slice(request.body.as_bytes())), at.service));
    let kept = run.as_ref().and_then(|(run, service)| {
        let response = run.selected.clone().filter(|stored| stage.cache.is_valid(stored))?;
        Some(Kept { ttl: response.head.ttl(run.now), tags: service.names_of_tags(run.request(), &response), response })
    });
    Ok(Seen {
        answer,
        route: explanation.route.as_ref().map(|route| route.name.clone()),
        explanation,
        key: run.as_ref().and_then(|(run, _)| Some(run.key()?.text().to_owned())),
        kept,
        asked: stage.origin.asked(),
        purges: purges::words(&all, &target.authority),
    })
}

fn as_json(request: &TestRequest) -> Value {
    let mut headers = serde_json::Map::new();
    for name in request.headers.keys() {
        let lines: Vec<_> = request.headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        headers.insert(name.to_string(), json!(lines));
    }
    json!({
        "url": request.url.to_string(),
        "method": request.method.as_str(),
        "headers": headers,
        "data": request.body,
        "client": request.client,
    })
}

/// The way of `proxy::Gateway::handle`, without what is logged and counted.
async fn walk(stage: &Stage, asked: ExplainRequest) -> (Answer, Option<AtCache<'_>>) {
    let ExplainRequest { mut request, connection, data, .. } = asked;
    let (active, path, sent) = (&stage.active, Arc::from(request.uri().path()), head_of(&request));
    let target = effective_target(sent.uri(), sent.headers(), &connection, &active.trusted);
    let length = data.len() as u64;
    let way = way(active, &request, &target, |max| max.is_some_and(|max| length > max));
    let (service, past_cache) = match (way.step, way.service) {
        (Step::Cache(past_cache), Some(service)) => (service, past_cache),
        (Step::Purge, _) => return (purged(stage, &sent, &target).await, None),
        (Step::Tunnel, _) => return (Answer::tunnel(), None),
        (Step::Refuse(problem), _) => return (Answer::refused(&problem, &sent, None), None),
        (Step::Cache(_), None) => return (Answer::refused(&FAILED, &sent, None), None),
    };
    let (client, effective) = (target.client, for_the_cache(target));
    let (mut limited, ticket) = match enter(stage, service, &request, client) {
        Ok(entered) => entered,
        Err(over) => return (over_limit(active, service, &over, &sent), None),
    };
    let route = service.route().index();
    let edits = active.edits_of(route);
    let edits = edits.and_then(|edits| edits.apply(request.headers_mut(), client, active.trusted.contains(connection.peer)));
    edits.and_then(|edits| request.extensions_mut().insert(edits));
    let codings = active.codings_of(route).filter(|_| past_cache.is_none());
    if let Some(codings) = codings.filter(|_| reads_content(service.route(), request.method())) {
        codings.narrow(request.headers_mut());
    }
    let negotiated = codings.filter(|_| data.is_empty()).and_then(|codings| codings.negotiate(&mut request));
    let head = head_of(&request);
    let context = ClientContext { connection, interim: None, min_upload_rate: 0, observer: None };
    limited.take_ticket(ticket);
    let (own, ticket) = (context.clone(), limited.ticket());
    let extend = |extensions: &mut http::Extensions| {
        extensions.insert(own);
        extensions.insert(ClientPath(path));
        ticket.and_then(|ticket| extensions.insert(ticket));
    };
    let request = request.map(|()| Full::new(data));
    let waiting = match past_cache {
        Some(reason) => service.pass_by(request, effective.clone(), reason, extend),
        None => service.serve(request, effective.clone(), extend),
    };
    let served = match negotiated {
        None => waiting.await,
        Some(negotiated) => {
            let renegotiation = Renegotiation { service: service.clone(), effective: effective.clone(), context, ticket: limited.ticket() };
            renegotiation.settled(waiting, &negotiated, |_| ()).await
        }
    };
    let mut answer = match served {
        Ok(served) => Answer::served(served, &sent).await,
        Err(error) => failed(active, service, &error, &sent),
    };
    if let Some(limits) = active.limits_of(route) {
        limits.tell(&limited, &mut answer.headers);
        let _ = limits.charge(limited.bytes, Some(answer.body.len() as u64));
    }
    (answer, Some(AtCache { service, head, effective }))
}

/// Asks the limits of the route. A request that is to wait does so by the test's clock.
fn enter(
    stage: &Stage,
    service: &Service,
    request: &Request<()>,
    client: IpAddr,
) -> Result<(UnderLimits, Option<crate::limits::NewTicket>), Over> {
    let Some(limits) = stage.active.limits_of(service.route().index()) else { return Ok(Default::default()) };
    let keys = limits.keys(request, client);
    let entered = limits.enter(&keys, &Answers::default())?;
    stage.hand.advance_by(entered.delay);
    Ok(entered.begun(limits, keys))
}

fn over_limit(active: &ActiveConfig, service: &Service, over: &Over, sent: &Request<()>) -> Answer {
    let mut answer = Answer::refused(&LIMITED.retry_after(over.retry_after), sent, Some(Reason::RateLimited));
    if let Some(limits) = active.limits_of(service.route().index()) {
        limits.tell(&UnderLimits::refused(over), &mut answer.headers);
    }
    answer
}

fn failed(active: &ActiveConfig, service: &Service, error: &FetchError, sent: &Request<()>) -> Answer {
    match error.downcast_ref::<UpstreamError>() {
        Some(UpstreamError::Limited(error)) => match error.downcast_ref::<Over>() {
            Some(over) => over_limit(active, service, over, sent),
            None => Answer::failed(&LIMITED, sent),
        },
        Some(error) => Answer::failed(&error.problem(), sent),
        None => Answer::failed(&FAILED, sent),
    }
}

async fn purged(stage: &Stage, sent: &Request<()>, target: &crate::client::EffectiveTarget<'_>) -> Answer {
    match crate::purge::public::invalidation(&stage.active, target.of(sent.uri()), sent.headers()) {
        Ok(invalidation) => {
            let response = purge(&stage.cache, &invalidation, USUAL_WAIT).await.response(&[]);
            Answer { result: TestResult::Purge, ..Answer::own(response) }
        }
        Err(problem) => Answer::refused(&problem, sent, None),
    }
}

impl Answer {
    /// By Larder itself.
    fn own(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let (status, headers) = (parts.status, parts.headers);
        Self { result: TestResult::Refused, reason: None, stored: false, stale: false, status, headers, body }
    }

    fn refused(problem: &Problem, sent: &Request<()>, reason: Option<Reason>) -> Self {
        Self { reason, ..Self::own(problem.response(sent.method())) }
    }

    fn failed(problem: &Problem, sent: &Request<()>) -> Self {
        Self { result: TestResult::Failed, ..Self::own(problem.response(sent.method())) }
    }

    fn tunnel() -> Self {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        Self { result: TestResult::Tunnel, reason: Some(Reason::Upgrade), ..Self::own(response) }
    }

    async fn served(served: Served<WayBody>, sent: &Request<()>) -> Self {
        let Served { response, outcome, .. } = served;
        if outcome.reason == Reason::OnlyIfCached {
            return Self::refused(&NOT_STORED, sent, Some(outcome.reason));
        }
        let result = match outcome.result {
            CacheResult::Hit => TestResult::Hit,
            CacheResult::Revalidated => TestResult::Revalidated,
            CacheResult::Miss => TestResult::Miss,
            CacheResult::Bypass => TestResult::Bypass,
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Self {
            result,
            reason: Some(outcome.reason),
            stored: outcome.stored,
            stale: outcome.stale,
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }
}
