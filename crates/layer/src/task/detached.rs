//! Work that a request waits for, and that goes on without it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use crate::task::pooled::Pooled;

type Work = Pooled<()>;

/// Moved on by whoever waits for what it brings, so that it costs no task of its own while somebody does. Dropped unfinished, it goes on
/// as a task: a client that leaves harms nobody, and one that has its answer needs not wait for the rest.
pub(crate) struct Errand(Option<Work>);

impl Errand {
    pub(crate) fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Pooled::new(work)))
    }

    /// Waits for `answer`, which the errand brings.
    pub(crate) async fn bring<T>(mut self, answer: impl Future<Output = T>) -> T {
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            self.advance(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Work that panics is gone with what it held, and not polled again.
    fn advance(&mut self, cx: &mut Context<'_>) {
        if let Some(mut work) = self.0.take()
            && Pin::new(&mut work).poll(cx) == Poll::Pending
        {
            self.0 = Some(work);
        }
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if let Some(rest) = self.0.take() {
            detach(rest);
        }
    }
}

/// Lets work go on that nobody waits for. Outside of a runtime it is dropped instead: a service may be called there, and what it answers at
/// once is no reason to panic.
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
    async fn work_that_somebody_waits_for_is_no_task() {
        let waiting = tokio::spawn(async {
            let (bring, answer) = oneshot::channel();
            let errand = Errand::new(async move {
                tokio::task::yield_now().await;
                bring.send(tokio::task::id()).expect("somebody waits");
            });
            assert_eq!(errand.bring(answer).await.expect("an answer"), tokio::task::id());
        });
        waiting.await.expect("one task");
    }

    #[tokio::test]
    async fn what_is_left_when_the_answer_is_there_goes_on() {
        let (bring, answer) = oneshot::channel();
        let (go, gone) = oneshot::channel();
        let (finish, finished) = oneshot::channel();
        let errand = Errand::new(async move {
            bring.send(()).expect("somebody waits");
            gone.await.expect("a word");
            finish.send(()).expect("somebody waits");
        });
        errand.bring(answer).await.expect("an answer");
        go.send(()).expect("it goes on");
        finished.await.expect("it ended");
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_leaves_its_work_to_a_task() {
        let (finish, finished) = oneshot::channel();
        let errand = Errand::new(async move { finish.send(()).expect("somebody waits") });
        drop(errand.bring(std::future::pending::<()>()));
        finished.await.expect("it ended");
    }
}
