//! One request and its response, over either protocol.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use larder_semantics::fields::drop_nominated;

use crate::connection::activity::TimedBody;
use crate::connection::handler::{Handler, LocalReply};
use crate::connection::hsts;
use crate::connection::linger::lingering;
use crate::connection::peer::Peer;
use crate::request::client_certificate;
use crate::request::cookies::join_cookies;
use crate::request::guard::{HeadLimits, Verdict};
use larder_message::problem::{Problem, X_REQUEST_ID};

type ResponseBody<B> = TimedBody<Either<B, Full<Bytes>>>;

/// A request that was judged, and what comes of it.
enum Begun<F, B> {
    Handled(F),
    /// The response was there before the request was read here.
    Answered(Response<B>),
    /// The listener's own.
    Local(Response<Full<Bytes>>),
}

/// Judges a request, then handles it, unless it was judged and `answered` before. Informational responses may be written until its response
/// is there.
pub(crate) fn respond<H: Handler>(
    request: Request<Incoming>,
    peer: &Peer,
    handler: &H,
    limits: HeadLimits,
    answered: Option<Response<H::Body>>,
) -> impl Future<Output = Result<Response<ResponseBody<H::Body>>, Infallible>> + use<H> {
    peer.activity().request_begun();
    let begun = match answered {
        Some(response) => Begun::Answered(response),
        None => begin(request, peer, handler, limits),
    };
    let peer = peer.clone();
    async move {
        let mut response = match begun {
            Begun::Handled(handling) => {
                let mut handling = pin!(handling);
                let response = poll_fn(|cx| match handling.as_mut().poll(cx) {
                    Poll::Ready(response) => Poll::Ready(response),
                    Poll::Pending => {
                        peer.outbox().wait(cx.waker());
                        Poll::Pending
                    }
                });
                response.await.map(Either::Left)
            }
            Begun::Answered(response) => response.map(Either::Left),
            Begun::Local(response) => response.map(Either::Right),
        };
        if peer.outbox().is_waiting() {
            // Informational responses arrived together with the final one. Boxed, because that is rare.
            response = Box::pin(after_interim_responses(response, &peer)).await;
        }
        peer.outbox().end();
        Ok(finished(response, peer))
    }
}

fn begin<H: Handler>(mut request: Request<Incoming>, peer: &Peer, handler: &H, limits: HeadLimits) -> Begun<H::Future, H::Body> {
    match peer.door().judge(&request, peer.faults(), limits) {
        Verdict::Pass => {
            drop_nominated(request.headers_mut());
            let shown = peer.tls().and_then(|tls| tls.client_certificate.as_ref());
            client_certificate::put(request.headers_mut(), shown, || handler.believes_client_cert(peer));
            if request.version() == Version::HTTP_2 {
                join_cookies(request.headers_mut());
            }
            Begun::Handled(handler.handle(request, peer.clone()))
        }
        Verdict::Refuse(problem) => {
            peer.set_lingering();
            let refusal = problem.response(request.method());
            let answer = identified(handler, peer, &mut request, refusal, Some(problem));
            drop(lingering(request));
            Begun::Local(answer.map(Full::new))
        }
        Verdict::Answer(answer) => {
            let answer = identified(handler, peer, &mut request, answer.map(Bytes::from), None);
            Begun::Local(answer.map(Full::new))
        }
    }
}

/// Returns the final response once the informational ones before it have been taken for writing.
async fn after_interim_responses<R>(response: R, peer: &Peer) -> R {
    poll_fn(|cx| peer.outbox().poll_taken(cx)).await;
    response
}

/// A local reply with the request's id, reported to the handler, which logs it.
fn identified<H: Handler>(
    handler: &H,
    peer: &Peer,
    request: &mut Request<Incoming>,
    mut answer: Response<Bytes>,
    problem: Option<Problem>,
) -> Response<Bytes> {
    let (info, status, bytes) = (peer.info(), answer.status(), answer.body().len());
    let id = handler.request_id(Some(request.headers_mut()), info.remote.ip());
    let (peer, secure, request_id) = (info.remote.ip(), info.secure, id.as_ref());
    handler.on_local_reply(&LocalReply { peer, secure, request: Some(request), status, bytes, problem, request_id });
    answer.headers_mut().extend(id.map(|id| (X_REQUEST_ID, id)));
    answer
}

/// RFC 9112 §9.6: "a server that sends a close connection option MUST initiate closure of the connection after it sends the final response".
/// hyper does the latter.
fn finished<B>(mut response: Response<B>, peer: Peer) -> Response<TimedBody<B>> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        peer.set_switched();
        return response.map(TimedBody::untimed);
    }
    if response.status().canonical_reason().is_none() {
        // hyper would make a phrase up. An empty one is valid (RFC 9112 §4).
        response.extensions_mut().insert(ReasonPhrase::from_static(b""));
    }
    if let Some(policy) = peer.tls().and_then(|tls| tls.hsts.as_ref()) {
        hsts::put_field(response.headers_mut(), policy);
    }
    if peer.closes_after_response() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| TimedBody::new(body, peer))
}
