//! Names the client and the target of a request to the origin, in the form of RFC 7239 and in that of `X-Forwarded-*`.

use std::net::IpAddr;

use http::Uri;
use http::header::{self, HeaderName};
use smallvec::SmallVec;

use crate::client::trust::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};

/// Names client and target in both forms. No other claim goes on, so that a client cannot pose as another: origins read the first member of
/// such a list, or the last.
pub(super) fn introduce_client(
    (scheme, authority): (&str, &str),
    trail: &[IpAddr],
    peer: IpAddr,
    write: &mut impl FnMut(&HeaderName, &[u8]),
) {
    let (mut elements, mut addresses) = (Text::<128>::new(), Text::<64>::new());
    for (index, address) in trail.iter().rev().chain([&peer]).enumerate() {
        let text = text_of(*address);
        let (open, close): (&[u8], &[u8]) = if address.is_ipv4() { (b"", b"") } else { (b"\"[", b"]\"") };
        let separator: &[u8] = if index == 0 { b"" } else { b", " };
        extend(&mut elements, &[separator, b"for=", open, &text, close]);
        if index == 0 {
            extend(&mut elements, &target_parameters(authority, scheme).map(str::as_bytes));
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
    let mut element = Text::<64>::new();
    extend(&mut element, &target_parameters(authority, scheme).map(str::as_bytes));
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

fn extend<const N: usize>(text: &mut Text<N>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| text.extend_from_slice(part));
}

/// Text that is on the heap only where it is longer than usual.
type Text<const N: usize> = SmallVec<[u8; N]>;

/// As `Display` writes it, in a fraction of the time where it is an IPv4 address.
pub(super) fn text_of(address: IpAddr) -> Text<64> {
    let IpAddr::V4(address) = address else { return Text::from_slice(address.to_string().as_bytes()) };
    let (mut text, mut length) = ([b'.'; 4 * b"255.".len()], 0);
    for octet in address.octets() {
        let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
        let zeros = usize::from(octet < 100) + usize::from(octet < 10);
        text[length..length + 3 - zeros].copy_from_slice(&digits[zeros..]);
        length += 4 - zeros;
    }
    Text::from_slice(&text[..length - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_everyone_writes_it() {
        for address in ["0.0.0.0", "9.10.99.100", "192.0.2.1", "255.255.255.255", "1.20.0.205", "2001:db8::1"] {
            assert_eq!(&*text_of(address.parse().expect("address")), address.as_bytes());
        }
    }
}
