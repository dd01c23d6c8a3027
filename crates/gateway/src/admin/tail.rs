//! `GET /tail`: requests as they happen, as server-sent events; `GET /busiest`: the URLs that stand out among them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use http_body::Frame;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Shared;
use super::refused::parameters;
use crate::purge::Refused;
use crate::telemetry::observe::{MAX_TAILS, Subscription, TailFilter};

/// How often a reader is shown that the stream lives.
const ALIVE: Duration = Duration::from_secs(15);

/// Requests from now on that the filter in the query lets through, one event each with the facts as JSON. What a reader does not take in time is
/// lost, and an event `lost` says how much.
pub(crate) async fn tail(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Result<Response<Body>, Refused> {
    let parameters = parameters(query.as_deref())?;
    let parts = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let filter = TailFilter::parse(parts).map_err(|why| Refused::new(StatusCode::BAD_REQUEST, why))?;
    let subscription = shared.gateway.observers.subscribe(filter).ok_or_else(|| {
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, format!("{MAX_TAILS} tails are open already, which is as many as there may be."))
    })?;
    let mut alive = interval(ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let fields = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((fields, Body::new(Events { subscription, alive })).into_response())
}

/// URLs by what has been asked of them since somebody looked first.
pub(crate) async fn busiest(State(shared): State<Shared>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(shared.gateway.observers.busiest()))
}

/// The stream of events.
struct Events {
    subscription: Subscription,
    alive: Interval,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let lost = self.subscription.take_lost();
        if lost > 0 {
            return Poll::Ready(Some(Ok(Frame::data(format!("event: lost\ndata: {lost}\n\n").into()))));
        }
        match self.subscription.poll_next(cx) {
            Poll::Ready(Some(json)) => Poll::Ready(Some(Ok(Frame::data(format!("data: {json}\n\n").into())))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(self.alive.poll_tick(cx));
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))))
            }
        }
    }
}
