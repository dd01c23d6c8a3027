//! Several futures at the same time, as part of one task.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// The results of all of them, in their order. For a few: each of them is polled whenever one of them may go on.
pub(crate) async fn gathered<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<(usize, Pin<Box<F>>)> = futures.into_iter().map(Box::pin).enumerate().collect();
    let mut results: Vec<Option<F::Output>> = pending.iter().map(|_| None).collect();
    poll_fn(|cx| {
        pending.retain_mut(|(place, future)| match future.as_mut().poll(cx) {
            Poll::Ready(result) => {
                results[*place] = Some(result);
                false
            }
            Poll::Pending => true,
        });
        if pending.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}
