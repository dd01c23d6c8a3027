//! TLS on the public listeners.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::{Families, labelled};
use crate::snapshot::TlsSnapshot;

pub(super) fn encode(tls: &TlsSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let handshakes = labelled("outcome", &tls.handshakes);
    families.counters("tls_handshakes", "TLS handshakes with clients, by how they ended.", handshakes)?;
    let certificates = tls.certificates.iter().map(|certificate| {
        let labels = [("listener", certificate.listener.as_str()), ("name", certificate.name.as_str())];
        (labels, certificate.not_after_seconds)
    });
    let help = "When a certificate expires, in seconds since 1970.";
    families.gauges("tls_certificate_not_after", help, Some(&Unit::Seconds), certificates)
}
