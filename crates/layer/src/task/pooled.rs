//! Boxes for futures, used again by the next of their kind.
//!
//! A miss is one future of a few kilobytes inside another. Boxed anew each time they are the largest things it allocates, and what is stored
//! meanwhile comes to lie in the holes they leave: a hundred bytes of every entry were such holes. So each thread keeps some boxes.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_util::sync::ReusableBoxFuture;

/// Boxes of one kind that a thread keeps: enough for the requests that it has under way at a time, most of the time.
const KEPT: usize = 64;

thread_local! {
    /// By the type of the future, of which there are few: a `Vec<ReusableBoxFuture<_>>` each.
    static IDLE: RefCell<Vec<(TypeId, Box<dyn Any>)>> = const { RefCell::new(Vec::new()) };
}

/// A boxed future whose box is used again once it is ready. Given up before, it is dropped with its box.
pub struct Pooled<T: 'static> {
    boxed: Option<ReusableBoxFuture<'static, T>>,
    kind: TypeId,
    is_ready: bool,
}

impl<T: 'static> Pooled<T> {
    /// `future` in a box that was used before, or a new one. When it is ready it has to let go of what it holds, as an `async` block does:
    /// it may be kept for long.
    pub fn new<F>(future: F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let kind = TypeId::of::<F>();
        let boxed = match with_idle(kind, Vec::pop).flatten() {
            Some(mut boxed) => {
                boxed.set(future);
                boxed
            }
            None => ReusableBoxFuture::new(future),
        };
        Self { boxed: Some(boxed), kind, is_ready: false }
    }
}

/// Looks at the idle boxes of a kind. `None` where the thread is about to end.
fn with_idle<T: 'static, R>(kind: TypeId, look: impl FnOnce(&mut Vec<ReusableBoxFuture<'static, T>>) -> R) -> Option<R> {
    IDLE.try_with(|idle| {
        let mut idle = idle.borrow_mut();
        let index = idle.iter().position(|(found, _)| *found == kind).unwrap_or_else(|| {
            idle.push((kind, Box::new(Vec::<ReusableBoxFuture<'static, T>>::new())));
            idle.len() - 1
        });
        idle[index].1.downcast_mut().map(look)
    })
    .ok()
    .flatten()
}

// The future is pinned on the heap.
impl<T> Unpin for Pooled<T> {}

impl<T> Future for Pooled<T> {
    type Output = T;

    /// # Panics
    /// After it was ready, as any `async` block.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(boxed) = &mut self.boxed else { return Poll::Pending };
        let polled = boxed.poll(cx);
        self.is_ready = polled.is_ready();
        polled
    }
}

impl<T> Drop for Pooled<T> {
    fn drop(&mut self) {
        if let Some(boxed) = self.boxed.take()
            && self.is_ready
        {
            with_idle(self.kind, |idle| {
                if idle.len() < KEPT {
                    idle.push(boxed);
                }
            });
        }
    }
}

impl<T> fmt::Debug for Pooled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooled").field("is_ready", &self.is_ready).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    async fn big(held: Arc<()>, wait: bool) -> usize {
        let room = [1_u8; 3000];
        if wait {
            std::future::pending::<()>().await;
        }
        room.len() * Arc::strong_count(&held)
    }

    fn idle_of<F: Future<Output = usize> + 'static>(_: &impl Fn() -> F) -> usize {
        with_idle::<usize, _>(TypeId::of::<F>(), |idle| idle.len()).expect("a running thread")
    }

    #[tokio::test]
    async fn a_box_is_used_again_once_its_future_is_ready() {
        let held = Arc::new(());
        let make = || big(Arc::clone(&held), false);
        for _ in 0..3 {
            assert_eq!(Pooled::new(make()).await, 6000);
            assert_eq!(idle_of(&make), 1);
            assert_eq!(Arc::strong_count(&held), 1, "what is kept is the box only");
        }
    }

    #[tokio::test]
    async fn a_future_that_is_given_up_is_gone_with_its_box() {
        let held = Arc::new(());
        let make = || big(Arc::clone(&held), true);
        let mut future = Pooled::new(make());
        assert!(std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx).is_pending())).await);
        drop(future);
        assert_eq!((idle_of(&make), Arc::strong_count(&held)), (0, 1));
    }

    #[tokio::test]
    async fn a_thread_keeps_so_many_and_no_more() {
        let held = Arc::new(());
        let make = || big(Arc::clone(&held), false);
        let mut many: Vec<_> = (0..KEPT + 5).map(|_| Pooled::new(make())).collect();
        for future in &mut many {
            future.await;
        }
        drop(many);
        assert_eq!(idle_of(&make), KEPT);
    }
}
