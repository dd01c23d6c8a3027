//! The time that the content of a request may take.

use std::pin::Pin;
use std::time::Duration;

use super::content::Progress;

/// How long the response's head is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadTimeout {
    /// From the last progress of the request's content.
    pub(crate) timeout: Duration,
    /// Bytes a second that the client has to send on average, while it is waited for; 0: any number.
    pub(crate) min_rate: u64,
}

/// How often the content's progress is checked.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Time that a client has before its content has to come at the minimum rate (nginx has none, Apache's `RequestReadTimeout` ten seconds).
const GRACE: Duration = Duration::from_secs(10);

/// Maximum time that a client earns by being faster: one that drips after a fast beginning is noticed all the same.
const MAX_CREDIT: Duration = Duration::from_secs(60);

/// How content moves. A long upload is not a slow response, so the timeout counts from the last of the content; and a client that sends a byte now and
/// then does not hold a connection to the origin for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    limits: HeadTimeout,
    idle: Duration,
    credit: Duration,
}

/// What stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stall {
    /// The client does not send its content, or hardly does.
    Client,
    /// The origin does not take the content, or says nothing to all of it.
    Origin,
}

/// The request's content stood still for too long after its response had begun.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the client does not send it any more, or the origin does not take it")]
pub(crate) struct Stalled;

impl Pace {
    pub(crate) fn new(limits: HeadTimeout) -> Self {
        Self { limits, idle: Duration::ZERO, credit: GRACE }
    }

    /// How long nothing has moved.
    pub(crate) fn idle(&self) -> Duration {
        self.idle
    }

    /// So much time has passed; tells what stands still for too long.
    pub(crate) fn pass(&mut self, interval: Duration, progress: &Progress) -> Option<Stall> {
        let HeadTimeout { timeout, min_rate } = self.limits;
        let (moved, bytes, is_starved) = (progress.take_moved(), progress.take_bytes(), progress.is_starved());
        self.idle = if moved { Duration::ZERO } else { self.idle + interval };
        if let Some(earned) = bytes.saturating_mul(1000).checked_div(min_rate) {
            self.credit = (self.credit + Duration::from_millis(earned)).min(MAX_CREDIT);
            self.credit = if is_starved { self.credit.saturating_sub(interval) } else { self.credit };
        }
        let is_over = self.idle >= timeout;
        if is_starved && (is_over || self.credit.is_zero()) {
            return Some(Stall::Client);
        }
        is_over.then_some(Stall::Origin)
    }
}

/// Sends the rest of a content whose response has begun. A client that stops sending ends the exchange, as it does before. An origin that does not take
/// content may be busy with its response, so that is waited for until the response is over.
pub(crate) async fn sent_in_time<T>(
    limits: HeadTimeout,
    progress: &Progress,
    mut sending: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Stalled> {
    let mut pace = Pace::new(limits);
    loop {
        if let Ok(done) = tokio::time::timeout(CHECK_INTERVAL, sending.as_mut()).await {
            return Ok(done);
        }
        match pace.pass(CHECK_INTERVAL, progress) {
            Some(Stall::Client) => return Err(Stalled),
            Some(Stall::Origin) if progress.is_answered() => return Err(Stalled),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

    use bytes::Bytes;
    use http::HeaderMap;
    use http_body_util::{BodyExt, Full};
    use larder_tower::RequestBody;

    use super::*;
    use crate::request::content::WatchedBody;

    const LIMITS: HeadTimeout = HeadTimeout { timeout: Duration::from_secs(30), min_rate: 0 };

    #[tokio::test(start_paused = true)]
    async fn an_origin_that_takes_no_content_is_waited_for_until_its_response_is_over() {
        let mut body = WatchedBody::new(RequestBody::new(Full::new(Bytes::from_static(b"x"))), &HeaderMap::new(), None);
        let progress = body.progress().expect("it has content");
        let work = pin!(async {
            body.frame().await.expect("frame").expect("data");
            pending::<()>().await;
        });
        let mut sending = pin!(sent_in_time(LIMITS, &progress, work));
        assert!(tokio::time::timeout(20 * LIMITS.timeout, sending.as_mut()).await.is_err(), "it still answers");
        progress.answered();
        assert!(sending.await.is_err());
    }
}
