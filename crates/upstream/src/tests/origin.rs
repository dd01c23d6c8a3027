//! An origin over a raw socket that does exactly what a test tells it to, connection by connection.

use std::future::Future;
use std::net::SocketAddr;

use http::{Request, Response};
use larder_config::Upstream;
use larder_semantics::Timestamp;
use larder_tower::RequestBody;
use larder_tower::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

use crate::{UpstreamBody, UpstreamError, UpstreamOptions, UpstreamService};

/// Starts an origin whose connections are handled by `script`, which is given their number, from 0.
pub(crate) async fn origin<F, R>(script: F) -> SocketAddr
where
    F: Fn(usize, Connection) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    origin_on(listener, script);
    address
}

/// The same on this socket.
pub(crate) fn origin_on<F, R>(listener: TcpListener, script: F)
where
    F: Fn(usize, Connection) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.expect("accept");
            tokio::spawn(script(number, Connection(stream)));
        }
    });
}

/// An accepted connection.
pub(crate) struct Connection(TcpStream);

impl Connection {
    /// The next head, its empty line included; what was read of it, if the peer closes first.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Everything up to and including `end`, or up to the close.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            match self.0.read_u8().await {
                Ok(byte) => text.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(text).expect("UTF-8")
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("write");
    }

    /// Sends so that it arrives on its own: after what was sent before, and before what is sent next.
    pub(crate) async fn send_apart(&mut self, bytes: &[u8]) {
        self.0.set_nodelay(true).expect("no delay");
        self.0.write_all(bytes).await.expect("write");
        // The peer is a task of this thread: it reads before this one goes on.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    /// Sends what a peer may not want any more; whether it took it.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Waits until the peer closes.
    pub(crate) async fn closed(&mut self) {
        while self.0.read_u8().await.is_ok() {}
    }
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Options for an origin at this URL, with a clock that stands still.
pub(crate) fn options(url: &str) -> UpstreamOptions {
    let config = Upstream::new("default", url.parse().expect("upstream URL"));
    UpstreamOptions::new(config, Clock::manual(Timestamp::from_secs(784_111_777)).0)
}

/// The same with HTTP/2 without TLS.
pub(crate) fn h2c_options(url: &str) -> UpstreamOptions {
    let mut options = options(url);
    options.config.h2c = true;
    options
}

/// A service for the origin at this address.
pub(crate) fn service(address: SocketAddr) -> UpstreamService {
    UpstreamService::new(options(&format!("http://{address}"))).expect("service")
}

pub(crate) async fn send(service: &UpstreamService, request: Request<RequestBody>) -> Result<Response<UpstreamBody>, UpstreamError> {
    service.clone().call(request).await
}

pub(crate) fn get(target: &str) -> Request<RequestBody> {
    Request::get(target).header("host", "a.example").body(RequestBody::empty()).expect("request")
}
