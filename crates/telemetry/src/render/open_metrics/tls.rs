//! TLS on the public listeners.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::registry::Unit;

use super::families::{Families, labelled};
use crate::snapshot::{AcmeSnapshot, TlsSnapshot};

pub(super) fn encode(tls: &TlsSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let handshakes = labelled("outcome", &tls.handshakes);
    families.counters("tls_handshakes", "TLS handshakes with clients, by how they ended.", handshakes)?;
    // Certificates of several kinds of key for one name are one series: the first that expires tells.
    let mut certificates = BTreeMap::new();
    for certificate in &tls.certificates {
        let first = certificates.entry((certificate.listener.as_str(), certificate.name.as_str())).or_insert(certificate.not_after_seconds);
        *first = certificate.not_after_seconds.min(*first);
    }
    let certificates = certificates.into_iter().map(|((listener, name), not_after)| ([("listener", listener), ("name", name)], not_after));
    let help = "When a certificate expires, in seconds since 1970.";
    families.gauges("tls_certificate_not_after", help, Some(&Unit::Seconds), certificates)?;
    if !tls.revocations.is_empty() {
        let lists = tls.revocations.iter().map(|list| ([("listener", list.listener.as_str())], list.next_update_seconds));
        let help = "When the first list of revoked client certificates of a listener ends, in seconds since 1970.";
        families.gauges("tls_revocations_next_update", help, Some(&Unit::Seconds), lists)?;
    }
    tls.acme.iter().try_for_each(|acme| encode_acme(acme, families))
}

fn encode_acme(acme: &AcmeSnapshot, families: &mut Families<'_, '_>) -> fmt::Result {
    let help = "Certificates ordered from the authority, by how that ended.";
    families.counters("acme_orders", help, labelled("outcome", &acme.orders))?;
    let failures = acme.domains.iter().map(|domain| ([("domain", domain.domain.as_str())], domain.failures));
    let help = "Orders that have failed since the domain's last certificate.";
    families.gauges("acme_failures", help, None, failures)?;
    let next = acme.domains.iter().map(|domain| ([("domain", domain.domain.as_str())], domain.next_order_seconds));
    let help = "When the domain's next certificate is ordered, in seconds since 1970.";
    families.gauges("acme_next_order", help, Some(&Unit::Seconds), next)
}
