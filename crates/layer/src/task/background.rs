//! Work that nobody waits for, beside requests that somebody waits for: those go first.
//!
//! All that runs on a thread runs in turn. Of a herd of refreshes whose answers come at the same moment, each would hold up the hits that come just after
//! for as long as it takes to store its answer. So between two looks of a thread at its sockets, such work makes a few steps only; the rest of it goes on
//! after what the next look has found.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::task::yield_now;

use super::detached::detach;

/// Steps between two looks at the sockets: each takes some ten microseconds, a look that finds nothing less than one.
const STEPS: u32 = 2;

/// Turns of one thread, before those of the next: no thread ever has so many.
const TURNS: u64 = 1 << 48;

thread_local! {
    /// The looks at the sockets that this work has waited for, and the steps that are left until the next one. No two threads have the same turns.
    static TURN: Cell<(u64, u32)> = {
        static THREADS: AtomicU64 = AtomicU64::new(0);
        Cell::new((THREADS.fetch_add(TURNS, Ordering::Relaxed), STEPS))
    };
}

pin_project! {
    /// Work that stands back.
    struct Background<F> {
        #[pin]
        work: F,
        // The turn in which it had to stand back.
        waits_since: Option<u64>,
    }
}

/// Runs work that nobody waits for, as [`detach`] does, behind what somebody waits for.
pub(crate) fn run_in_background(work: impl Future<Output = ()> + Send + 'static) {
    detach(Background { work, waits_since: None });
}

impl<F: Future> Future for Background<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let (mut turn, mut steps) = TURN.get();
        // The runtime wakes what yields after it has looked at the sockets, so the first of those that had to wait begins the next turn. One that
        // another thread has taken over has waited as well.
        if this.waits_since.take().is_some_and(|since| since == turn || since / TURNS != turn / TURNS) {
            (turn, steps) = (turn + 1, STEPS);
        }
        TURN.set((turn, steps.saturating_sub(1)));
        if steps > 0 {
            return this.work.poll(cx);
        }
        *this.waits_since = Some(turn);
        // Never ready at once: this is how it says when to be woken.
        let _ = pin!(yield_now()).poll(cx);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{Barrier, mpsc};

    use super::*;

    /// Runs so much work, each piece of so many steps, and says in which order its steps were made.
    fn herd(pieces: u32, steps: u32, log: &Arc<Mutex<Vec<Option<u32>>>>) -> mpsc::Receiver<()> {
        let (done, all_done) = mpsc::channel(1);
        for piece in 0..pieces {
            let (log, done) = (Arc::clone(log), done.clone());
            run_in_background(async move {
                for _ in 0..steps {
                    log.lock().expect("lock").push(Some(piece));
                    // Ready again at once, without the runtime's way of yielding.
                    let mut is_first = true;
                    std::future::poll_fn(|cx| {
                        cx.waker().wake_by_ref();
                        if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
                    })
                    .await;
                }
                drop(done);
            });
        }
        all_done
    }

    #[tokio::test]
    async fn a_client_that_comes_amid_a_herd_waits_for_a_few_steps_of_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let mut client = TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
        let (mut server, _) = listener.accept().await.expect("accept");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (answered, ready) = (Arc::clone(&log), Arc::new(Barrier::new(2)));
        let is_waiting = Arc::clone(&ready);
        let answer = tokio::spawn(async move {
            is_waiting.wait().await;
            server.read_u8().await.expect("a request");
            answered.lock().expect("lock").push(None);
        });
        ready.wait().await;
        tokio::task::yield_now().await;
        // The request lies in the socket before the herd begins.
        client.write_u8(1).await.expect("write");
        let mut all_done = herd(1000, 2, &log);
        answer.await.expect("answered");
        assert_eq!(all_done.recv().await, None);
        let log = log.lock().expect("lock");
        let before = log.iter().position(Option::is_none).expect("answered");
        assert!(before <= 4 * STEPS as usize, "{before} steps before it");
        assert_eq!(log.len(), 2001, "all of it was done");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn work_goes_on_whichever_thread_takes_it_over() {
        let log = Arc::new(Mutex::new(Vec::new()));
        assert_eq!(herd(1000, 50, &log).recv().await, None);
        assert_eq!(log.lock().expect("lock").len(), 50_000);
    }
}
