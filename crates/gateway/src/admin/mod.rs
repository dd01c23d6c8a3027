//! The admin listener: health, readiness, metrics, purges, and everything that people ask about a running gateway; never on the public one.
//!
//! ```text
//! plane (names, origins, limits, panics) --> endpoints (path, method, scope) --> a handler each
//! ```

mod access;
mod dashboard;
mod endpoints;
mod explain;
mod keys;
mod limits;
mod plane;
mod purge;
mod readiness;
mod refused;
mod standing;
mod stats;
mod tail;
mod verify;
mod warm;

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use hyper::body::Incoming;
use tower_service::Service;

pub(crate) use access::Access;
pub(crate) use endpoints::Shared;
pub use readiness::{Readiness, Stage};

use crate::purge::Refused;
use crate::server::{Peer, Server, ServerOptions, lingering};
use crate::telemetry::render::OPEN_METRICS;

/// How the admin listener treats its connections. None of it comes from `[server]`: limits that are tightened for clients must not lock out
/// probes, scrapers and purges.
const OPTIONS: ServerOptions = ServerOptions {
    header_read_timeout: Duration::from_secs(30),
    idle_timeout: Duration::from_secs(75),
    write_timeout: Duration::from_secs(60),
    // It opens no tunnels.
    tunnel_idle: Duration::from_secs(600),
    // Bodies have a deadline of their own.
    min_upload_rate: 0,
    // Probes and scrapers are few. A limit of its own, so that a flood of clients cannot keep them out.
    max_connections: 128,
    max_header_bytes: 96 << 10,
    max_target: 16 << 10,
    max_streams: 128,
    // It answers until the process ends, and is then dropped.
    idle_close_delay: Duration::ZERO,
    drain_timeout: Duration::ZERO,
};

/// Parts of `/readyz` that may be missing, with their names.
type Details = [(&'static str, Option<serde_json::Value>); 5];
type Describe = Arc<dyn Fn() -> Details + Send + Sync>;
type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the admin listener serves: probes and `/metrics` (Prometheus text), and with a running gateway all of `endpoints`.
#[derive(Clone)]
pub struct Admin(Router);

impl Admin {
    /// `metrics` renders everything that is measured, anew for each scrape.
    ///
    /// `details` tells what else is worth knowing, such as how the tiers stand.
    pub fn new(
        readiness: Readiness,
        details: impl Fn() -> Details + Send + Sync + 'static,
        metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        let (details, metrics): (Describe, RenderMetrics) = (Arc::new(details), Arc::new(metrics));
        let probes = Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state((readiness, details));
        let metrics = Router::new().route("/metrics", get(render)).with_state(metrics);
        Self(probes.merge(metrics).fallback(nothing_here).method_not_allowed_fallback(not_this_way))
    }

    /// With everything that a running gateway shows and lets others do. Where others can reach the listener, all but probes needs a token; where
    /// only this machine can, all of it answers under a loopback name only.
    pub(crate) fn with_control(self, shared: Shared) -> Self {
        let metrics = from_fn_with_state(shared.clone(), plane::allow_metrics);
        let control = endpoints::router(&shared).merge(dashboard::router(&shared));
        let all = self.0.layer(metrics).merge(control).method_not_allowed_fallback(not_this_way);
        Self(plane::around(all, shared.access))
    }

    /// Serves for as long as it is polled: probes are answered to the very end.
    pub async fn serve(self, server: Server) {
        server.serve(OPTIONS, move |request, peer| self.clone().answer(request, &peer), pending()).await;
    }

    fn answer(mut self, mut request: Request<Incoming>, peer: &Peer) -> impl Future<Output = Response<Body>> + use<> {
        let connection = peer.client_connection(request.version());
        request.extensions_mut().insert(connection);
        async move { self.respond(request).await }
    }

    async fn respond(&mut self, request: Request<Incoming>) -> Response<Body> {
        let answered: Result<_, Infallible> = self.0.call(lingering(request).map(Body::new)).await;
        match answered {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

async fn nothing_here() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, format!("There is {}.", endpoints::all_paths()))
}

/// The methods that may be used stand in `Allow`, which the router adds (RFC 9110 §15.5.6).
async fn not_this_way() -> Refused {
    Refused::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "/purge, /events, /explain, /warm and the forms of the dashboard take POST, /warm/{job} takes DELETE, everything else GET, and so does /warm.",
    )
}

async fn healthz() -> &'static str {
    "ok\n"
}

/// A cache without its disk or its Redis still serves: how that stands is told, and changes nothing.
async fn readyz(State((readiness, details)): State<(Readiness, Describe)>) -> Response<Body> {
    let stage = readiness.stage();
    let status = if stage == Stage::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut detail = serde_json::json!({ "ready": stage == Stage::Ready, "stage": stage.name() });
    for (name, part) in details() {
        if let Some(part) = part {
            detail[name] = part;
        }
    }
    (status, [(header::CACHE_CONTROL, "no-store")], Json(detail)).into_response()
}

async fn render(State(rendered): State<RenderMetrics>) -> Response<Body> {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], rendered()).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    fn running() -> (SocketAddr, Readiness) {
        let readiness = Readiness::default();
        let server = Server::bind(&["127.0.0.1:0".parse().expect("address")]).expect("bind");
        let address = server.addresses().expect("addresses")[0];
        tokio::spawn(
            Admin::new(
                readiness.clone(),
                || [("disk", None), ("redis", None), ("expiring_certificates", None), ("acme", None), ("token_keys", None)],
                || "larder_up 1\n".to_owned(),
            )
            .serve(server),
        );
        (address, readiness)
    }

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("read");
        text
    }

    #[tokio::test]
    async fn healthz_answers_as_long_as_the_process_runs() {
        let (address, _) = running();
        assert!(fetch(address, "/healthz").await.starts_with("HTTP/1.1 200 OK\r\n"));
    }

    #[tokio::test]
    async fn readyz_says_no_before_the_start_is_over_and_while_draining() {
        let (address, readiness) = running();
        let answer = fetch(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with(r#"{"ready":false,"stage":"starting"}"#), "{answer}");
        readiness.set_ready();
        let answer = fetch(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(r#"{"ready":true,"stage":"ready"}"#), "{answer}");
        readiness.set_draining();
        let answer = fetch(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with(r#"{"ready":false,"stage":"draining"}"#), "{answer}");
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text() {
        let (address, _) = running();
        let answer = fetch(address, "/metrics").await;
        assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"), "{answer}");
        assert!(answer.ends_with("larder_up 1\n"), "{answer}");
    }

    #[tokio::test]
    async fn nothing_else_is_there() {
        let (address, _) = running();
        let answer = fetch(address, "/").await;
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("content-type: application/problem+json\r\n"), "{answer}");
    }
}
