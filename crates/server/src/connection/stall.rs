//! How long a client may leave what is written to it untaken.
//!
//! Only a write that waits is timed, and each time from anew: a stream on which there is nothing to write is never late, and a client that
//! takes its answer is never timed at all.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// The deadline of one connection's writes.
#[derive(Debug)]
pub(crate) struct WriteDeadline {
    patience: Duration,
    /// While a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    over: bool,
}

impl WriteDeadline {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, waiting: None, over: false }
    }

    /// What came of a write, or [`io::ErrorKind::TimedOut`] where it has waited for too long.
    pub(crate) fn watch<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        ready!(self.waiting.get_or_insert_with(|| Box::pin(sleep(self.patience))).as_mut().poll(cx));
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

    const PATIENCE: Duration = Duration::from_secs(60);
    const WAITS: Poll<io::Result<()>> = Poll::Pending;

    /// What a write comes to, as an error's kind.
    fn written(deadline: &mut WriteDeadline, polled: Poll<io::Result<()>>) -> Poll<Option<io::ErrorKind>> {
        deadline.watch(polled, &mut Context::from_waker(Waker::noop())).map(|result| result.err().map(|error| error.kind()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_waits_for_too_long_fails() {
        let mut deadline = WriteDeadline::new(PATIENCE);
        assert_eq!(written(&mut deadline, WAITS), Poll::Pending);
        advance(PATIENCE - Duration::from_millis(2)).await;
        assert_eq!(written(&mut deadline, WAITS), Poll::Pending);
        assert!(!deadline.is_over());
        advance(Duration::from_millis(4)).await;
        assert_eq!(written(&mut deadline, WAITS), Poll::Ready(Some(io::ErrorKind::TimedOut)));
        assert!(deadline.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn every_byte_that_is_taken_begins_it_anew() {
        let mut deadline = WriteDeadline::new(PATIENCE);
        for _ in 0..10 {
            assert_eq!(written(&mut deadline, WAITS), Poll::Pending);
            advance(PATIENCE * 2 / 3).await;
            assert_eq!(written(&mut deadline, Poll::Ready(Ok(()))), Poll::Ready(None));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_to_write_is_never_late() {
        let mut deadline = WriteDeadline::new(PATIENCE);
        assert_eq!(written(&mut deadline, Poll::Ready(Ok(()))), Poll::Ready(None));
        advance(PATIENCE * 100).await;
        assert_eq!(written(&mut deadline, WAITS), Poll::Pending);
    }
}
