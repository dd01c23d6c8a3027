//! The client side of HTTP/2 without TLS: a connection to an origin, on which every request is a stream, and another one where all streams that the
//! origin allows on it are under way.
//!
//! hyper-util's client keeps a connection for every `:authority`. Clients choose that name, so there would be any number of connections.
//! Here all names share them.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use larder_tower::BoxError;
use tokio::sync::OnceCell;
use tower_service::Service;

use crate::connect::{ConnectionMark, Connector, UpstreamStream};
use crate::error::find;
use crate::observe::UpstreamStats;
use crate::request::content::WatchedBody;

/// Bytes of a response that an origin may send before its client has read them. A connection fast enough for 100 MB/s at 5 ms.
pub(crate) const STREAM_WINDOW: u32 = 512 << 10;

/// The same for all responses of a connection: the most that there is (RFC 9113 §6.9.1). A smaller one would be used up by some clients that read
/// slowly, and the responses to all others would stand still. What is kept is bounded by the number of streams.
pub(crate) const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Streams of a connection whose origin has not said how many it allows: as many as each should (RFC 9113 §6.5.2).
pub(crate) const USUAL_STREAMS: usize = 100;

/// Cheap to clone; clones share the connections.
#[derive(Clone)]
pub(crate) struct Http2(Arc<Shared>);

struct Shared {
    connector: Connector,
    origin: Uri,
    idle_timeout: Duration,
    /// A request takes the first one that has a stream for it, so that the last ones become unused.
    slots: Mutex<Vec<Arc<Slot>>>,
}

/// Where a connection is made once for all requests that want it, and fails for all of them.
#[derive(Default)]
pub(crate) struct Slot {
    open: OnceCell<Result<Open, SharedFailure>>,
    /// Since it was last looked at.
    used: AtomicBool,
    streams: Streams,
}

/// How many streams are under way on a connection. Clones count the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams(Arc<AtomicUsize>);

/// Counts as a stream that is under way until it is dropped, with the response's body.
#[derive(Debug)]
pub(crate) struct OpenStream(Arc<AtomicUsize>);

/// A connection, and a stream on it.
pub(crate) struct Assigned {
    slot: Arc<Slot>,
    stream: OpenStream,
}

type Connection = http2::Connection<TokioIo<UpstreamStream>, WatchedBody, TokioExecutor>;

#[derive(Clone)]
struct Open {
    sender: SendRequest<WatchedBody>,
    /// The task that drives it owns it; here, it tells how many streams the origin allows.
    connection: Weak<Mutex<Connection>>,
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
    /// Connects to `origin`, and keeps a connection unused for `idle_timeout` or somewhat longer.
    pub(crate) fn new(connector: Connector, origin: Uri, idle_timeout: Duration) -> Self {
        Self(Arc::new(Shared { connector, origin, idle_timeout, slots: Mutex::default() }))
    }

    /// A stream for a request that is about to be sent.
    pub(crate) fn assign(&self) -> Assigned {
        self.0.assign()
    }

    /// Sends a request and waits for the response head. A request that was not sent because its connection had ended is sent on a new one, and so is
    /// `spare`, the same request where that is safe, when the origin took none of it or said nothing about it ([`may_repeat`]).
    pub(crate) async fn request(
        &self,
        request: Request<WatchedBody>,
        spare: Option<Request<WatchedBody>>,
        (assigned, stats): (Assigned, &UpstreamStats),
    ) -> Result<(Response<Incoming>, OpenStream), BoxError> {
        let Assigned { slot, stream } = assigned;
        let again = match self.attempt(&slot, request).await? {
            Ok(response) => return Ok((response, stream)),
            Err(Lost::Unsent(request)) => *request,
            Err(Lost::Sent { error, may_repeat }) => spare.filter(|_| may_repeat).ok_or(error)?,
        };
        stats.retried();
        self.0.leave(&slot);
        drop((slot, stream));
        let Assigned { slot, stream } = self.assign();
        match self.attempt(&slot, again).await? {
            Ok(response) => Ok((response, stream)),
            Err(Lost::Unsent(_)) => Err("the connection ended before the request was sent".into()),
            Err(Lost::Sent { error, .. }) => Err(error),
        }
    }

    /// A request got no answer in time on this connection. If nothing at all came since it was sent, the connection may be dead, and the next
    /// requests use another. No PING is sent: some servers take PINGs for an attack.
    pub(crate) fn doubt(&self, slot: &Arc<Slot>) {
        if slot.open.get().is_some_and(|open| open.as_ref().is_ok_and(|open| open.mark.is_silent())) {
            self.0.leave(slot);
        }
    }

    async fn attempt(&self, slot: &Arc<Slot>, request: Request<WatchedBody>) -> Result<Result<Response<Incoming>, Lost>, BoxError> {
        let open = slot.open.get_or_init(|| self.connect(slot)).await.clone();
        let Open { mut sender, mark, .. } = open.map_err(|failure| Box::new(failure) as BoxError)?;
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
        let mut handshake = http2::Builder::new(TokioExecutor::new());
        handshake.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let (sender, connection) = handshake.handshake(stream).await.map_err(|error| failed(error.into()))?;
        // Its streams tell how it ended.
        let connection = Arc::new(Mutex::new(connection));
        let seen = Arc::downgrade(&connection);
        tokio::spawn(poll_fn(move |cx| Pin::new(&mut *lock(&connection)).poll(cx).map(drop)));
        tokio::spawn(end_unused(Arc::downgrade(&self.0), Arc::downgrade(slot), self.0.idle_timeout));
        Ok(Open { sender, connection: seen, mark })
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

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// A stream of the first connection that has one, or of a new one. Connections that have ended or never came about are forgotten.
    fn assign(&self) -> Assigned {
        let mut slots = lock(&self.slots);
        slots.retain(|slot| !slot.is_over());
        let free = slots.iter().find(|slot| slot.has_room()).map(Arc::clone);
        let slot = free.unwrap_or_else(|| {
            let slot = Arc::<Slot>::default();
            slots.push(Arc::clone(&slot));
            slot
        });
        slot.used.store(true, Ordering::Relaxed);
        let stream = slot.streams.begin();
        Assigned { slot, stream }
    }

    /// No further request goes into this slot. Those that are on their way stay.
    fn leave(&self, slot: &Arc<Slot>) {
        lock(&self.slots).retain(|kept| !Arc::ptr_eq(kept, slot));
    }
}

impl Slot {
    fn is_over(&self) -> bool {
        self.open.get().is_some_and(|open| open.as_ref().map_or(true, |open| open.sender.is_closed()))
    }

    fn has_room(&self) -> bool {
        let max = match self.open.get() {
            Some(Ok(open)) => open.connection.upgrade().map_or(0, |connection| lock(&connection).current_max_send_streams()),
            _ => USUAL_STREAMS,
        };
        self.streams.count() < max
    }
}

impl Assigned {
    pub(crate) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.slot)
    }
}

impl Streams {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self) -> OpenStream {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenStream(Arc::clone(&self.0))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
