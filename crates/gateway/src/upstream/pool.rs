//! The HTTP/1.1 connections of one upstream: idle ones are kept for a while and used again, the last one first.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use larder_tower::BoxError;
use tower_service::Service;

use super::connect::Connector;
use super::link::{Answer, Link};
use super::progress::WatchedBody;

/// Cheap to clone; clones share the connections.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    connector: Connector,
    origin: Uri,
    max_idle: usize,
    idle_timeout: Duration,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The longest unused first, each with the turn in which it was put here.
    links: Vec<(u32, Box<Link>)>,
    /// Half the idle timeout each, as long as there are links. What has seen two turns begin goes: no clock is read for it.
    turn: u32,
    /// Whether a task counts the turns.
    counted: bool,
}

/// Turns that an idle connection sees begin before it goes.
const TURNS: u32 = 2;

/// Why there is no answer.
pub(super) struct Unanswered {
    pub(super) error: BoxError,
    /// A connection that had been used before ended without a single byte of an answer.
    pub(super) died_idle: bool,
}

impl Pool {
    /// Connects to `origin`, and keeps at most `max_idle` unused connections, none of them for longer than `idle_timeout`.
    pub(super) fn new(connector: Connector, origin: Uri, max_idle: usize, idle_timeout: Duration) -> Self {
        Self(Arc::new(Shared { connector, origin, max_idle, idle_timeout, idle: Mutex::default() }))
    }

    /// Sends a request, its target in origin-form, and waits for the response head. A connection that turns out to be closed before
    /// anything was written is passed over.
    pub(super) async fn request(&self, mut request: Request<WatchedBody>) -> Result<Response<PooledBody>, Unanswered> {
        loop {
            let (link, reused) = match self.0.take() {
                Some(link) => (link, true),
                // A future of several kilobytes, for the rare case: not to be moved about with every exchange.
                None => (Box::pin(self.connect()).await?, false),
            };
            let mark = link.mark().clone();
            let (link, answer) = self.exchange(link, request).await;
            match answer {
                Ok(response) => {
                    mark.answered();
                    return Ok(response.map(|body| PooledBody::new(body, link, self)));
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if reused => request = unsent,
                    _ => return Err(Unanswered { error: failed.into_error().into(), died_idle: mark.died_idle() }),
                },
            }
        }
    }

    async fn connect(&self) -> Result<Box<Link>, Unanswered> {
        let failed = |error: BoxError| Unanswered { error, died_idle: false };
        let stream = self.0.connector.clone().call(self.0.origin.clone()).await.map_err(|error| failed(error.into()))?;
        Link::open(stream).await.map_err(|error| failed(error.into()))
    }

    /// The answer, and the connection for whoever reads its body to drive, unless it has a task.
    async fn exchange(&self, mut link: Box<Link>, request: Request<WatchedBody>) -> (Option<Box<Link>>, Answer) {
        if request.body().is_end_stream() {
            let answer = link.ask(request).await;
            return (Some(link), answer);
        }
        let answer = link.begin(request);
        tokio::spawn(self.clone().finish(link));
        (None, answer.await)
    }

    /// Sees an exchange through, and takes its connection back.
    async fn finish(self, mut link: Box<Link>) {
        if link.until_ready().await {
            self.0.put(link);
        }
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Box<Link>> {
        self.idle().links.pop().map(|(_, link)| link)
    }

    fn put(self: &Arc<Self>, link: Box<Link>) {
        let mut idle = self.idle();
        if idle.links.len() >= self.max_idle {
            return;
        }
        let turn = idle.turn;
        idle.links.push((turn, link));
        if !idle.counted {
            idle.counted = true;
            tokio::spawn(count_turns(Arc::downgrade(self), self.idle_timeout / TURNS));
        }
    }

    /// Begins a turn, and ends what has been idle for too long. Whether anything is left.
    fn next_turn(&self) -> bool {
        let mut idle = self.idle();
        idle.turn = idle.turn.wrapping_add(1);
        let turn = idle.turn;
        let due = idle.links.partition_point(|(put, _)| turn.wrapping_sub(*put) >= TURNS);
        let ended: Vec<_> = idle.links.drain(..due).collect();
        idle.counted = !idle.links.is_empty();
        let left = idle.counted;
        drop(idle);
        drop(ended);
        left
    }
}

/// Ends unused connections as they become due, until there are none.
async fn count_turns(pool: Weak<Shared>, length: Duration) {
    loop {
        tokio::time::sleep(length).await;
        if !pool.upgrade().is_some_and(|pool| pool.next_turn()) {
            return;
        }
    }
}

/// A response body that drives the connection it comes on, and gives it back at its end. Dropped before, it ends the connection.
pub(super) struct PooledBody {
    body: Incoming,
    driven: Option<(Box<Link>, Pool)>,
}

impl PooledBody {
    fn new(body: Incoming, link: Option<Box<Link>>, pool: &Pool) -> Self {
        let mut body = Self { body, driven: link.map(|link| (link, pool.clone())) };
        if body.body.is_end_stream() {
            body.release();
        }
        body
    }

    fn release(&mut self) {
        let Some((link, pool)) = self.driven.take() else { return };
        if link.is_ready() {
            pool.0.put(link);
        } else {
            tokio::spawn(pool.finish(link));
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let Some((link, _)) = &mut this.driven else { return Pin::new(&mut this.body).poll_frame(cx) };
        link.drive(cx);
        // Nothing but the connection, driven just now, brings a frame.
        let polled = Pin::new(&mut this.body).poll_frame(&mut Context::from_waker(Waker::noop()));
        match &polled {
            Poll::Ready(Some(Err(_))) => this.driven = None,
            Poll::Ready(None) => this.release(),
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => this.release(),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
