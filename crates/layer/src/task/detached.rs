//! Work that a request waits for, and that continues without it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::runtime::Handle;

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
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            self.advance(cx);
            answer.as_mut().poll(cx)
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
