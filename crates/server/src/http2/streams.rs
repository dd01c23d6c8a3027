//! The streams of one HTTP/2 connection: which of them wait for their client, and whether the connection is idle.
//!
//! Flow control lets a client keep a stream open for ever without taking a byte of it, and with the stream whatever it uses: a connection to
//! the origin, a place in its queue. On HTTP/1.1 the deadline of writes ends that ([`crate::connection::stall`]); here each stream has one.
//!
//! 1. Each request begins a [`Stream`], which is handed over to the task that hyper spawns for it right afterwards. The task is polled once
//!    where it stands, and spawned only where it has to wait.
//! 2. The pieces of its response are counted until the client has taken them ([`crate::http2::unsent`]).
//! 3. A task that waits while such pieces exist, and whose client takes none of them, ends after `write_timeout`. hyper's and h2's
//!    handles end with it, which resets the stream (CANCEL) and drops the request.
//! 4. A connection without such tasks, on which no byte is taken either, is idle.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::rt::Executor;
use larder_tower::Pooled;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

/// The streams of one connection, as hyper's executor.
#[derive(Clone, Debug)]
pub(crate) struct Streams(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    write_timeout: Duration,
    /// Of all connections.
    unsent: Arc<AtomicU64>,
    /// The stream whose task hyper is about to spawn.
    begun: Mutex<Option<Arc<Stream>>>,
    tasks: AtomicUsize,
    /// A request has begun, or bytes were taken, since the last tick.
    is_busy: AtomicBool,
}

/// One request with its response.
#[derive(Debug)]
pub(crate) struct Stream {
    connection: Arc<Connection>,
    /// Bytes of its response that the connection has and the client has not.
    unsent: AtomicUsize,
    /// Bytes of its response that the client has taken.
    taken: AtomicU64,
}

impl Streams {
    /// `unsent` counts the unsent bytes of all connections.
    pub(crate) fn new(write_timeout: Duration, unsent: Arc<AtomicU64>) -> Self {
        Self(Arc::new(Connection {
            write_timeout,
            unsent,
            begun: Mutex::default(),
            tasks: AtomicUsize::new(0),
            is_busy: AtomicBool::new(true),
        }))
    }

    /// A request has arrived. hyper spawns its task next.
    pub(crate) fn begin(&self) -> Arc<Stream> {
        self.0.is_busy.store(true, Ordering::Relaxed);
        let stream = Arc::new(Stream { connection: Arc::clone(&self.0), unsent: AtomicUsize::new(0), taken: AtomicU64::new(0) });
        *self.0.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&stream));
        stream
    }

    /// A request was answered past hyper.
    pub(crate) fn answered(&self) {
        self.0.is_busy.store(true, Ordering::Relaxed);
    }

    /// Whether anything was under way since the last call.
    pub(crate) fn were_busy(&self) -> bool {
        let was_busy = self.0.is_busy.swap(false, Ordering::Relaxed);
        was_busy || self.0.tasks.load(Ordering::Relaxed) > 0
    }
}

impl Stream {
    /// So many bytes of the response were handed to the connection.
    pub(crate) fn sending(&self, bytes: usize) {
        self.unsent.fetch_add(bytes, Ordering::Relaxed);
        self.connection.unsent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The client has taken so many of them.
    pub(crate) fn taken(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        self.connection.is_busy.store(true, Ordering::Relaxed);
        self.dropped(bytes);
    }

    /// So many of them were dropped unsent.
    pub(crate) fn dropped(&self, bytes: usize) {
        self.unsent.fetch_sub(bytes, Ordering::Relaxed);
        self.connection.unsent.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, task: F) {
        let stream = self.0.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.0.tasks.fetch_add(1, Ordering::Relaxed);
        let running = Some(Running(Arc::clone(&self.0)));
        let mut task = Pooled::new(StreamTask { task: Some(task), stream, stalled: None, taken: 0, running });
        // Most answers are there at once. For one that is not, the first poll in its task leaves the waker that counts.
        if Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(task);
        }
    }
}

/// Counts a task for as long as it lives.
struct Running(Arc<Connection>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.is_busy.store(true, Ordering::Relaxed);
        self.0.tasks.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// hyper's task for one stream, until it ends or its client has taken nothing for too long.
    struct StreamTask<F> {
        #[pin]
        task: Option<F>,
        stream: Option<Arc<Stream>>,
        // Set while it waits for its client.
        stalled: Option<Pin<Box<Sleep>>>,
        // The bytes that the client had taken when `stalled` began.
        taken: u64,
        running: Option<Running>,
    }
}

impl<F> StreamTask<F> {
    /// Lets go of everything: its box is kept for the next one.
    fn end(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.task.set(None);
        (*this.stream, *this.stalled, *this.running) = (None, None, None);
    }
}

impl<F: Future<Output = ()>> Future for StreamTask<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.as_mut().project();
        if this.task.as_mut().as_pin_mut().is_none_or(|task| task.poll(cx).is_ready()) {
            self.end();
            return Poll::Ready(());
        }
        let Some(stream) = this.stream else { return Poll::Pending };
        if stream.unsent.load(Ordering::Relaxed) == 0 {
            *this.stalled = None;
            return Poll::Pending;
        }
        let timeout = stream.connection.write_timeout;
        loop {
            let taken = stream.taken.load(Ordering::Relaxed);
            let begins = this.stalled.is_none() || *this.taken != taken;
            let stalled = this.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
            if begins {
                *this.taken = taken;
                stalled.set(sleep(timeout));
            }
            ready!(stalled.as_mut().poll(cx));
            if *this.taken == stream.taken.load(Ordering::Relaxed) {
                self.end();
                return Poll::Ready(());
            }
        }
    }
}
