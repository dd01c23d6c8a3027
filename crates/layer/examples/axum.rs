//! A service in axum behind the cache: `cargo run --package larder-tower --example axum`, then `curl -i http://127.0.0.1:3000/` twice.

use std::time::Duration;

use axum::{Router, routing::get};
use larder_tower::{Cache, CacheLayer, RouteRules};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let cache = Cache::new(256 << 20); // bytes, for everything that is stored
    let rules = RouteRules::builder().ttl(Duration::from_secs(60)).build();
    let app = Router::new().route("/", get(|| async { "hello" })).layer(CacheLayer::new(cache, rules));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}
