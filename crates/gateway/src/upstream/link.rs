//! One HTTP/1.1 connection to an origin, driven by whoever waits for its answer.
//!
//! A connection that is a task of its own costs every exchange two turns of the scheduler. So the exchange itself moves the bytes: first
//! until the head is there, then as its body is read. Only an exchange with content gets a task, since what goes up must not wait
//! for somebody to read what comes down.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::connect::{ConnectionMark, UpstreamStream};
use super::progress::WatchedBody;

/// The answer, or why there is none, with the request if nothing of it was written.
pub(super) type Answer = Result<Response<Incoming>, TrySendError<Request<WatchedBody>>>;

/// An open connection, for one exchange at a time.
pub(super) struct Link {
    sender: SendRequest<WatchedBody>,
    /// `None` once it has ended. Dropping it answers what is still waited for.
    connection: Option<http1::Connection<TokioIo<UpstreamStream>, WatchedBody>>,
    mark: ConnectionMark,
}

impl Link {
    /// Begins HTTP on an open connection.
    pub(super) async fn open(stream: TokioIo<UpstreamStream>) -> hyper::Result<Box<Self>> {
        let mark = stream.inner().mark();
        let (sender, connection) = http1::handshake(stream).await?;
        Ok(Box::new(Self { sender, connection: Some(connection), mark }))
    }

    pub(super) fn mark(&self) -> &ConnectionMark {
        &self.mark
    }

    /// Sends a request without content and drives the connection until the answer's head is there.
    pub(super) async fn ask(&mut self, request: Request<WatchedBody>) -> Answer {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            drive(&mut self.connection, cx);
            // Nothing but the connection, driven just now, brings the answer.
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// Sends a request, and leaves driving to [`Self::until_ready`].
    pub(super) fn begin(&mut self, request: Request<WatchedBody>) -> impl Future<Output = Answer> + use<> {
        self.sender.try_send_request(request)
    }

    /// Drives the connection until its exchange is over. Whether it can be used again.
    pub(super) async fn until_ready(&mut self) -> bool {
        poll_fn(|cx| {
            drive(&mut self.connection, cx);
            self.sender.poll_ready(cx).map(|ready| ready.is_ok())
        })
        .await
    }

    /// Moves what can be moved without waiting; `cx` is woken when more can be.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.connection, cx);
    }

    /// Whether the last exchange is over, and the connection good for another.
    pub(super) fn is_ready(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }
}

fn drive(connection: &mut Option<http1::Connection<TokioIo<UpstreamStream>, WatchedBody>>, cx: &mut Context<'_>) {
    if let Some(open) = connection
        // How it ended is told to whoever waits for the answer, or reads the body.
        && let Poll::Ready(_) = Pin::new(open).poll(cx)
    {
        *connection = None;
    }
}
