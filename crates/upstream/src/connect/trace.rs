//! The resolver and the TCP connector, which say how far an attempt to connect has come.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioIo;
use larder_config::UpstreamUrl;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::error::Phase;
use crate::names::look_up::LookUp;

/// How far the making of one connection came. One deadline covers all steps, and the general client's connectors do not say in which step it
/// passed.
#[derive(Debug, Default)]
pub(super) struct ConnectTrace(Mutex<(Phase, Vec<SocketAddr>)>);

tokio::task_local! {
    static TRACE: Arc<ConnectTrace>;
}

impl ConnectTrace {
    fn lock(&self) -> MutexGuard<'_, (Phase, Vec<SocketAddr>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows one attempt to connect.
    pub(super) async fn follow<T>(trace: Arc<Self>, connecting: impl Future<Output = T>) -> T {
        TRACE.scope(trace, connecting).await
    }

    /// Notes a step of the connection that is being made.
    fn at(phase: Phase) {
        let _ = TRACE.try_with(|trace| trace.lock().0 = phase);
    }

    /// The step that was reached.
    pub(super) fn phase(&self) -> Phase {
        self.lock().0
    }

    /// The addresses that the name has.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.lock().1.clone()
    }
}

/// A resolver with an error that can be recognised.
#[derive(Clone)]
pub(super) enum Resolver {
    /// The system's.
    System(GaiResolver),
    /// Of a name that was looked up already.
    Known(SocketAddr),
    /// The URL's name, at this name server.
    Own(LookUp, UpstreamUrl, Option<SocketAddr>),
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct DnsFailure(io::Error);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = DnsFailure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DnsFailure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DnsFailure>> {
        match self {
            Self::System(resolver) => resolver.poll_ready(cx).map_err(DnsFailure),
            Self::Known(_) | Self::Own(..) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let mut resolver = self.clone();
        Box::pin(async move {
            ConnectTrace::at(Phase::Dns);
            // The connector puts the URL's port in place of 0.
            let addresses: Vec<SocketAddr> = match &mut resolver {
                Self::System(resolver) => resolver.call(name).await.map_err(DnsFailure)?.collect(),
                Self::Known(address) => vec![*address],
                Self::Own(look_up, url, at) => {
                    let mut found: Vec<_> = look_up.servers(url, *at).await.map_err(DnsFailure)?.servers.into_iter().collect();
                    found.sort_by_key(|found| found.is_backup);
                    found.into_iter().map(|found| found.address).collect()
                }
            };
            let _ = TRACE.try_with(|trace| *trace.lock() = (Phase::Connect, addresses.clone()));
            Ok(addresses.into_iter())
        })
    }
}

/// A TCP connector that says when it is done: what comes after it is TLS.
#[derive(Clone)]
pub(super) struct Tcp(pub(super) HttpConnector<Resolver>);

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = <HttpConnector<Resolver> as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let stream = connecting.await?;
            ConnectTrace::at(Phase::Tls);
            Ok(stream)
        })
    }
}
