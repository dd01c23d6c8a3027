//! The names that a certificate is for.

use std::cmp::Ordering;
use std::net::IpAddr;

/// Names and addresses of one certificate, in the order in which they are searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Lower case, sorted.
    exact: Vec<Box<str>>,
    /// The part after `*.`, lower case, sorted.
    wildcard: Vec<Box<str>>,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// From the subject's alternative names.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>, addresses: Vec<IpAddr>) -> Self {
        let mut all = Self { addresses, ..Self::default() };
        for name in names {
            let name = name.to_ascii_lowercase();
            match name.strip_prefix("*.") {
                Some(suffix) => all.wildcard.push(suffix.into()),
                None => all.exact.push(name.into()),
            }
        }
        all.exact.sort_unstable();
        all.wildcard.sort_unstable();
        all
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty() && self.addresses.is_empty()
    }

    /// The names without those that begin with `*.`.
    pub(crate) fn exact(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(|name| &**name)
    }

    /// The part after `*.` in those that begin so.
    pub(crate) fn wildcard(&self) -> impl Iterator<Item = &str> {
        self.wildcard.iter().map(|name| &**name)
    }

    /// One of the names, to tell the certificate from others.
    pub fn first(&self) -> Option<String> {
        let exact = self.exact.first().map(|name| name.to_string());
        exact.or_else(|| self.wildcard.first().map(|name| format!("*.{name}"))).or_else(|| self.addresses.first().map(IpAddr::to_string))
    }

    /// Whether the certificate is for this host, as RFC 9525 §6 compares: names without case, `*` for the whole left-most label and no more,
    /// addresses among themselves. IPv6 may have its brackets; a final dot means the same name.
    pub fn cover(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        if let Some(address) = address(host) {
            return self.addresses.contains(&address);
        }
        let after_first_label = || host.split_once('.').map(|(_, suffix)| suffix);
        contains(&self.exact, host)
            || (!self.wildcard.is_empty() && after_first_label().is_some_and(|suffix| contains(&self.wildcard, suffix)))
    }
}

/// Whether a host is an address, IPv6 with its brackets or without.
pub fn is_address(host: &str) -> bool {
    address(host).is_some()
}

/// The address that a host is, if it is one.
fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // Most hosts are names, and names end in a letter.
    bare.ends_with(|last: char| last.is_ascii_hexdigit()).then(|| bare.parse().ok()).flatten()
}

fn contains(sorted: &[Box<str>], name: &str) -> bool {
    sorted.binary_search_by(|known| without_case(known, name)).is_ok()
}

/// Compares with a name that may have upper-case letters.
fn without_case(known: &str, name: &str) -> Ordering {
    known.bytes().cmp(name.bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9525_6_3_a_wildcard_stands_for_one_whole_label() {
        let names = Names::new(["*.Example.com", "b.example", "a.example"], vec!["192.0.2.1".parse().unwrap(), "::1".parse().unwrap()]);
        for host in ["a.example", "B.Example", "a.example.", "x.example.com", "X.EXAMPLE.COM", "192.0.2.1", "[::1]", "::1"] {
            assert!(names.cover(host), "{host}");
        }
        for host in ["example.com", "a.b.example.com", ".example.com.x", "c.example", "192.0.2.2", "[::2]", "", "example"] {
            assert!(!names.cover(host), "{host}");
        }
    }

    #[test]
    fn no_names_cover_nothing() {
        assert!(Names::default().is_empty() && !Names::default().cover("a"));
        assert_eq!(Names::new(["*.b", "a"], Vec::new()).first().as_deref(), Some("a"));
        assert_eq!(Names::new(["*.b"], Vec::new()).first().as_deref(), Some("*.b"));
    }
}
