//! The client side of HTTP/2 without TLS: one connection to an origin, on which every request is a stream.
//!
//! hyper-util's client keeps a connection for every `:authority`. Clients choose that name, so there would be any number of connections.
//! Here all names share one.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioExecutor;
use larder_tower::BoxError;
use tokio::sync::OnceCell;
use tower_service::Service;

use crate::connect::{ConnectionMark, Connector};
use crate::error::find;
use crate::observe::UpstreamStats;
use crate::request::content::WatchedBody;

/// Cheap to clone; clones share the connection.
#[derive(Clone)]
pub(crate) struct Http2(Arc<Shared>);

struct Shared {
    connector: Connector,
    origin: Uri,
    idle_timeout: Duration,
    current: Mutex<Arc<Slot>>,
}

/// Where a connection is made once for all requests that want it, and fails for all of them.
#[derive(Default)]
struct Slot {
    open: OnceCell<Result<Open, SharedFailure>>,
    /// Since it was last looked at.
    used: AtomicBool,
}

#[derive(Clone)]
struct Open {
    sender: SendRequest<WatchedBody>,
    mark: ConnectionMark,
}

/// Why there is no connection, for each of those who waited for it.
#[derive(Clone, Debug)]
struct SharedFailure(Arc<dyn Error + Send + Sync>);

/// How one attempt went wrong.
enum Lost {
    /// Nothing of the request was sent, and this is it.
    Unsent(Box<Request<WatchedBody>>),
    /// It may have been, and if it was safe it may be sent again or not.
    Sent { error: BoxError, may_repeat: bool },
}

impl Http2 {
    /// Connects to `origin`, and keeps the connection unused for `idle_timeout` or somewhat longer.
    pub(crate) fn new(connector: Connector, origin: Uri, idle_timeout: Duration) -> Self {
        Self(Arc::new(Shared { connector, origin, idle_timeout, current: Mutex::default() }))
    }

    /// Sends a request and waits for the response head. A request that was not sent because its connection had ended is sent on a new one, and so is
    /// `spare`, the same request where that is safe, when the origin took none of it or said nothing about it ([`may_repeat`]).
    pub(crate) async fn request(
        &self,
        request: Request<WatchedBody>,
        spare: Option<Request<WatchedBody>>,
        stats: &UpstreamStats,
    ) -> Result<Response<Incoming>, BoxError> {
        let slot = self.0.slot();
        let again = match self.attempt(&slot, request).await? {
            Ok(response) => return Ok(response),
            Err(Lost::Unsent(request)) => *request,
            Err(Lost::Sent { error, may_repeat }) => spare.filter(|_| may_repeat).ok_or(error)?,
        };
        stats.retried();
        self.0.leave(&slot);
        drop(slot);
        match self.attempt(&self.0.slot(), again).await? {
            Ok(response) => Ok(response),
            Err(Lost::Unsent(_)) => Err("the connection ended before the request was sent".into()),
            Err(Lost::Sent { error, .. }) => Err(error),
        }
    }

    /// A request got no answer in time. If nothing at all came since it was sent, the connection may be dead, and the next requests
    /// use another. No PING is sent: some servers take PINGs for an attack.
    pub(crate) fn doubt(&self) {
        let slot = Arc::clone(&self.0.current());
        if slot.open.get().is_some_and(|open| open.as_ref().is_ok_and(|open| open.mark.is_silent())) {
            self.0.leave(&slot);
        }
    }

    async fn attempt(&self, slot: &Arc<Slot>, request: Request<WatchedBody>) -> Result<Result<Response<Incoming>, Lost>, BoxError> {
        let open = slot.open.get_or_init(|| self.connect(slot)).await.clone();
        let Open { mut sender, mark } = open.map_err(|failure| Box::new(failure) as BoxError)?;
        if sender.ready().await.is_err() {
            return Ok(Err(Lost::Unsent(Box::new(request))));
        }
        Ok(match sender.try_send_request(request).await {
            Ok(response) => {
                mark.answered();
                Ok(response)
            }
            Err(mut error) => Err(match error.take_message() {
                Some(request) => Lost::Unsent(Box::new(request)),
                None => {
                    let error = error.into_error();
                    Lost::Sent { may_repeat: may_repeat(&error, &mark), error: error.into() }
                }
            }),
        })
    }

    async fn connect(&self, slot: &Arc<Slot>) -> Result<Open, SharedFailure> {
        let failed = |error: BoxError| SharedFailure(Arc::from(error));
        let stream = self.0.connector.clone().call(self.0.origin.clone()).await.map_err(|error| failed(error.into()))?;
        let mark = stream.inner().mark();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.map_err(|error| failed(error.into()))?;
        // Its streams tell how it ended.
        tokio::spawn(async move { _ = connection.await });
        tokio::spawn(end_unused(Arc::downgrade(&self.0), Arc::downgrade(slot), self.0.idle_timeout));
        Ok(Open { sender, mark })
    }
}

/// Whether a safe request that failed so may be sent once more: its stream was refused (RFC 9113 §8.7), it came after the last one that the
/// origin has taken (§6.8), or the connection, which had answered others, ended before a byte of its answer: one that is shared by many ends for
/// all of them.
pub(crate) fn may_repeat(error: &(dyn Error + 'static), mark: &ConnectionMark) -> bool {
    match find::<h2::Error>(error) {
        Some(error) if error.is_reset() => error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM),
        Some(error) if error.is_go_away() => error.is_remote(),
        Some(error) if error.is_io() => mark.has_answered(),
        _ => mark.died_idle(),
    }
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, Arc<Slot>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of the connection in use, or a new one where that has ended or never came about.
    fn slot(&self) -> Arc<Slot> {
        let mut current = self.current();
        let is_over = current.open.get().is_some_and(|open| open.as_ref().map_or(true, |open| open.sender.is_closed()));
        if is_over {
            *current = Arc::default();
        }
        current.used.store(true, Ordering::Relaxed);
        Arc::clone(&current)
    }

    /// No further request goes into this slot. Those that are on their way stay.
    fn leave(&self, slot: &Arc<Slot>) {
        let mut current = self.current();
        if Arc::ptr_eq(&current, slot) {
            *current = Arc::default();
        }
    }
}

/// Leaves a connection once it was not used between two looks. It ends with the last of its streams.
async fn end_unused(shared: Weak<Shared>, slot: Weak<Slot>, idle_timeout: Duration) {
    loop {
        tokio::time::sleep(idle_timeout).await;
        let (Some(shared), Some(slot)) = (shared.upgrade(), slot.upgrade()) else { return };
        if !slot.used.swap(false, Ordering::Relaxed) {
            return shared.leave(&slot);
        }
    }
}

impl fmt::Display for SharedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SharedFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
