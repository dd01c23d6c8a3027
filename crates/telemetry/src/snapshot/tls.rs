//! TLS on the public listeners.

use serde::Serialize;

use super::LabelledCount;

/// TLS on the public listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsSnapshot {
    /// Handshakes by how they ended, since the start.
    pub handshakes: Vec<LabelledCount>,
    /// Certificates that are served now.
    pub certificates: Vec<CertificateSnapshot>,
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct CertificateSnapshot {
    /// The address of its listener.
    pub listener: String,
    /// One of the names that it is for.
    pub name: String,
    /// Its end, in seconds since 1970.
    pub not_after_seconds: u64,
}
