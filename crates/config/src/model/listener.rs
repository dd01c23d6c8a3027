//! `[[listeners]]`: addresses with settings of their own.

use ipnet::IpNet;
use larder_tls::TlsSettings;

use super::{Listen, ReadFile, ServerOptions};

/// One of `[[listeners]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub listen: Listen,
    /// Who may connect, where it is a Unix socket.
    pub socket_file: SocketFile,
    /// Certificates; `None`: clear text.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is spoken: by ALPN under TLS, and by prior knowledge without.
    pub http2: bool,
    /// Requests are sent to `https`, but for those of ACME's challenges.
    pub redirect: Option<Redirect>,
    /// Which peers say for whom they speak.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Deadlines and limits: those of `[server]`, where the listener has none of its own.
    pub options: ServerOptions,
    /// `max_connections` is the listener's own, and its connections do not count against that of `[server]`.
    pub counted_apart: bool,
}

/// The file of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketFile {
    /// Its permissions.
    pub mode: u32,
    /// Its group; `None`: that of the process.
    pub group: Option<u32>,
}

impl Default for SocketFile {
    fn default() -> Self {
        Self { mode: 0o660, group: None }
    }
}

/// Where a listener sends clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The port of `https`; `None`: that of the first listener that speaks TLS, or 443.
    pub port: Option<u16>,
}

/// Peers that begin each connection with a PROXY header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// From where such a header is read, and believed. Never empty.
    pub from: Vec<IpNet>,
    /// Whether a connection from there without one is closed.
    pub required: bool,
}

/// The `tls` of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificates and options of its TLS. The files have been read.
    pub settings: TlsSettings,
    /// The files that were read.
    pub files: Vec<ReadFile>,
    /// Whether the certificates of `[acme]` are served too.
    pub acme: bool,
}

impl Listener {
    /// Whether a process that serves `self` needs a restart to serve `new`: only certificates are replaced while it serves.
    pub fn needs_restart_for(&self, new: &Listener) -> bool {
        self.tls.is_some() != new.tls.is_some() || Listener { tls: new.tls.clone(), ..self.clone() } != *new
    }
}
