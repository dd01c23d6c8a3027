//! Operations on several tiers at the same time.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use larder_store::StoreFuture;

/// Waits for all of them. A tier that hangs holds up no other.
pub(super) async fn all(mut operations: Vec<StoreFuture<'_, ()>>) {
    poll_fn(|cx| {
        operations.retain_mut(|operation| operation.as_mut().poll(cx).is_pending());
        if operations.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// `None` where it takes longer than a tier's deadline.
pub(crate) async fn within<T>(deadline: Option<Duration>, operation: StoreFuture<'_, T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout(deadline, operation).await.ok(),
        None => Some(operation.await),
    }
}
