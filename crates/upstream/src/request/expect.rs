//! `Expect: 100-continue` (RFC 9110 §10.1.1): the client holds its content back until the origin wants it, so the content is not asked
//! of the client before the origin has answered the expectation.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// An origin that ignores expectations gets the content after this long, as a client would send it (RFC 9110 §10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// Holds a request's content back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    verdict: Option<Verdict>,
    waker: Option<Waker>,
}

/// The outcome of the expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The content is wanted.
    Continue,
    /// A final response made it superfluous.
    Superfluous,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides what becomes of the content. The first decision counts.
    pub(crate) fn decide(&self, verdict: Verdict) {
        let waker = {
            let mut state = self.lock();
            state.verdict.get_or_insert(verdict);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ready once it is decided.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Verdict> {
        let mut state = self.lock();
        match state.verdict {
            Some(verdict) => Poll::Ready(verdict),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Ends the waiting when the response is done with. Not before: the connection, and the rest of the response with it, ends when its
/// request's content does not come.
#[derive(Debug)]
pub(crate) struct Superseded(pub(crate) Gate);

impl Drop for Superseded {
    fn drop(&mut self) {
        self.0.decide(Verdict::Superfluous);
    }
}

/// Drives an exchange, and opens its gate when the origin has not answered the expectation in time.
pub(crate) async fn with_continue_timeout<T>(gate: &Gate, exchange: Pin<&mut impl Future<Output = T>>) -> T {
    let time_out = async {
        tokio::time::sleep(CONTINUE_TIMEOUT).await;
        gate.decide(Verdict::Continue);
        pending().await
    };
    tokio::select! {
        done = exchange => done,
        never = time_out => never,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rfc9110_10_1_1_an_origin_that_ignores_the_expectation_gets_the_content_all_the_same() {
        let gate = Gate::default();
        let verdict = with_continue_timeout(&gate, pin!(poll_fn(|cx| gate.poll(cx)))).await;
        assert_eq!(verdict, Verdict::Continue);
    }

    #[tokio::test]
    async fn the_first_verdict_counts() {
        let gate = Gate::default();
        gate.decide(Verdict::Continue);
        drop(Superseded(gate.clone()));
        assert_eq!(poll_fn(|cx| gate.poll(cx)).await, Verdict::Continue);
    }
}
