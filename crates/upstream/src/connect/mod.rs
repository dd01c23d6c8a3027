//! Connections to an origin: one deadline over name, TCP and TLS.

mod failure;
mod stream;
mod times;
mod tls;
mod trace;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::rt::TokioIo;
use larder_config::UpstreamUrl;
use larder_tower::clock::monotonic;
use tower_service::Service;

use crate::observe::UpstreamStats;
use crate::options::UpstreamOptions;
pub(crate) use failure::{ConnectFailure, ConnectFailureKind};
pub(crate) use stream::{ConnectionMark, UpstreamStream};
use times::connected;
pub(crate) use times::with_connect_times;
pub(crate) use tls::tls_config;
use trace::{ConnectTrace, Resolver, Tcp};

/// What a connection over TLS offers its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// HTTP/1.1, which goes without saying.
    Http1,
    /// HTTP/2 or HTTP/1.1, as the server likes.
    Either,
}

/// Opens connections to one endpoint.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<Tcp>,
    timeout: Duration,
    stats: Arc<UpstreamStats>,
}

impl Connector {
    /// To the host of a URL, or to this address of it.
    pub(crate) fn new(
        (url, address): (&UpstreamUrl, Option<SocketAddr>),
        tls: &rustls::ClientConfig,
        options: &UpstreamOptions,
        stats: Arc<UpstreamStats>,
        offer: Offer,
    ) -> Self {
        let upstream = &options.config;
        let at = upstream.resolve.and_then(|resolve| resolve.server);
        let resolver = match address {
            Some(address) => Resolver::Known(address),
            // Before the first look-up in the background has its answer.
            None if at.is_some() || url.service().is_some() => Resolver::Own(options.look_up.clone(), url.clone(), at),
            None => Resolver::System(GaiResolver::new()),
        };
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        // A host that is gone acknowledges nothing, and without this the system retransmits for a quarter of an hour.
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(Duration::from_secs(60)));
        let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        if let Some(name) = &upstream.server_name {
            builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name.clone()));
        }
        let inner = match offer {
            Offer::Either => builder.enable_all_versions().wrap_connector(Tcp(tcp)),
            Offer::Http1 => builder.enable_http1().wrap_connector(Tcp(tcp)),
        };
        Self { inner, timeout: upstream.connect_timeout, stats }
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
        let began = monotonic();
        Box::pin(async move {
            match ConnectTrace::follow(Arc::clone(&trace), tokio::time::timeout(timeout, connecting)).await {
                Ok(Ok(stream)) => {
                    connected(|| (began, monotonic()));
                    Ok(TokioIo::new(UpstreamStream::new(stream, stats.open_connection())))
                }
                Ok(Err(error)) => Err(ConnectFailure::new(error).traced(trace)),
                Err(_elapsed) => Err(ConnectFailure::late(trace)),
            }
        })
    }
}
