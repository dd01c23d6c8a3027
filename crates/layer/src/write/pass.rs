//! Requests that pass through without a look-up. A request with an unsafe method is a [`write`](crate::write), and outlives its client.

use std::time::Instant;

use http::{Request, Response};
use larder_semantics::{CacheStatus, ForwardReason, MethodKind, Reason};
use tokio::sync::oneshot;

use crate::body::CacheBody;
use crate::body::request::{ClientBody, RequestBody};
use crate::clock::monotonic;
use crate::effective_target::EffectiveTarget;
use crate::error::FetchError;
use crate::lookup::plan::forwarded;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond;
use crate::service::CacheService;
use crate::task::detached::DetachedTask;
use crate::upstream::Upstream;
use crate::upstream::call;
use crate::write::steps::write;

/// Passes a request through.
pub(crate) async fn pass<S: Upstream, R: ClientBody>(
    service: CacheService<S>,
    request: Request<R>,
    effective: EffectiveTarget,
    reason: Reason,
    forward: ForwardReason,
) -> Result<Served<S::Body>, FetchError> {
    let started = monotonic();
    let status = forwarded(reason, forward);
    let served = match MethodKind::of(request.method()) {
        MethodKind::Unsafe => {
            let (reply, answer) = oneshot::channel();
            let unfinished = service.cache.unfinished.begin();
            let writing = async move {
                // A client that left does not want the answer; the invalidation holds all the same.
                let _ = reply.send(write(service, request, effective, reason, status).await);
                drop(unfinished);
            };
            DetachedTask::new(writing).run_until(answer).await.unwrap_or_else(|_| Err(FetchError::lost()))
        }
        _ => read(service, request, reason, status).await,
    };
    Ok(with_outcome(served?, started, reason, forward))
}

/// Passes a request through that only reads, whatever its method.
pub(crate) async fn pass_read<S: Upstream, R: ClientBody>(
    service: CacheService<S>,
    request: Request<R>,
    reason: Reason,
    forward: ForwardReason,
) -> Result<Served<S::Body>, FetchError> {
    let started = monotonic();
    let served = read(service, request, reason, forwarded(reason, forward)).await?;
    Ok(with_outcome(served, started, reason, forward))
}

fn with_outcome<B>(mut served: Served<B>, started: Instant, reason: Reason, forward: ForwardReason) -> Served<B> {
    let upstream = served.outcome.upstream.or_else(|| Some(monotonic().saturating_duration_since(started)));
    served.outcome = Outcome { reason, forward: Some(forward), upstream, ..served.outcome };
    served
}

async fn read<S: Upstream, R: ClientBody>(
    service: CacheService<S>,
    request: Request<R>,
    reason: Reason,
    status: CacheStatus,
) -> Result<Served<S::Body>, FetchError> {
    let (mut parts, body) = request.into_parts();
    parts.uri = service.upstream_uri(&parts.uri);
    let mut answer = call(&service.inner, || Request::from_parts(parts, RequestBody::new(body))).await?;
    // The resources they name are not kept, and the fields are not for clients.
    let _ = service.route.tags.take_tags(answer.headers_mut());
    Ok(passed(CacheBody::upstream(answer), status, reason))
}

/// An answer that goes to its client as it is.
pub(crate) fn passed<B>(response: Response<CacheBody<B>>, status: CacheStatus, reason: Reason) -> Served<B> {
    let (parts, body) = response.into_parts();
    let status = CacheStatus { fwd_status: Some(parts.status.as_u16()), ..status };
    let mut headers = parts.headers;
    respond::annotate(&mut headers, CacheResult::Bypass, &status);
    let mut outcome = Outcome::new(CacheResult::Bypass, reason, None);
    outcome.upstream_status = Some(parts.status);
    Served { response: respond::respond(parts.status, headers, body), outcome }
}
