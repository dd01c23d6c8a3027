//! Interim responses (1xx, RFC 9110 §15.2) of the origin, on their way to an HTTP/1.1 client.
//!
//! hyper has no way to send one. They can be written between its own bytes all the same: while a request's response has not begun and
//! hyper has nothing left to write, the connection stands exactly between two messages. HTTP/2 frames offer no such gap from outside,
//! so an HTTP/2 client gets the final response only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use larder_semantics::fields::remove_hop_by_hop;

use crate::http1;

/// More than this in one exchange is dropped, so that an origin cannot fill memory.
const MAX_BYTES: usize = 64 * 1024;

/// Takes the interim responses to one request. Too late or too many, they are dropped; a final response that was there after them goes
/// out after them.
#[derive(Clone, Debug)]
pub struct InterimResponses {
    outbox: Arc<Outbox>,
    request: u64,
}

impl InterimResponses {
    /// Passes one on, unless the final response has begun. `100` and `101` are this hop's own business.
    pub fn push(&self, status: StatusCode, headers: &HeaderMap) {
        if !status.is_informational() || status == StatusCode::CONTINUE || status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let mut headers = headers.clone();
        remove_hop_by_hop(&mut headers);
        // "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx" (RFC 9110 §8.6).
        headers.remove(CONTENT_LENGTH);
        let message = encode(status, &headers);
        let waker = {
            let mut state = self.outbox.lock();
            if !self.outbox.is_open() || state.request != self.request || state.bytes.len() + message.len() > MAX_BYTES {
                return;
            }
            state.bytes.extend_from_slice(&message);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn encode(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut message = Vec::new();
    http1::put_status_line(&mut message, status);
    http1::put_fields(&mut message, headers);
    http1::end_head(&mut message);
    message
}

/// Interim responses that wait to be written on one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    /// A request has begun to take informational responses and not ended yet. Kept beside the lock, because a connection that only
    /// ever hits the cache has none, and is asked at every flush.
    open: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    request: u64,
    bytes: Vec<u8>,
    waker: Option<Waker>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins whose informational responses may be written.
    pub fn begin(self: &Arc<Self>) -> InterimResponses {
        let mut state = self.lock();
        state.request += 1;
        self.open.store(true, Ordering::Relaxed);
        InterimResponses { outbox: Arc::clone(self), request: state.request }
    }

    /// The request is still waiting; `waker` wakes the connection.
    pub fn wait(&self, waker: &Waker) {
        if !self.is_open() {
            return;
        }
        let mut state = self.lock();
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
    }

    /// Whether anything waits to be written before the final response may begin.
    pub fn is_waiting(&self) -> bool {
        self.is_open() && !self.lock().bytes.is_empty()
    }

    /// Ready once everything has been taken to be written. The connection takes it at its next flush: no longer than the final response
    /// itself would wait.
    pub fn poll_taken(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_waiting() {
            return Poll::Ready(());
        }
        self.wait(cx.waker());
        Poll::Pending
    }

    /// The final response begins: interim responses that are not written yet are dropped.
    pub fn end(&self) {
        if !self.is_open() {
            return;
        }
        let mut state = self.lock();
        self.open.store(false, Ordering::Relaxed);
        state.bytes.clear();
        state.waker = None;
    }

    /// Takes what waits to be written.
    pub fn take(&self) -> Vec<u8> {
        if !self.is_open() {
            return Vec::new();
        }
        let mut state = self.lock();
        let bytes = std::mem::take(&mut state.bytes);
        // A final response may wait for that.
        let waker = state.waker.take_if(|_| !bytes.is_empty());
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        bytes
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn links() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append("link", HeaderValue::from_static("</a.css>; rel=preload"));
        headers.append("connection", HeaderValue::from_static("x-hop"));
        headers.append("x-hop", HeaderValue::from_static("1"));
        headers.append("content-length", HeaderValue::from_static("0"));
        headers
    }

    #[test]
    fn rfc9110_15_2_an_informational_response_is_written_without_hop_by_hop_fields_and_length() {
        let outbox = Arc::new(Outbox::default());
        outbox.begin().push(StatusCode::EARLY_HINTS, &links());
        assert_eq!(outbox.take(), b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
    }

    #[test]
    fn one_that_comes_after_the_final_response_is_dropped() {
        let outbox = Arc::new(Outbox::default());
        let first = outbox.begin();
        first.push(StatusCode::EARLY_HINTS, &links());
        outbox.end();
        first.push(StatusCode::EARLY_HINTS, &links());
        assert!(outbox.take().is_empty());
        let _second = outbox.begin();
        first.push(StatusCode::EARLY_HINTS, &links());
        assert!(outbox.take().is_empty(), "it belongs to an earlier request");
    }

    #[test]
    fn continue_and_switching_protocols_are_not_passed_on() {
        let outbox = Arc::new(Outbox::default());
        let early = outbox.begin();
        early.push(StatusCode::CONTINUE, &links());
        early.push(StatusCode::SWITCHING_PROTOCOLS, &links());
        early.push(StatusCode::OK, &links());
        assert!(outbox.take().is_empty());
    }
}
