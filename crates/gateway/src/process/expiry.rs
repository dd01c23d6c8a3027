//! Says once for each certificate that it is about to expire: 30 days before, 7 days before, and when it has; and once for each list of revoked
//! client certificates that it has ended.

use std::collections::{HashMap, HashSet};

use larder_tls::{Urgency, days_left};
use tracing::{error, warn};

use crate::telemetry::snapshot::{CertificateSnapshot, RevocationSnapshot};

/// The warnings that have been logged.
#[derive(Debug, Default)]
pub(crate) struct ExpiryLog(HashMap<CertificateSnapshot, Urgency>);

/// The ends of lists that have been logged.
#[derive(Debug, Default)]
pub(crate) struct RevocationLog(HashSet<RevocationSnapshot>);

impl RevocationLog {
    /// Counts those that have ended as said: reading a configuration warns about them.
    pub(crate) fn warn_of(&mut self, lists: Vec<RevocationSnapshot>, now: u64) {
        self.0 = lists.into_iter().filter(|list| list.next_update_seconds <= now).collect();
    }

    /// Says which have ended since.
    pub(crate) fn tell(&mut self, lists: Vec<RevocationSnapshot>, now: u64) {
        for RevocationSnapshot { listener, .. } in self.newly_ended(lists, now) {
            error!("a list of revoked client certificates of {listener} has ended: clients of its authority are refused");
        }
    }

    fn newly_ended(&mut self, lists: Vec<RevocationSnapshot>, now: u64) -> Vec<RevocationSnapshot> {
        let before = std::mem::take(&mut self.0);
        self.warn_of(lists, now);
        self.0.difference(&before).cloned().collect()
    }
}

impl ExpiryLog {
    /// Counts these as said: reading a configuration warns about its certificates.
    pub(crate) fn warn_of(&mut self, certificates: Vec<CertificateSnapshot>, now: u64) {
        let urgency = |certificate: &CertificateSnapshot| Urgency::of(certificate.not_after_seconds, now);
        self.0 =
            certificates.into_iter().map(|certificate| (urgency(&certificate), certificate)).map(|(urgency, of)| (of, urgency)).collect();
    }

    /// Says what has become more urgent since.
    pub(crate) fn tell(&mut self, certificates: Vec<CertificateSnapshot>, now: u64) {
        for (certificate, urgency) in self.more_urgent(certificates, now) {
            let CertificateSnapshot { listener, name, not_after_seconds } = certificate;
            let days = days_left(not_after_seconds, now);
            match urgency {
                Urgency::None => {}
                Urgency::Month => warn!("the certificate for {name} on {listener} expires in {days} days"),
                Urgency::Week => error!("the certificate for {name} on {listener} expires in {days} days"),
                Urgency::Expired => error!("the certificate for {name} on {listener} has expired: clients refuse it"),
            }
        }
    }

    fn more_urgent(&mut self, certificates: Vec<CertificateSnapshot>, now: u64) -> Vec<(CertificateSnapshot, Urgency)> {
        let before = std::mem::take(&mut self.0);
        self.warn_of(certificates, now);
        let is_new = |(certificate, urgency): &(&CertificateSnapshot, &Urgency)| {
            **urgency > before.get(*certificate).copied().unwrap_or(Urgency::None)
        };
        self.0.iter().filter(is_new).map(|(certificate, urgency)| (certificate.clone(), *urgency)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn certificate() -> Vec<CertificateSnapshot> {
        vec![CertificateSnapshot { listener: "0.0.0.0:443".to_owned(), name: "a.example".to_owned(), not_after_seconds: 100 * DAY }]
    }

    #[test]
    fn each_step_towards_the_end_is_said_once() {
        let mut log = ExpiryLog::default();
        let mut said = |day: u64| log.more_urgent(certificate(), day * DAY).into_iter().map(|(_, urgency)| urgency).collect::<Vec<_>>();
        assert_eq!(said(0), []);
        assert_eq!(said(71), [Urgency::Month]);
        assert_eq!(said(80), []);
        assert_eq!(said(95), [Urgency::Week]);
        assert_eq!(said(99), []);
        assert_eq!(said(101), [Urgency::Expired]);
        assert_eq!(said(102), []);
    }

    #[test]
    fn the_end_of_a_list_of_revoked_certificates_is_said_once() {
        let lists = || vec![RevocationSnapshot { listener: "0.0.0.0:443".to_owned(), next_update_seconds: 100 * DAY }];
        let mut log = RevocationLog::default();
        let mut ended = |day: u64| log.newly_ended(lists(), day * DAY).len();
        assert_eq!([99, 100, 101].map(&mut ended), [0, 1, 0]);
        let mut log = RevocationLog::default();
        log.warn_of(lists(), 100 * DAY);
        assert_eq!(log.newly_ended(lists(), 101 * DAY).len(), 0, "`check` has said it");
    }

    #[test]
    fn a_warning_at_start_is_not_repeated() {
        let mut log = ExpiryLog::default();
        log.warn_of(certificate(), 71 * DAY);
        assert_eq!(log.more_urgent(certificate(), 72 * DAY), []);
        assert_eq!(log.more_urgent(Vec::new(), 72 * DAY), []);
    }
}
