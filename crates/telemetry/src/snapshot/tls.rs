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
    /// Lists of revoked client certificates that are looked at now.
    pub revocations: Vec<RevocationSnapshot>,
    /// Certificates from an authority, where the configuration names one.
    pub acme: Option<AcmeSnapshot>,
}

/// Certificates from an authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AcmeSnapshot {
    /// Orders since the start, by how they ended.
    pub orders: Vec<LabelledCount>,
    /// The domains that they are for.
    pub domains: Vec<AcmeDomain>,
}

/// One domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AcmeDomain {
    /// Its name.
    pub domain: String,
    /// Orders that have failed since its last certificate.
    pub failures: u64,
    /// When the next is ordered, in seconds since 1970.
    pub next_order_seconds: u64,
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

/// The lists of revoked client certificates of one listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct RevocationSnapshot {
    /// The address of the listener.
    pub listener: String,
    /// When the first of them ends, in seconds since 1970.
    pub next_update_seconds: u64,
}
