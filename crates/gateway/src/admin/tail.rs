//! `GET /tail`: requests as they happen, as server-sent events; `GET /busiest`: the URLs that stand out among them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use http_body::Frame;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Shared;
use super::refused::parameters;
use crate::config::TokenScope;
use crate::purge::Refused;
use crate::telemetry::observe::{MAX_TAILS, Subscription, TailFilter};

/// How often a reader is shown that the stream lives, and has to be one that may still read it.
const ALIVE: Duration = Duration::from_secs(15);

/// Requests from now on that the filter in the query lets through, one event each with the facts as JSON. What a reader does not take in time is
/// lost, and an event `lost` says how much. It ends soon after its session has, or its token is in the configuration no more.
pub(crate) async fn tail(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Refused> {
    let parameters = parameters(query.as_deref())?;
    let parts = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let filter = TailFilter::parse(parts).map_err(|why| Refused::new(StatusCode::BAD_REQUEST, why))?;
    let subscription = shared.gateway.observers.subscribe(filter).ok_or_else(|| {
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, format!("{MAX_TAILS} tails are open already, which is as many as there may be."))
    })?;
    let is_allowed = move || shared.allow(TokenScope::Read, &method, &uri, &headers).is_ok();
    let fields = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((fields, Body::new(Events::new(subscription, is_allowed))).into_response())
}

/// URLs by what has been asked of them since somebody looked first.
pub(crate) async fn busiest(State(shared): State<Shared>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(shared.gateway.observers.busiest()))
}

/// The stream of events.
struct Events<F> {
    subscription: Subscription,
    alive: Interval,
    is_allowed: F,
}

impl<F: Fn() -> bool> Events<F> {
    fn new(subscription: Subscription, is_allowed: F) -> Self {
        let mut alive = interval(ALIVE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { subscription, alive, is_allowed }
    }
}

impl<F: Fn() -> bool + Unpin> http_body::Body for Events<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let is_due = self.alive.poll_tick(cx).is_ready();
        if is_due && !(self.is_allowed)() {
            return Poll::Ready(None);
        }
        let lost = self.subscription.take_lost();
        if lost > 0 {
            return Poll::Ready(Some(Ok(Frame::data(format!("event: lost\ndata: {lost}\n\n").into()))));
        }
        match self.subscription.poll_next(cx) {
            Poll::Ready(Some(json)) => Poll::Ready(Some(Ok(Frame::data(format!("data: {json}\n\n").into())))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if is_due => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n"))))),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use http_body_util::BodyExt;

    use super::*;
    use crate::telemetry::observe::Observers;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_may_not_read_any_more_is_told_nothing_more() {
        let observers = Arc::<Observers>::default();
        let subscription = observers.subscribe(TailFilter::default()).expect("there is room");
        let is_allowed = Arc::new(AtomicBool::new(true));
        let allowed = Arc::clone(&is_allowed);
        let mut events = Events::new(subscription, move || allowed.load(Ordering::Relaxed));
        for _ in 0..3 {
            let frame = events.frame().await.expect("it goes on").expect("an event");
            assert_eq!(frame.into_data().expect("data"), ":\n\n");
        }
        is_allowed.store(false, Ordering::Relaxed);
        assert!(events.frame().await.is_none());
    }
}
