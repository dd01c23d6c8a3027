//! One exchange on a pooled connection, and the one retry that is safe.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Extensions, Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy;
use larder_tower::RequestBody;

use super::connect::{ConnectionMark, Connector};
use super::error::UpstreamError;
use super::observe::UpstreamStats;
use super::progress::{Progress, WatchedBody};

pub(super) type Pool = legacy::Client<Connector, WatchedBody>;

/// Sends a request and waits for the response head.
///
/// A pooled connection may be closed by the origin at the very moment a request is written to it. Such a request is sent once more if
/// it is safe (RFC 9110 §9.2.1, §9.2.2), has no content, was written to a reused connection, and not one byte came back.
pub(super) async fn send(
    pool: &Pool,
    stats: &UpstreamStats,
    parts: Parts,
    body: RequestBody,
    deadline: Duration,
) -> Result<Response<Incoming>, UpstreamError> {
    let spare = (parts.method.is_safe() && body.is_end_stream()).then(|| parts.clone());
    let body = WatchedBody::new(body);
    let progress = body.progress();
    let exchange = async {
        match (pool.request(Request::from_parts(parts, body)).await, spare) {
            (Err(error), Some(spare)) if died_idle(&error) => {
                stats.retried();
                pool.request(Request::from_parts(spare, WatchedBody::new(RequestBody::empty()))).await
            }
            (result, _) => result,
        }
    };
    let mut response = within(deadline, progress, exchange).await?.map_err(UpstreamError::from_exchange)?;
    if let Some(mark) = response.extensions_mut().remove::<ConnectionMark>() {
        mark.answered();
    }
    Ok(response)
}

fn died_idle(error: &legacy::Error) -> bool {
    let mut extensions = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    extensions.get::<ConnectionMark>().is_some_and(ConnectionMark::died_idle)
}

/// Counts the deadline from the last movement of the request body, so that a long upload is not a slow response.
async fn within<T>(deadline: Duration, progress: Option<Arc<Progress>>, work: impl Future<Output = T>) -> Result<T, UpstreamError> {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(deadline, work.as_mut()).await {
            Ok(done) => return Ok(done),
            Err(_elapsed) => match &progress {
                Some(progress) if progress.take_moved() => {}
                Some(progress) if progress.is_starved() => return Err(UpstreamError::RequestStalled),
                _ => return Err(UpstreamError::FirstByteTimeout),
            },
        }
    }
}
