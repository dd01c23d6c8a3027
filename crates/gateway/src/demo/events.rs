//! An endless stream of server-sent events, one a second.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Interval, interval};

const CHANGES: [&str; 4] = ["commented", "assigned", "closed", "reopened"];

/// The stream's body. Its first event comes at once.
#[derive(Debug)]
pub(super) struct Events {
    ticks: Interval,
    next: u64,
}

impl Events {
    /// Must be called within a runtime.
    pub(super) fn new() -> Self {
        Self { ticks: interval(Duration::from_secs(1)), next: 1 }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.ticks.poll_tick(context));
        let id = self.next;
        self.next += 1;
        let change = CHANGES[(id % CHANGES.len() as u64) as usize];
        let issue = id * 5 % 48 + 1;
        let event = format!("id: {id}\nevent: issue\ndata: {{\"issue\":{issue},\"change\":\"{change}\"}}\n\n");
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn the_first_event_comes_at_once_and_is_whole() {
        let frame = Events::new().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "id: 1\nevent: issue\ndata: {\"issue\":6,\"change\":\"assigned\"}\n\n");
    }
}
