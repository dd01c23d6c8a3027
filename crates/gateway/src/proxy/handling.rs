//! The future of an answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use larder_tower::Pooled;

use super::gateway::Answered;

/// The future of an answer. What is ready at once is not boxed, and what has to wait is: the state of a long walk would otherwise be
/// moved about with every hit.
#[expect(clippy::large_enum_variant, reason = "boxing the hit would cost it the allocation that this type is there to save")]
pub(crate) enum Handling {
    /// Taken when polled.
    Ready(Option<Answered>),
    Waiting(Pooled<Answered>),
}

impl Handling {
    pub(super) fn ready(answer: Answered) -> Self {
        Self::Ready(Some(answer))
    }

    pub(super) fn waiting(answer: impl Future<Output = Answered> + Send + 'static) -> Self {
        Self::Waiting(Pooled::new(answer))
    }

    /// As [`Self::waiting`], begun after a delay.
    pub(super) fn after(delay: Duration, answer: impl Future<Output = Answered> + Send + 'static) -> Self {
        if delay.is_zero() {
            return Self::waiting(answer);
        }
        Self::waiting(async move {
            tokio::time::sleep(delay).await;
            answer.await
        })
    }
}

// Nothing in it is pinned in place: a future that waits is pinned on the heap.
impl Unpin for Handling {}

impl Future for Handling {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        match &mut *self {
            Self::Ready(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            Self::Waiting(answer) => Pin::new(answer).poll(cx),
        }
    }
}
