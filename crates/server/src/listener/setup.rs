//! Settings of one listener, where it differs from the others.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use larder_config::{ProxyProtocol, Redirect, ServerOptions};
use larder_tls::TlsState;

/// What answers handshakes in which an authority looks whether a host leads here (RFC 8737).
pub trait TlsChallenges: Debug + Send + Sync {
    /// What to end such a handshake with; `None` where nobody has ordered a certificate for this host.
    fn answer<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = Option<Arc<rustls::ServerConfig>>> + Send + 'a>>;
}

/// How one listener serves, where it differs from the others.
#[derive(Clone, Debug)]
pub struct ListenerSetup {
    /// Deadlines and limits of its own; `None`: the server's.
    pub options: Option<ServerOptions>,
    /// Its connections are counted apart, against `max_connections` of its own options.
    pub counted_apart: bool,
    /// Whether clients may speak HTTP/2: by ALPN under TLS, and by prior knowledge without (RFC 9113 §3).
    pub http2: bool,
    /// Certificates, where it speaks TLS. They may be replaced while it serves; connections keep what they began with.
    pub tls: Option<Arc<ArcSwap<TlsState>>>,
    /// What answers the authority that issues certificates.
    pub challenges: Option<Arc<dyn TlsChallenges>>,
    /// Requests are sent to `https`, but for those of ACME's challenges.
    pub redirect: Option<Redirect>,
    /// Which peers say for whom they speak.
    pub proxy_protocol: Option<Arc<ProxyProtocol>>,
}

impl Default for ListenerSetup {
    fn default() -> Self {
        Self { options: None, counted_apart: false, http2: true, tls: None, challenges: None, redirect: None, proxy_protocol: None }
    }
}
