//! A plain hyper service behind the cache: `cargo run --package larder-tower --example hyper`, then `curl -i http://127.0.0.1:3000/` twice.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use larder_tower::{Cache, CacheLayer, RequestBody, RouteRules};
use tower::ServiceBuilder;

async fn hello(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let rules = RouteRules::builder().ttl(Duration::from_secs(60)).build();
    let layer = CacheLayer::new(Cache::new(256 << 20), rules);
    let service = TowerToHyperService::new(ServiceBuilder::new().layer(layer).service_fn(hello));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone()));
    }
}
