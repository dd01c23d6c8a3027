//! `GET /ui/live`: an event whenever there is something new to show.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use http_body::Frame;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use super::super::endpoints::Shared;
use super::viewer::viewer;
use crate::purge::Refused;

/// Pages that are told at the same time: each holds one of the listener's connections, which probes need too. Others are not told, and ask by
/// themselves.
const MAX_PAGES: usize = 32;

static PAGES: Semaphore = Semaphore::const_new(MAX_PAGES);

/// A point of the history is one event, for as long as its viewer may see pages.
pub(super) async fn live(State(shared): State<Shared>, uri: Uri, headers: HeaderMap) -> Result<Response<Body>, Refused> {
    viewer(&shared, &uri, &headers)?;
    let permit = PAGES.try_acquire();
    let permit = permit.map_err(|_| Refused::new(StatusCode::SERVICE_UNAVAILABLE, format!("{MAX_PAGES} pages are open already.")))?;
    let (events, received) = mpsc::channel(1);
    let mut points = shared.gateway.history.watch();
    // For as long as the page is there, and the process keeps points.
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = events.closed() => return,
                changed = points.changed() => if changed.is_err() { return },
            }
            let point = *points.borrow_and_update();
            if viewer(&shared, &uri, &headers).is_err() {
                return;
            }
            if events.send(Bytes::from(format!("event: tick\ndata: {point}\n\n"))).await.is_err() {
                return;
            }
        }
    });
    let fields = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((fields, Body::new(Events { received, _permit: permit })).into_response())
}

struct Events {
    received: mpsc::Receiver<Bytes>,
    _permit: SemaphorePermit<'static>,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.received.poll_recv(cx).map(|event| Some(Ok(Frame::data(event?))))
    }
}
