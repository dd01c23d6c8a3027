//! The service behind the listener.

use std::future::Future;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use larder_tower::BoxError;

use crate::connection::peer::Peer;
use crate::listener::incoming::ConnectionInfo;
use larder_message::problem::Problem;

/// Answers the requests that the listener lets pass, and is told of those that the listener answers by itself. A function of request and
/// peer is a handler.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The body of a response.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;
    /// Resolves to the response.
    type Future: Future<Output = Response<Self::Body>> + Send + 'static;

    /// The same answer, where it was begun by [`Self::answer_plain`].
    type Waiting: Future<Output = Response<Self::Body>> + Send + Unpin + 'static;

    /// Whether [`Self::answer_plain`] and [`Self::answer_stored`] can answer at all.
    const ANSWERS_PLAIN: bool = false;

    /// Answers a GET or HEAD without content that was read before hyper, if it can. It has been judged like any other request, and may be changed. A response
    /// that needs no waiting is written: its head in the form of HTTP/1.1 goes to the end of `head`. After `None`, [`Self::handle`] is called.
    fn answer_plain(
        &self,
        _request: &mut Request<()>,
        _peer: &Peer,
        _head: &mut Vec<u8>,
    ) -> Option<PlainAnswer<Self::Body, Self::Waiting>> {
        None
    }

    /// Answers a GET or HEAD over HTTP/2 as [`Self::answer_plain`] does, if no response has to be waited for and its body, all of which is in memory, is of
    /// a known length of at most `max` bytes. After `None`, nothing has happened but to `request`.
    fn answer_stored(&self, _request: &mut Request<()>, _peer: &Peer, _head: &mut Vec<u8>, _max: u64) -> Option<Self::Body> {
        None
    }

    /// Answers a request. Its head can be read in one way only, and the fields that `Connection` names are gone.
    fn handle(&self, request: Request<Incoming>, peer: Peer) -> Self::Future;

    /// Whether this peer is a proxy that tells of the certificates that its clients showed (RFC 9440). Asked where it says so, or shows one itself.
    fn believes_client_cert(&self, _peer: &Peer) -> bool {
        false
    }

    /// The id of a request that the listener is about to answer by itself, where requests have one. It is put into the request's `fields`, if it
    /// could be read, and into the response.
    fn request_id(&self, _fields: Option<&mut HeaderMap>, _peer: IpAddr) -> Option<HeaderValue> {
        None
    }

    /// The listener has answered by itself. Called for each local reply.
    fn on_local_reply<B>(&self, _answer: &LocalReply<'_, B>) {}
}

/// The answer that [`Handler::answer_plain`] has begun.
#[derive(Debug)]
pub enum PlainAnswer<B, W> {
    /// The head is written. This is the body, all of which is in memory.
    Written(B),
    /// The response has to be waited for. The request was taken.
    Waiting(W),
}

impl<H, F, B> Handler for H
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Body = B;
    type Future = F;
    type Waiting = std::future::Pending<Response<B>>;

    fn handle(&self, request: Request<Incoming>, peer: Peer) -> F {
        self(request, peer)
    }
}

/// A response of the listener's own (Envoy's "local reply"): a refusal, or the answer to a request whose `Max-Forwards` has run out
/// (RFC 9110 §7.6.2).
#[derive(Debug)]
pub struct LocalReply<'a, B = ()> {
    /// The client's address.
    pub peer: IpAddr,
    /// Whether TLS protects its connection.
    pub secure: bool,
    /// The request; `None` where none could be read.
    pub request: Option<&'a Request<B>>,
    /// The response's status.
    pub status: StatusCode,
    /// Bytes of its body.
    pub bytes: usize,
    /// Why it was refused.
    pub problem: Option<Problem>,
    /// The id of the request, where it has one.
    pub request_id: Option<&'a HeaderValue>,
}

/// Refuses a client whose request could not be read: the handler is told, and the answer returned as bytes of HTTP/1.1.
pub(crate) fn refuse_unread<H: Handler>(handler: &H, connection: ConnectionInfo, problem: Problem) -> Vec<u8> {
    let ConnectionInfo { remote, secure, .. } = connection;
    let (peer, status, bytes) = (remote.ip(), problem.status(), problem.body().len());
    let id = handler.request_id(None, peer);
    let request_id = id.as_ref();
    let reply: LocalReply<'_> = LocalReply { peer, secure, request: None, status, bytes, problem: Some(problem), request_id };
    handler.on_local_reply(&reply);
    problem.to_http1(request_id)
}
