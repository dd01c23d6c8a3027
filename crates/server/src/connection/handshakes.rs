//! Outcomes of TLS handshakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeOutcome {
    /// With a certificate and a signature.
    Full,
    /// By an earlier session, which costs a fraction of a full one.
    Resumed,
    /// The client asked for a host that no certificate is for.
    UnknownName,
    /// The client spoke in clear text.
    ClearText,
    /// It was not done within the time of a head.
    Late,
    /// An authority asked for a proof that a host leads here, and got it.
    Challenge,
    /// In any other way: the client left, broke the protocol, or does not trust the certificate.
    Failed,
}

impl HandshakeOutcome {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Full, "full"),
        (Self::Resumed, "resumed"),
        (Self::UnknownName, "unknown_name"),
        (Self::ClearText, "clear_text"),
        (Self::Late, "late"),
        (Self::Challenge, "challenge"),
        (Self::Failed, "failed"),
    ];
}

/// Counts TLS handshakes by how they ended.
#[derive(Clone, Debug, Default)]
pub struct Handshakes(Arc<[AtomicU64; HandshakeOutcome::ALL.len()]>);

impl Handshakes {
    pub(crate) fn count(&self, outcome: HandshakeOutcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Every outcome with its count.
    pub fn by_outcome(&self) -> impl Iterator<Item = (&'static str, u64)> {
        HandshakeOutcome::ALL.into_iter().map(|(outcome, name)| (name, self.0[outcome as usize].load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_count_of_its_own() {
        let handshakes = Handshakes::default();
        for (times, (outcome, _)) in HandshakeOutcome::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| handshakes.count(outcome));
        }
        assert_eq!(handshakes.by_outcome().map(|(_, count)| count).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
    }
}
