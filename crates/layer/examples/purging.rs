//! A small API whose writes invalidate the responses that they concern, and whose cache can be watched:
//!
//! ```text
//! cargo run --package larder-tower --example purging
//! curl -i http://127.0.0.1:3000/issues            # MISS, then HIT
//! curl -i -X POST http://127.0.0.1:3000/issues    # a new issue: the list is old, and so is the count
//! curl -i http://127.0.0.1:3000/issues/count      # MISS again
//! curl http://127.0.0.1:3000/stats
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use larder_tower::{Cache, CacheLayer, HeaderTags, Invalidation, Outcome, RouteRules};

#[derive(Clone)]
struct App {
    cache: Arc<Cache>,
    issues: Arc<AtomicU64>,
}

/// Tags name what an answer is made of; the cache takes the field out, so clients do not see it.
async fn list(State(app): State<App>) -> impl IntoResponse {
    ([("surrogate-key", "issues")], format!("issues 1 to {}\n", app.issues.load(Ordering::Relaxed)))
}

async fn count(State(app): State<App>) -> impl IntoResponse {
    ([("surrogate-key", "issues")], format!("{}\n", app.issues.load(Ordering::Relaxed)))
}

/// A POST to `/issues` invalidates `/issues` by itself (RFC 9111 §4.4). Only the application knows which other responses it invalidates.
async fn create(State(app): State<App>) -> StatusCode {
    app.issues.fetch_add(1, Ordering::Relaxed);
    app.cache.invalidate(&Invalidation::tag("issues")).await;
    StatusCode::CREATED
}

async fn stats(State(app): State<App>) -> String {
    let stats = app.cache.stats();
    format!("{} entries, {} bytes, {} fetches now\n", stats.memory.entries, stats.memory.bytes, stats.fills_in_flight)
}

/// Around the cache, so it sees hits too: the place for logs and metrics.
async fn log(request: Request, next: Next) -> Response {
    let target = request.uri().clone();
    let response = next.run(request).await;
    if let Some(outcome) = response.extensions().get::<Outcome>() {
        println!("{target}: {}, {}", outcome.result.as_str(), outcome.reason);
    }
    response
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let cache = Cache::builder(256 << 20).max_object(1 << 20).build();
    let rules = RouteRules::builder()
        .name("api")
        .ttl(Duration::from_secs(60))
        .stale_if_error(Duration::from_secs(600))
        .tags(HeaderTags::surrogate_key())
        .build();
    let app = Router::new()
        .route("/issues", get(list).post(create))
        .route("/issues/count", get(count))
        .layer(CacheLayer::new(Arc::clone(&cache), rules))
        .layer(from_fn(log))
        // Routes that are added after a layer are not behind it.
        .route("/stats", get(stats))
        .with_state(App { cache, issues: Arc::new(AtomicU64::new(7)) });

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}
