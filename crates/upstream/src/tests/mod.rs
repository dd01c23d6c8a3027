//! Exchanges with an origin over a raw socket.

mod balancing;
mod bodies;
mod failures;
mod http2;
mod http2_streams;
mod learning;
pub(crate) mod origin;
mod pooling;
mod requests;
mod retrying;
mod through;
mod tls;
mod upgrading;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use larder_server::{Server, ServerOptions};
use larder_testkit::wait::eventually;
use larder_tower::RequestBody;

use origin::{options, send};

use crate::{UpstreamError, UpstreamService};

pub(crate) async fn failure(service: &UpstreamService, request: Request<RequestBody>) -> UpstreamError {
    send(service, request).await.map(|response| response.status()).expect_err("should fail")
}

/// Lets the pool take back the connection of an exchange that is over.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Services for one origin, first over HTTP/1.1, then over HTTP/2.
pub(crate) fn over_either_protocol<H, F>(answer: H) -> [UpstreamService; 2]
where
    H: Fn(Request<Incoming>, larder_server::Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let server = Server::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bind");
    let address = server.addresses().expect("addresses")[0];
    tokio::spawn(server.serve(ServerOptions::default(), answer, std::future::pending()));
    [false, true].map(|h2c| {
        let mut options = options(&format!("http://{address}"));
        options.config.h2c = h2c;
        UpstreamService::new(options).expect("service")
    })
}

/// Waits until `condition` holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let met = async || Ok(condition().then_some(()));
    eventually("a condition of the test", met).await.expect("it never came to that");
}
