//! Work that a request waits for, and that continues without it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio::task::unconstrained;

use crate::task::pooled::Pooled;

type Work = Pooled<()>;

/// The request that waits polls it, so it costs no task of its own meanwhile. Dropped unfinished, it continues as a task: a client that
/// leaves stops nothing, and one that has its answer does not wait for the rest.
pub(crate) struct DetachedTask(Option<Work>);

impl DetachedTask {
    pub(crate) fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Pooled::new(work)))
    }

    /// Polls the work until `answer` is ready, which the work makes ready.
    pub(crate) async fn run_until<T>(mut self, answer: impl Future<Output = T>) -> T {
        // Its budget is the work's, which was polled in the same turn.
        let mut answer = pin!(unconstrained(answer));
        poll_fn(|cx| {
            self.advance(cx);
            // Work that is left is polled again at each wake-up, and the answer after it. A waker of the answer's own would only wake this task
            // once more for what it has done itself.
            let mut by_the_work = Context::from_waker(Waker::noop());
            answer.as_mut().poll(if self.0.is_some() { &mut by_the_work } else { cx })
        })
        .await
    }

    /// Work that panics is dropped with what it held, and not polled again.
    fn advance(&mut self, cx: &mut Context<'_>) {
        if let Some(mut work) = self.0.take()
            && Pin::new(&mut work).poll(cx) == Poll::Pending
        {
            self.0 = Some(work);
        }
    }
}

impl Drop for DetachedTask {
    fn drop(&mut self) {
        if let Some(rest) = self.0.take() {
            detach(rest);
        }
    }
}

/// Runs work that no request waits for. Outside of a runtime it is dropped instead: a service may be called there, and an answer that is
/// ready at once is no reason to panic.
pub(crate) fn detach(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(work);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_with_a_client_is_no_task() {
        let waiting = tokio::spawn(async {
            let (bring, answer) = oneshot::channel();
            let task = DetachedTask::new(async move {
                tokio::task::yield_now().await;
                bring.send(tokio::task::id()).expect("somebody waits");
            });
            assert_eq!(task.run_until(answer).await.expect("an answer"), tokio::task::id());
        });
        waiting.await.expect("one task");
    }

    #[tokio::test]
    async fn the_answer_wakes_nobody_that_the_work_has_woken() {
        let (bring, answer) = oneshot::channel();
        let (go, gone) = oneshot::channel();
        let work = async move {
            gone.await.expect("a word");
            bring.send(()).expect("somebody waits");
            std::future::pending::<()>().await;
        };
        let (mut task, wakes) = (pin!(DetachedTask::new(work).run_until(answer)), Arc::new(Wakes::default()));
        let (waker, count) = (Waker::from(Arc::clone(&wakes)), || wakes.0.load(Ordering::Relaxed));
        let mut cx = Context::from_waker(&waker);
        assert!(task.as_mut().poll(&mut cx).is_pending());
        go.send(()).expect("it waits");
        assert_eq!(count(), 1);
        assert!(task.as_mut().poll(&mut cx).is_ready());
        assert_eq!(count(), 1);
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn work_left_after_the_answer_goes_on() {
        let (bring, answer) = oneshot::channel();
        let (go, gone) = oneshot::channel();
        let (finish, finished) = oneshot::channel();
        let task = DetachedTask::new(async move {
            bring.send(()).expect("somebody waits");
            gone.await.expect("a word");
            finish.send(()).expect("somebody waits");
        });
        task.run_until(answer).await.expect("an answer");
        go.send(()).expect("it goes on");
        finished.await.expect("it ended");
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_leaves_its_work_to_a_task() {
        let (finish, finished) = oneshot::channel();
        let task = DetachedTask::new(async move { finish.send(()).expect("somebody waits") });
        drop(task.run_until(std::future::pending::<()>()));
        finished.await.expect("it ended");
    }
}
