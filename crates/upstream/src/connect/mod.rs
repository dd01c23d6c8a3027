//! Connections to an origin: one deadline over name, TCP and TLS.

mod failure;
mod stream;
mod tls;
mod trace;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::rt::TokioIo;
use larder_config::{Upstream, UpstreamUrl};
use larder_message::forward::HostPolicy;
use tower_service::Service;

use crate::observe::UpstreamStats;
use crate::options::UpstreamSetupError;
pub(crate) use failure::{ConnectFailure, ConnectFailureKind};
pub(crate) use stream::{ConnectionMark, UpstreamStream};
use tls::tls_config;
use trace::{ConnectTrace, Resolver, Tcp};

/// Opens connections to one endpoint.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<Tcp>,
    timeout: Duration,
    stats: Arc<UpstreamStats>,
}

impl Connector {
    pub(crate) fn new(url: &UpstreamUrl, upstream: &Upstream, stats: Arc<UpstreamStats>) -> Result<Self, UpstreamSetupError> {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        // A host that is gone acknowledges nothing, and without this the system retransmits for a quarter of an hour.
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(Duration::from_secs(60)));
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls_config(url, upstream)?).https_or_http();
        let inner = match upstream.host {
            HostPolicy::Upstream => builder.enable_all_versions().wrap_connector(Tcp(tcp)),
            HostPolicy::Preserve => builder.enable_http1().wrap_connector(Tcp(tcp)),
        };
        Ok(Self { inner, timeout: upstream.connect_timeout, stats })
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<UpstreamStream>;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<UpstreamStream>, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        self.inner.poll_ready(cx).map_err(ConnectFailure::new)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let trace = Arc::<ConnectTrace>::default();
        let connecting = self.inner.call(uri);
        let (timeout, stats) = (self.timeout, Arc::clone(&self.stats));
        Box::pin(async move {
            match ConnectTrace::follow(Arc::clone(&trace), tokio::time::timeout(timeout, connecting)).await {
                Ok(Ok(stream)) => Ok(TokioIo::new(UpstreamStream::new(stream, stats.open_connection()))),
                Ok(Err(error)) => Err(ConnectFailure::new(error).traced(trace)),
                Err(_elapsed) => Err(ConnectFailure::late(trace)),
            }
        })
    }
}
