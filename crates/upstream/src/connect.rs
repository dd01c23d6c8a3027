//! Connections to an origin: one deadline over name, TCP and TLS; counted while open; and marked, so that a failure on a reused
//! connection can be told from one on a fresh connection.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use larder_tower::BoxError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

use super::error::{UpstreamError, find};
use super::observe::{InFlight, UpstreamStats};
use super::options::{UpstreamOptions, UpstreamSetupError};
use larder_message::forward::HostPolicy;

/// Opens connections for one upstream.
#[derive(Clone)]
pub(super) struct Connector {
    inner: HttpsConnector<Tcp>,
    timeout: Duration,
    stats: Arc<UpstreamStats>,
}

impl Connector {
    pub(super) fn new(options: &UpstreamOptions, stats: Arc<UpstreamStats>) -> Result<Self, UpstreamSetupError> {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        // What is sent to a host that is gone is not acknowledged, and without this the system goes on trying for a quarter of an hour.
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(Duration::from_secs(60)));
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls_config(options)?).https_or_http();
        let inner = match options.config.host {
            HostPolicy::Upstream => builder.enable_all_versions().wrap_connector(Tcp(tcp)),
            HostPolicy::Preserve => builder.enable_http1().wrap_connector(Tcp(tcp)),
        };
        Ok(Self { inner, timeout: options.config.connect_timeout, stats })
    }
}

/// The system's certificates are read only where they are needed: reading them takes long, and a small container may have none.
fn tls_config(options: &UpstreamOptions) -> Result<rustls::ClientConfig, UpstreamSetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = if !options.config.url.is_https() {
        builder.with_root_certificates(rustls::RootCertStore::empty())
    } else if let Some(path) = &options.config.ca_file {
        let failed = |reason: String| UpstreamSetupError::CaFile { path: path.clone(), reason };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(failed("no certificate in it".to_owned()));
        }
        builder.with_root_certificates(roots)
    } else {
        builder.with_native_roots().map_err(|error| UpstreamSetupError::NativeRoots(error.to_string()))?
    };
    Ok(builder.with_no_client_auth())
}

impl Service<Uri> for Connector {
    type Response = TokioIo<UpstreamStream>;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<UpstreamStream>, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        self.inner.poll_ready(cx).map_err(ConnectFailure::new)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let way = Arc::<Way>::default();
        let connecting = self.inner.call(uri);
        let (timeout, stats) = (self.timeout, Arc::clone(&self.stats));
        Box::pin(async move {
            match WAY.scope(Arc::clone(&way), tokio::time::timeout(timeout, connecting)).await {
                Ok(Ok(stream)) => {
                    let (stream, mark) = (TokioIo::new(stream), ConnectionMark::default());
                    Ok(TokioIo::new(UpstreamStream { stream, mark, _open: stats.open_connection() }))
                }
                Ok(Err(error)) => Err(ConnectFailure { way, ..ConnectFailure::new(error) }),
                Err(_elapsed) => Err(ConnectFailure { kind: ConnectFailureKind::Timeout, source: "deadline passed".into(), way }),
            }
        })
    }
}

/// The steps to a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Looking up the name.
    Dns,
    /// The TCP handshake.
    #[default]
    Connect,
    /// The TLS handshake.
    Tls,
}

impl Phase {
    /// For the log.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "DNS",
            Self::Connect => "connect",
            Self::Tls => "TLS",
        }
    }
}

/// How far the making of one connection came. One deadline is over all of it, and the general client's connectors do not say where it
/// passed.
#[derive(Debug, Default)]
struct Way(Mutex<(Phase, Vec<SocketAddr>)>);

tokio::task_local! {
    static WAY: Arc<Way>;
}

impl Way {
    fn lock(&self) -> MutexGuard<'_, (Phase, Vec<SocketAddr>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a step of the connection that is being made.
    fn at(phase: Phase) {
        let _ = WAY.try_with(|way| way.lock().0 = phase);
    }
}

/// Why no connection came about.
#[derive(Debug)]
pub(super) struct ConnectFailure {
    kind: ConnectFailureKind,
    source: BoxError,
    way: Arc<Way>,
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.way.lock().1 {
            [] => f.write_str("no connection"),
            addresses => write!(f, "no connection to {}", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Error for ConnectFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectFailureKind {
    Dns,
    Refused,
    Timeout,
    Unroutable,
    Tls,
    Certificate,
    Other,
}

impl ConnectFailure {
    fn new(source: BoxError) -> Self {
        Self { kind: ConnectFailureKind::of(&source), source, way: Arc::default() }
    }

    pub(super) fn kind(&self) -> ConnectFailureKind {
        self.kind
    }

    pub(super) fn phase(&self) -> Phase {
        self.way.lock().0
    }
}

impl ConnectFailureKind {
    fn of(error: &BoxError) -> Self {
        if find::<DnsFailure>(&**error).is_some() {
            return Self::Dns;
        }
        match find::<rustls::Error>(&**error) {
            Some(rustls::Error::InvalidCertificate(_)) => return Self::Certificate,
            Some(_) => return Self::Tls,
            None => {}
        }
        match find::<io::Error>(&**error).map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => Self::Refused,
            Some(io::ErrorKind::TimedOut) => Self::Timeout,
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => Self::Unroutable,
            _ => Self::Other,
        }
    }

    pub(super) fn error(self, phase: Phase, source: BoxError) -> UpstreamError {
        match self {
            Self::Dns => UpstreamError::Dns(source),
            Self::Refused => UpstreamError::Refused(source),
            Self::Timeout => UpstreamError::ConnectTimeout(phase),
            Self::Unroutable => UpstreamError::Unroutable(source),
            Self::Tls => UpstreamError::Tls(source),
            Self::Certificate => UpstreamError::Certificate(source),
            Self::Other => UpstreamError::Unavailable(source),
        }
    }
}

/// The system's resolver, with an error that can be recognised.
#[derive(Clone)]
struct Resolver(GaiResolver);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct DnsFailure(io::Error);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = DnsFailure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DnsFailure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DnsFailure>> {
        self.0.poll_ready(cx).map_err(DnsFailure)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let looking_up = self.0.call(name);
        Box::pin(async move {
            Way::at(Phase::Dns);
            let addresses: Vec<SocketAddr> = looking_up.await.map_err(DnsFailure)?.collect();
            let _ = WAY.try_with(|way| *way.lock() = (Phase::Connect, addresses.clone()));
            Ok(addresses.into_iter())
        })
    }
}

/// A TCP connector that says when it is done: what comes after it is TLS.
#[derive(Clone)]
struct Tcp(HttpConnector<Resolver>);

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
            Way::at(Phase::Tls);
            Ok(stream)
        })
    }
}

/// What is remembered of one of the general client's connections for the sake of the one safe retry.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionMark(Arc<Marks>);

#[derive(Debug, Default)]
struct Marks {
    answered: AtomicBool,
    silent: AtomicBool,
}

impl ConnectionMark {
    /// A response came on it: it is a reused connection from now on.
    pub(super) fn answered(&self) {
        self.0.answered.store(true, Ordering::Relaxed);
    }

    /// Whether a response has come on it.
    pub(super) fn has_answered(&self) -> bool {
        self.0.answered.load(Ordering::Relaxed)
    }

    /// Whether not a single byte came since the last write.
    pub(super) fn is_silent(&self) -> bool {
        self.0.silent.load(Ordering::Relaxed)
    }

    /// Whether it had answered before, and then not with a single byte since the last write.
    pub(super) fn died_idle(&self) -> bool {
        self.has_answered() && self.is_silent()
    }
}

/// An open connection to an origin.
pub(super) struct UpstreamStream {
    stream: TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>,
    mark: ConnectionMark,
    _open: InFlight,
}

impl UpstreamStream {
    pub(super) fn mark(&self) -> ConnectionMark {
        self.mark.clone()
    }
}

impl Connection for UpstreamStream {
    fn connected(&self) -> Connected {
        self.stream.inner().connected().extra(self.mark.clone())
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.mark.0.silent.store(false, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.mark.0.silent.store(true, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.mark.0.silent.store(true, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
