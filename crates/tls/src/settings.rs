//! What a listener is configured with.

use crate::{ClientCertificates, Pair, TicketKeys};

/// The lowest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2 (RFC 5246), and 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446) only.
    Tls13,
}

/// The TLS settings of a listener, files already read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Clients that name no host get the first. Empty only where certificates are still to come.
    pub pairs: Vec<Pair>,
    /// The lowest version.
    pub min_version: MinVersion,
    /// The certificates that clients have to show; `None`: they are not asked.
    pub clients: Option<ClientCertificates>,
    /// Keys of tickets that others open too; `None`: keys of this process alone, which rotate.
    pub ticket_keys: Option<TicketKeys>,
    /// The value of `Strict-Transport-Security` on answers.
    pub hsts: Option<Box<str>>,
    /// Whether HTTP/2 is offered (ALPN `h2`), beside `http/1.1`.
    pub http2: bool,
}
