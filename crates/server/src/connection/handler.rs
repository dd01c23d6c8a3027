//! What stands behind the listener.

use std::future::Future;
use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use larder_tower::BoxError;

use crate::connection::peer::Peer;
use larder_message::problem::Problem;

/// Answers the requests that the listener lets pass, and hears of those that it answers by itself. A function of request and peer
/// is one.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;
    /// The answer to come.
    type Answer: Future<Output = Response<Self::Body>> + Send + 'static;

    /// Whether [`Self::hit`] is worth asking.
    const HITS: bool = false;

    /// Answers a request if that takes nothing but what is at hand: appends the answer's head as HTTP/1.1 has it to `head`, and gives its
    /// body, all of which is there. The request has been judged like any other. `None` leads to [`Self::handle`].
    fn hit(&self, _request: &Request<()>, _peer: &Peer, _head: &mut Vec<u8>) -> Option<Self::Body> {
        None
    }

    /// Answers a request. Its head can be read in one way only, and the fields that `Connection` names are gone.
    fn handle(&self, request: Request<Incoming>, peer: Peer) -> Self::Answer;

    /// The listener has answered by itself.
    fn answered_before<B>(&self, _answer: &OwnAnswer<'_, B>) {}
}

impl<H, F, B> Handler for H
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Body = B;
    type Answer = F;

    fn handle(&self, request: Request<Incoming>, peer: Peer) -> F {
        self(request, peer)
    }
}

/// An answer of the listener's own: a refusal, or what the last of the hops says (RFC 9110 §7.6.2).
#[derive(Debug)]
pub struct OwnAnswer<'a, B = ()> {
    /// Who was answered.
    pub peer: IpAddr,
    /// What was asked; `None` where no request could be read.
    pub request: Option<&'a Request<B>>,
    /// The answer's status.
    pub status: StatusCode,
    /// Bytes of its body.
    pub bytes: usize,
    /// Why it was refused.
    pub problem: Option<Problem>,
}

impl OwnAnswer<'_> {
    /// To a client whose request could not be read.
    pub(crate) fn unread(peer: IpAddr, problem: Problem) -> Self {
        Self { peer, request: None, status: problem.status(), bytes: problem.body().len(), problem: Some(problem) }
    }
}
