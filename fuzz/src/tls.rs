//! Targets of `larder-tls`: certificates and lists of revoked ones, in DER.

use larder_tls::fuzzing::{end_of_list, subject};
use larder_tls::{Facts, is_address};

/// Every target of this crate.
pub const TARGETS: &[super::FuzzTarget] = &[("certificates", certificates), ("revocation_lists", revocation_lists)];

/// The last second that a certificate can name (RFC 5280 §4.1.2.5): the end of the year 9999, and what months and hours that are none may add.
const LAST_SECOND: u64 = 260_000_000_000;

/// A certificate that is read has a subject, ends at a time that there is, and is for the name that it is told by. What comes behind it is not
/// looked at.
pub fn certificates(data: &[u8]) {
    let Some(facts) = Facts::read(data) else { return };
    assert_eq!(Facts::read(&[data, b"\x30\x00"].concat()).as_ref(), Some(&facts));
    assert!(subject(data).is_some_and(|subject| subject.len() < data.len()));
    assert!(facts.not_before < LAST_SECOND && facts.not_after < LAST_SECOND, "{facts:?}");
    assert_eq!(facts.names.first().is_none(), facts.names.is_empty());
    // A name that is an address, or that ends in a dot, is one that no host is compared with.
    if let Some(name) = facts.names.first().filter(|name| !is_address(name) && !name.ends_with('.')) {
        let host = name.strip_prefix("*.").map_or(name.clone(), |suffix| format!("a.{suffix}"));
        assert!(facts.names.cover(&host) || is_address(&host), "{name:?} of {facts:?}");
    }
}

/// A list that is read ends at a time that there is, whatever comes behind it.
pub fn revocation_lists(data: &[u8]) {
    let Some(end) = end_of_list(data) else { return };
    assert_eq!(end_of_list(&[data, b"\x30\x00"].concat()), Some(end));
    assert!(end < LAST_SECOND, "{end}");
}
