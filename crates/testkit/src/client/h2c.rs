//! HTTP/2 with prior knowledge (RFC 9113 §3.3) and over TLS, for what a listener does with it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::Result;
use crate::certificates::connect_tls;
use crate::wait::within;

/// One HTTP/2 connection.
pub struct H2Client {
    requests: SendRequest<Full<Bytes>>,
    scheme: &'static str,
    authority: String,
}

/// A whole response over HTTP/2.
#[derive(Debug)]
pub struct H2Response {
    /// Status and fields.
    pub head: http::response::Parts,
    /// The body.
    pub body: Bytes,
    /// The trailers.
    pub trailers: HeaderMap,
}

impl H2Client {
    /// Connects and speaks HTTP/2 from the first byte.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = within(format!("connecting to {address}"), TcpStream::connect(address)).await??;
        Self::on(stream, "http", address.to_string()).await
    }

    /// Connects over TLS, agrees on HTTP/2 (ALPN), and names this host in its requests.
    pub async fn connect_tls(address: SocketAddr, host: &str, config: &Arc<ClientConfig>) -> Result<Self> {
        Self::on(connect_tls(address, host, config).await?, "https", host.to_owned()).await
    }

    async fn on(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, scheme: &'static str, authority: String) -> Result<Self> {
        let (requests, connection) = within("the HTTP/2 handshake", http2::handshake(TokioExecutor::new(), TokioIo::new(stream))).await??;
        // The connection's end shows in the requests on it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { requests, scheme, authority })
    }

    /// Names another host in its requests than the address it has connected to.
    #[must_use]
    pub fn for_authority(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.authority);
        self
    }

    /// Sends a request and waits for the response's head.
    pub async fn send(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(format!("{}://{}{target}", self.scheme, self.authority));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
        within("the HTTP/2 connection", self.requests.ready()).await??;
        Ok(within(format!("{method} {target} over HTTP/2"), self.requests.send_request(request)).await??)
    }

    /// Sends a request and reads the whole response.
    pub async fn exchange(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Result<H2Response> {
        let (head, body) = self.send(method, target, fields, body).await?.into_parts();
        let collected = within("an HTTP/2 body", body.collect()).await??;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Ok(H2Response { head, body: collected.to_bytes(), trailers })
    }
}
