//! What the public listeners know of the gateway.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Incoming;
use larder_tower::{EffectiveTarget, Plain, Pooled};

use super::gateway::{Answered, Gateway, GatewayBody, Service};
use super::handling::Handling;
use crate::client::{ClientConnection, effective_target};
use crate::routing::WayBody;
use crate::server::{Handler, LocalReply, Peer, PlainAnswer};
use crate::telemetry::access_log::{LoggedBody, ResponseRecord};
use crate::telemetry::metrics::RequestRecord;

/// The gateway as the public listeners know it.
#[derive(Clone)]
pub(crate) struct PublicHandler(pub(crate) Arc<Gateway>);

impl Handler for PublicHandler {
    type Body = LoggedBody<GatewayBody>;
    type Future = Handling;
    type Waiting = Pooled<Answered>;

    const ANSWERS_PLAIN: bool = true;

    fn answer_plain(&self, request: &mut Request<()>, peer: &Peer, head: &mut Vec<u8>) -> Option<PlainAnswer<Self::Body, Self::Waiting>> {
        if self.0.acme.asked(request).is_some() {
            return None;
        }
        self.0.answer_plain(request, peer, head, Wanted::Any)
    }

    fn answer_stored(&self, request: &mut Request<()>, peer: &Peer, head: &mut Vec<u8>, max: u64) -> Option<Self::Body> {
        if self.0.acme.asked(request).is_some() {
            return None;
        }
        match self.0.answer_plain(request, peer, head, Wanted::Stored(max))? {
            PlainAnswer::Written(body) => Some(body),
            PlainAnswer::Waiting(_) => None,
        }
    }

    fn handle(&self, request: Request<Incoming>, peer: Peer) -> Handling {
        match self.0.acme.asked(&request) {
            None => self.0.handle(request, peer),
            Some(asked) => {
                let gateway = Arc::clone(&self.0);
                Handling::waiting(async move { gateway.prove(request, peer, asked).await })
            }
        }
    }

    fn believes_client_cert(&self, peer: &Peer) -> bool {
        self.0.active.load().trusted.tells_certificates(peer.address().ip())
    }

    fn request_id(&self, fields: Option<&mut HeaderMap>, peer: IpAddr) -> Option<HeaderValue> {
        let active = self.0.active.load();
        active.config.server.request_id.then(|| match fields {
            Some(fields) => self.0.request_ids.give(fields, active.trusted.contains(peer)),
            None => self.0.request_ids.make(),
        })
    }

    /// The listener's own answers are logged and counted as all others are.
    fn on_local_reply<B>(&self, reply: &LocalReply<'_, B>) {
        let gateway = &*self.0;
        let active = gateway.active.load();
        let entry = match reply.request {
            Some(request) => {
                let connection = ClientConnection { peer: reply.peer, secure: reply.secure, version: request.version() };
                let target = effective_target(request.uri(), request.headers(), &connection, &active.trusted);
                active.access_log.begin(request, Some(target.client), || gateway.clock.now())
            }
            None => active.access_log.begin_unread(Some(reply.peer), reply.request_id, || gateway.clock.now()),
        };
        let method = reply.request.map(Request::method);
        let bytes = Some(reply.bytes as u64);
        let record = RequestRecord { method, status: reply.status, result: None, reason: None, elapsed: Duration::ZERO, bytes };
        active.metrics.request(None, &record);
        entry.responded(reply.status, reply.bytes, &ResponseRecord { problem: reply.problem, ..ResponseRecord::default() });
    }
}

/// The answers that the protocol can begin with before hyper.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// All of them. What has no known length goes on to hyper with its request.
    Any,
    /// Those that are stored, with bodies of at most so many bytes.
    Stored(u64),
}

impl Wanted {
    /// Looks up a request for one of them.
    pub(super) fn look_up(self, service: &Service, request: &mut Request<()>, effective: &EffectiveTarget) -> Option<Plain<WayBody>> {
        match self {
            Self::Any => service.look_up_plain(request, effective),
            Self::Stored(max) => {
                let answer = service.look_up_stored(request, effective)?;
                answer.length().is_some_and(|length| length <= max).then_some(Plain::Stored(answer))
            }
        }
    }
}
