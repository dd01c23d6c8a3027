//! The deadline of writes: how long a client may take nothing of what is written to it.
//!
//! Only a write that waits is timed, and each of them anew. A stream without anything to write never times out, and a client that reads its
//! response never starts a timer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// The deadline of one connection's writes.
#[derive(Debug)]
pub(crate) struct WriteDeadline {
    timeout: Duration,
    /// Set while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    over: bool,
}

impl WriteDeadline {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout, waiting: None, over: false }
    }

    /// The result of a write, or [`io::ErrorKind::TimedOut`] where it has waited for too long.
    pub(crate) fn watch<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        ready!(self.waiting.get_or_insert_with(|| Box::pin(sleep(self.timeout))).as_mut().poll(cx));
        self.over = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether a write has waited for too long.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::time::advance;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);
    const WAITS: Poll<io::Result<()>> = Poll::Pending;

    /// The outcome of a write, as an error's kind.
    fn written(deadline: &mut WriteDeadline, polled: Poll<io::Result<()>>) -> Poll<Option<io::ErrorKind>> {
        deadline.watch(polled, &mut Context::from_waker(Waker::noop())).map(|result| result.err().map(|error| error.kind()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_waits_for_too_long_fails() {
        let mut deadline = WriteDeadline::new(TIMEOUT);
        assert_eq!(written(&mut deadline, WAITS), Poll::Pending);
        advance(TIMEOUT - Duration::from_millis(2)).await;
        assert_eq!(written(&mut deadline, WAITS), Poll::Pending);
        assert!(!deadline.is_over());
        advance(Duration::from_millis(4)).await;
        assert_eq!(written(&mut deadline, WAITS), Poll::Ready(Some(io::ErrorKind::TimedOut)));
        assert!(deadline.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn every_byte_that_is_taken_begins_it_anew() {
        let mut deadline = WriteDeadline::new(TIMEOUT);
        for _ in 0..10 {
            assert_eq!(written(&mut deadline, WAITS), Poll::Pending);
            advance(TIMEOUT * 2 / 3).await;
            assert_eq!(written(&mut deadline, Poll::Ready(Ok(()))), Poll::Ready(None));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_to_write_is_never_late() {
        let mut deadline = WriteDeadline::new(TIMEOUT);
        assert_eq!(written(&mut deadline, Poll::Ready(Ok(()))), Poll::Ready(None));
        advance(TIMEOUT * 100).await;
        assert_eq!(written(&mut deadline, WAITS), Poll::Pending);
    }
}
