//! Names the client and the target of a request to the origin, in the form of RFC 7239 and in that of `X-Forwarded-*`.

use std::net::IpAddr;

use http::Uri;
use http::header::{self, HeaderName};

use crate::client::trust::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};

/// Names client and target in both forms. No other claim goes on, so that a client cannot pose as another: origins read the first member of
/// such a list, or the last.
pub(super) fn introduce_client(
    (scheme, authority): (&str, &str),
    trail: &[IpAddr],
    peer: IpAddr,
    write: &mut impl FnMut(&HeaderName, &[u8]),
) {
    let (mut elements, mut addresses) = (Vec::with_capacity(128), Vec::with_capacity(64));
    for (index, address) in trail.iter().rev().chain([&peer]).enumerate() {
        let text = text_of(*address);
        let (open, close) = if address.is_ipv4() { ("", "") } else { ("\"[", "]\"") };
        let separator = if index == 0 { "" } else { ", " };
        extend(&mut elements, &[separator, "for=", open, &text, close]);
        if index == 0 {
            extend(&mut elements, &target_parameters(authority, scheme));
        }
        extend(&mut addresses, &[separator, &text]);
    }
    write(&header::FORWARDED, &elements);
    write(&X_FORWARDED_FOR, &addresses);
    name_target(authority, scheme, write);
}

/// Names the target of a request of Larder's own.
pub(super) fn introduce_target(uri: &Uri, authority: &str, write: &mut impl FnMut(&HeaderName, &[u8])) {
    let Some(scheme) = uri.scheme_str() else { return };
    let mut element = Vec::with_capacity(64);
    extend(&mut element, &target_parameters(authority, scheme));
    write(&header::FORWARDED, element.strip_prefix(b";").unwrap_or(&element));
    name_target(authority, scheme, write);
}

fn name_target(authority: &str, scheme: &str, write: &mut impl FnMut(&HeaderName, &[u8])) {
    write(&X_FORWARDED_PROTO, scheme.as_bytes());
    if !authority.is_empty() {
        write(&X_FORWARDED_HOST, authority.as_bytes());
    }
}

/// RFC 7239 §4; a host with a port is quoted, like an IPv6 address (§6).
fn target_parameters<'a>(authority: &'a str, scheme: &'a str) -> [&'a str; 5] {
    let (host, authority, end) = if authority.is_empty() { ("", "", "") } else { (";host=\"", authority, "\"") };
    [host, authority, end, ";proto=", scheme]
}

fn extend(text: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
}

/// As `Display` writes it, in a fraction of the time where it is an IPv4 address.
pub(super) fn text_of(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for octet in address.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let leading = usize::from(octet < 100) + usize::from(octet < 10);
        text.extend(digits[leading..].iter().map(|digit| char::from(b'0' + digit)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_everyone_writes_it() {
        for address in ["0.0.0.0", "9.10.99.100", "192.0.2.1", "255.255.255.255", "1.20.0.205", "2001:db8::1"] {
            assert_eq!(text_of(address.parse().expect("address")), address);
        }
    }
}
