//! Upgrades (RFC 9110 §7.8), WebSocket above all: past the cache, on a connection of their own, and after `101` a tunnel.

use http::{Extensions, HeaderValue, Request, Response, StatusCode, header};
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use larder_tower::clock::monotonic;
use larder_tower::{ClientBody, RequestBody};
use tower_service::Service;

use super::UpstreamService;
use super::body::{Held, Source, UpstreamBody};
use super::error::UpstreamError;
use super::observe::InFlight;
use super::progress::WatchedBody;
use crate::forward;
use crate::server::Peer;

impl UpstreamService {
    /// Passes on a request for which [`forward::is_upgrade`] holds. If the origin switches protocols, both connections are joined once
    /// the response has been given to the client, and the end of either ends the other. Otherwise its response is passed on like any.
    ///
    /// # Errors
    /// As for an ordinary exchange.
    pub async fn upgrade(&self, request: Request<impl ClientBody>, peer: &Peer) -> Result<Response<UpstreamBody>, UpstreamError> {
        let started = monotonic();
        let result = self.admitted(request, peer).await;
        self.inner().observe(started, &result);
        result
    }

    async fn admitted(&self, request: Request<impl ClientBody>, peer: &Peer) -> Result<Response<UpstreamBody>, UpstreamError> {
        let inner = self.inner();
        let held = inner.admit(inner.places.take()).await?;
        let attempt = inner.health.attempt()?;
        let switching = tokio::time::timeout(inner.options.first_byte_timeout, self.switch(request, peer, held));
        let result = switching.await.unwrap_or(Err(UpstreamError::FirstByteTimeout));
        attempt.ended(&result);
        result
    }

    async fn switch(
        &self,
        mut request: Request<impl ClientBody>,
        peer: &Peer,
        held: Held,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let inner = self.inner();
        let client = hyper::upgrade::on(&mut request);
        let protocol = request.headers().get(header::UPGRADE).cloned();
        let (mut parts, body) = request.into_parts();
        let body = WatchedBody::new(RequestBody::new(body), &parts.headers, None);
        parts.extensions = Extensions::new();
        let hop = peer.hop(parts.version);
        forward::to_upstream(&mut parts, Some(&hop), &inner.rules);
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            parts.headers.insert(header::UPGRADE, protocol);
        }
        // On a connection of its own there is no proxy between, so the target is in origin-form (RFC 9112 §3.2.1).
        parts.uri = inner.options.url.origin_form(&parts.uri);

        let stream = inner.connector.clone().call(inner.options.url.base()).await.map_err(UpstreamError::from_exchange)?;
        let (mut sender, connection) = http1::handshake(stream).await.map_err(UpstreamError::from_exchange)?;
        tokio::spawn(connection.with_upgrades());
        let request = Request::from_parts(parts, body);
        let mut response = sender.send_request(request).await.map_err(UpstreamError::from_exchange)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (mut parts, body) = response.into_parts();
            inner.receive(&mut parts)?;
            return Ok(Response::from_parts(parts, UpstreamBody::new(Source::Driven(body), held, None)));
        }
        let origin = hyper::upgrade::on(&mut response);
        let protocol = response.headers().get(header::UPGRADE).cloned();
        let mut parts = response.into_parts().0;
        inner.receive(&mut parts)?;
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            parts.headers.insert(header::UPGRADE, protocol);
        }
        tokio::spawn(join(client, origin, inner.stats.begin_request(), peer.clone()));
        Ok(Response::from_parts(parts, UpstreamBody::new(Source::Empty, held, None)))
    }
}

/// Copies both ways until both directions have ended, or one of them fails; then both connections are closed. Until then the client's
/// connection keeps its slot.
async fn join(client: OnUpgrade, origin: OnUpgrade, _open: InFlight, _slot: Peer) {
    let (Ok(client), Ok(origin)) = tokio::join!(client, origin) else { return };
    let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
    // A tunnel that breaks ends both sides, which is all that can be done about it.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut origin).await;
}
