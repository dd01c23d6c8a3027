//! The answer to a request that is under way: finished, logged and counted once it is there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Body as _;
use larder_semantics::Reason;
use larder_semantics::content::model::{USAGE_SAVED, read_saved};
use larder_tower::clock::monotonic;
use larder_tower::{CacheBody, CacheResult, FailedElsewhere, FetchError, Outcome, ServeFuture, Served, StoredAnswer};

use super::gateway::{Answered, GatewayBody};
use super::renegotiation::Renegotiation;
use super::tracing::{Exchange, Tracing};
use crate::active::ActiveConfig;
use crate::http1;
use crate::limits::{Answers, LimitOutcome, NewTicket, Over, Tokens, UnderLimits};
use crate::problem::{LIMITED, Problem, X_REQUEST_ID};
use crate::routing::{Negotiated, Verdict, WayBody};
use crate::telemetry::access_log::{Entry, LoggedBody, ResponseRecord, Uncounted};
use crate::telemetry::metrics::{Recoded, RequestRecord, UsageOutcome};
use crate::telemetry::observe::Happening;
use crate::telemetry::traces::RequestSpan;
use crate::upstream::{ExchangeObserver, UpstreamError};
use crate::verify::Shadow;

pub(crate) const NOT_STORED: Problem =
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "http_request_denied", "Only a stored response was asked for, and there is none.");
pub(crate) const FAILED: Problem = Problem::new(StatusCode::BAD_GATEWAY, "proxy_internal_error", "The request could not be completed.");

/// Facts about a request that are needed once its answer is there.
pub(super) struct PendingAnswer {
    pub(super) method: Method,
    pub(super) started: Instant,
    pub(super) entry: Entry,
    pub(super) route: Option<usize>,
    /// Of a response that carries one.
    pub(super) request_id: Option<HeaderValue>,
    /// Where somebody is to see it.
    pub(super) happening: Option<Box<Happening>>,
    pub(super) tracing: Tracing,
    /// Where the origin is asked, and the log, a trace or somebody is to know more of that than its answer.
    pub(super) exchange: Option<Arc<Exchange>>,
    /// Where its answer is a stored one of a model.
    pub(super) tokens_saved: Option<u64>,
    /// What limits have said of it; empty where its route has none.
    pub(super) limited: UnderLimits,
}

impl PendingAnswer {
    /// The observer of the exchange with the origin that begins now, where anybody is to know of it.
    pub(super) fn observer(&mut self) -> Option<Arc<dyn ExchangeObserver>> {
        if self.entry.is_on() || self.happening.is_some() || !matches!(self.tracing, Tracing::AsCame) {
            self.exchange = Some(Exchange::of(&self.tracing));
        }
        self.exchange.clone().map(|exchange| exchange as _)
    }

    /// As [`Self::waits`], for a client that may not accept the coding of what is stored.
    pub(super) async fn waits_negotiated(
        self,
        active: Arc<ActiveConfig>,
        waiting: ServeFuture<WayBody>,
        negotiated: Box<Negotiated>,
        renegotiation: Renegotiation,
    ) -> Answered {
        let judged = |verdict| match verdict {
            Verdict::Suits => {}
            Verdict::Unpack(_) => active.metrics.recoded(Recoded::Unpacked),
            Verdict::AskAsSent | Verdict::AskForWhole => active.metrics.recoded(Recoded::AskedAgain),
        };
        match renegotiation.settled(waiting, &negotiated, judged).await {
            Ok(served) => self.served(&active, served),
            Err(error) => self.failed(&active, &error),
        }
    }

    /// The answer once it is there.
    pub(super) async fn waits(self, active: Arc<ActiveConfig>, waiting: ServeFuture<WayBody>) -> Answered {
        match waiting.await {
            Ok(served) => self.served(&active, served),
            Err(error) => self.failed(&active, &error),
        }
    }

    /// As [`Self::waits`], for an answer that is compared with what is stored.
    pub(super) async fn waits_shadowed(self, active: Arc<ActiveConfig>, waiting: ServeFuture<WayBody>, shadow: Shadow) -> Answered {
        match waiting.await {
            Ok(mut served) => {
                served.response = shadow.watches(served.response);
                self.served(&active, served)
            }
            Err(error) => self.failed(&active, &error),
        }
    }

    pub(super) fn served(mut self, active: &ActiveConfig, served: Served<WayBody>) -> Response<LoggedBody<GatewayBody>> {
        let Served { mut response, outcome, .. } = served;
        if outcome.reason == Reason::OnlyIfCached {
            let (parts, body) = NOT_STORED.response(&self.method).map(CacheBody::from_bytes).into_parts();
            response.headers_mut().extend(parts.headers);
            *response.body_mut() = body;
        }
        // Otherwise the origin has told of a limit of its own.
        if outcome.reason == Reason::RateLimited && self.limited.is_held() {
            self.count_limited(active, LimitOutcome::Stale);
        }
        if outcome.reason == Reason::Cookie
            && let Some(index) = self.route
            && let Some(route) = active.settings_of(index)
        {
            active.hints.see_cookies(index, route);
        }
        if let Some(usage) = self.route.and_then(|route| active.usage_of(route))
            && (outcome.result == CacheResult::Hit || outcome.collapsed)
            && let Some((saved, model)) = response.headers().get(USAGE_SAVED).and_then(read_saved)
        {
            let tokens = Tokens { model, input: saved.input, output: saved.output };
            usage.count(UsageOutcome::Saved, self.limited.spender.as_deref(), tokens);
            self.tokens_saved = Some(saved.input.saturating_add(saved.output));
        }
        self.answered(active, response, Some(&outcome))
    }

    fn failed(self, active: &ActiveConfig, error: &FetchError) -> Response<LoggedBody<GatewayBody>> {
        if let Some(error) = error.downcast_ref::<FailedElsewhere>() {
            return self.failed_elsewhere(active, error);
        }
        match error.downcast_ref::<UpstreamError>() {
            Some(error) => self.failed_at(active, error),
            None => {
                tracing::debug!(error = %error, "a request could not be completed");
                self.refused(active, FAILED)
            }
        }
    }

    /// Asks the limits of the route before the look-up: how long the request has to wait, and its ticket to the origin where that has limits.
    pub(super) fn enter<B>(
        &mut self,
        active: &ActiveConfig,
        request: &Request<B>,
        client: IpAddr,
    ) -> Result<(Duration, Option<NewTicket>), Over> {
        let Some(limits) = self.route.and_then(|route| active.limits_of(route)) else { return Ok(Default::default()) };
        let keys = limits.keys(request, client);
        let asked_ahead = request.extensions().get::<Answers>();
        let entered = limits
            .enter(&keys, asked_ahead.unwrap_or(&Answers::default()))
            .inspect_err(|over| self.limited = UnderLimits::refused(over))?;
        let (delay, (limited, ticket)) = (entered.delay, entered.begun(limits, keys));
        self.limited = limited;
        Ok((delay, ticket))
    }

    /// A limit of the route has nothing left for the client.
    pub(super) fn over_limit(mut self, active: &ActiveConfig, over: &Over) -> Response<LoggedBody<GatewayBody>> {
        self.count_limited(active, LimitOutcome::Refused);
        let problem = LIMITED.retry_after(over.retry_after);
        let Served { response, outcome, .. } =
            Served::refused(problem.response(&self.method).map(CacheBody::from_bytes), Reason::RateLimited);
        self.ended(active, response, Some(&outcome), ResponseRecord { problem: Some(problem), ..ResponseRecord::default() })
    }

    /// Counts what has become of a request under the limit that has nothing left for it.
    fn count_limited(&self, active: &ActiveConfig, outcome: LimitOutcome) {
        let limits = self.route.and_then(|route| active.limits_of(route));
        if let (Some(limits), Some((note, _))) = (limits, self.limited.standing()) {
            limits.at(note.limit).count(outcome);
        }
    }

    /// The log has been told of it where it happened (`upstream::protect::failure_log`).
    pub(super) fn failed_at(mut self, active: &ActiveConfig, error: &UpstreamError) -> Response<LoggedBody<GatewayBody>> {
        if let UpstreamError::Limited(error) = error
            && let Some(over) = error.downcast_ref::<Over>()
        {
            return self.over_limit(active, over);
        }
        let problem = error.problem();
        let Some(upstream) = self.route.and_then(|route| active.upstream_name(route)) else { return self.refused(active, problem) };
        // `next-hop` names the upstream only where the failure is not the client's.
        let response = match error.is_origin_failure() || error.is_refusal() {
            true => problem.response_about(&self.method, upstream),
            false => problem.response(&self.method),
        };
        let response = response.map(CacheBody::from_bytes);
        let reached = !error.is_refusal();
        let (server, connect, attempts) = self.exchange.as_ref().map(|exchange| exchange.facts()).unwrap_or_default();
        let took = self.exchange.as_ref().and_then(|exchange| exchange.took());
        let time = reached.then(|| took.unwrap_or_else(|| monotonic().saturating_duration_since(self.started)));
        let answer = ResponseRecord {
            upstream: reached.then_some(upstream),
            upstream_server: server.as_deref(),
            upstream_time: time,
            upstream_connect: connect,
            upstream_attempts: attempts,
            problem: Some(problem),
            ..ResponseRecord::default()
        };
        self.ended(active, response, None, answer)
    }

    /// The origin was asked by another replica, whose log and metrics have it.
    fn failed_elsewhere(mut self, active: &ActiveConfig, error: &FailedElsewhere) -> Response<LoggedBody<GatewayBody>> {
        let problem = UpstreamError::problem_of(error.word()).unwrap_or(FAILED);
        let Some(upstream) = self.route.and_then(|route| active.upstream_name(route)) else { return self.refused(active, problem) };
        let response = problem.response_about(&self.method, upstream).map(CacheBody::from_bytes);
        self.ended(active, response, None, ResponseRecord { problem: Some(problem), ..ResponseRecord::default() })
    }

    pub(super) fn refused(mut self, active: &ActiveConfig, problem: Problem) -> Response<LoggedBody<GatewayBody>> {
        let response = problem.response(&self.method).map(CacheBody::from_bytes);
        self.ended(active, response, None, ResponseRecord { problem: Some(problem), ..ResponseRecord::default() })
    }

    /// Writes the head of a stored answer as it lies in the store, and answers with its body. It has no [`Response`]: each hit would pay for its map.
    pub(super) fn written(&mut self, active: &ActiveConfig, answer: StoredAnswer<WayBody>, head: &mut Vec<u8>) -> LoggedBody<GatewayBody> {
        let status = answer.status();
        let length = answer.length().unwrap_or_default();
        let limits = self.route.and_then(|route| active.limits_of(route));
        http1::put_answer_head(head, &self.method, status, length, |head| {
            let tells_length = match &self.request_id {
                None => answer.put_lines(head).unwrap_or_else(|| http1::put_lines(head, |put| answer.for_each_line(put))),
                Some(id) => http1::put_lines(head, |put| {
                    answer.for_each_line(|name, value| {
                        if *name != X_REQUEST_ID {
                            put(name, value)
                        }
                    });
                    put(&X_REQUEST_ID, id.as_bytes());
                }),
            };
            if let Some(limits) = limits {
                limits.for_each_field(&self.limited, |name, value| http1::put_field(head, name.as_str(), value));
            }
            tells_length
        });
        let is_bodiless = self.method == Method::HEAD || http1::is_bodiless(status);
        let body = if is_bodiless { CacheBody::empty() } else { answer.body };
        // Nothing was fetched for it.
        let mut record = ResponseRecord::default();
        let watch = self.recorded(active, status, body.size_hint().exact(), Some(&answer.outcome), &mut record);
        watch.over(body)
    }

    /// Takes what is there of it: it is not answered twice.
    pub(super) fn answered(
        &mut self,
        active: &ActiveConfig,
        response: Response<GatewayBody>,
        outcome: Option<&Outcome>,
    ) -> Response<LoggedBody<GatewayBody>> {
        let fetched = outcome.filter(|outcome| outcome.upstream.is_some());
        let (server, connect, attempts) = fetched.and(self.exchange.as_ref()).map(|exchange| exchange.facts()).unwrap_or_default();
        let answer = ResponseRecord {
            upstream: fetched.and_then(|_| active.upstream_name(self.route?)),
            upstream_server: server.as_deref(),
            upstream_status: fetched.and_then(|outcome| outcome.upstream_status),
            upstream_time: fetched.and_then(|outcome| outcome.upstream),
            upstream_connect: connect,
            upstream_attempts: attempts,
            stored: fetched.map(|outcome| outcome.stored),
            ..ResponseRecord::default()
        };
        self.ended(active, response, outcome, answer)
    }

    fn ended<'a>(
        &mut self,
        active: &'a ActiveConfig,
        mut response: Response<GatewayBody>,
        outcome: Option<&'a Outcome>,
        mut answer: ResponseRecord<'a>,
    ) -> Response<LoggedBody<GatewayBody>> {
        let bytes = response.body().size_hint().exact();
        if let Some(limits) = self.route.and_then(|route| active.limits_of(route)) {
            limits.tell(&self.limited, response.headers_mut());
        }
        let id = self.request_id.take();
        let watch = self.recorded(active, response.status(), bytes, outcome, &mut answer);
        if let Some(id) = id {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        response.map(|body| watch.over(body))
    }

    /// Counts, logs and traces an answer by its head.
    fn recorded<'a>(
        &mut self,
        active: &'a ActiveConfig,
        status: StatusCode,
        bytes: Option<u64>,
        outcome: Option<&'a Outcome>,
        answer: &mut ResponseRecord<'a>,
    ) -> Watch {
        let elapsed = monotonic().saturating_duration_since(self.started);
        let (result, reason) = (outcome.map(|outcome| outcome.result), outcome.map(|outcome| outcome.reason));
        let record = RequestRecord { method: Some(&self.method), status, result, reason, elapsed, bytes };
        active.metrics.request(self.route, &record);
        let limits = self.route.and_then(|route| active.limits_of(route));
        let charged = limits.and_then(|limits| limits.charge(std::mem::take(&mut self.limited.bytes), bytes));
        answer.route = self.route.and_then(|route| active.route_name(route));
        (answer.result, answer.reason) = (result, reason);
        answer.key = outcome.and_then(|outcome| outcome.key.as_ref());
        answer.collapsed = outcome.is_some_and(|outcome| outcome.collapsed);
        (answer.tokens_saved, answer.trace) = (self.tokens_saved, self.tracing.id());
        if let (Some(trace), Some(result)) = (answer.trace, result) {
            active.metrics.exemplar(self.route, result, elapsed, trace);
        }
        let span = std::mem::take(&mut self.tracing).answered(&self.method, status, answer);
        if let Some(happening) = self.happening.take() {
            let keyed = self.route.and_then(|route| active.settings_of(route)).map_or(&[][..], |route| &route.settings.key.headers);
            happening.ended(status, bytes, elapsed, answer, keyed);
        }
        let uncounted = result
            .filter(|_| bytes.is_none())
            .map(|result| Box::new(Uncounted { metrics: Arc::clone(&active.metrics), route: self.route, result, bytes: 0, charged }));
        let mut entry = std::mem::take(&mut self.entry);
        entry.answered(status, answer);
        Watch { entry, uncounted, span }
    }
}

/// What an answer's body ends.
struct Watch {
    entry: Entry,
    uncounted: Option<Box<Uncounted>>,
    span: Option<Box<RequestSpan>>,
}

impl Watch {
    fn over(self, body: GatewayBody) -> LoggedBody<GatewayBody> {
        LoggedBody::new(body, self.entry, self.uncounted, self.span)
    }
}
