//! `Via` (RFC 9110 §7.6.3).

use http::{HeaderMap, HeaderValue, Version, header};

/// Adds this gateway to `Via`, with the protocol version the message was received with. A line of its own is a list member like any
/// other, so that what earlier hops wrote stays as it is.
pub(super) fn append(headers: &mut HeaderMap, received: Version) {
    headers.append(header::VIA, HeaderValue::from_static(member(received)));
}

pub(super) fn member(received: Version) -> &'static str {
    match received {
        Version::HTTP_09 => "0.9 larder",
        Version::HTTP_10 => "1.0 larder",
        Version::HTTP_2 => "2 larder",
        Version::HTTP_3 => "3 larder",
        _ => "1.1 larder",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_7_6_3_via_keeps_earlier_hops_and_names_the_received_version() {
        let mut headers = HeaderMap::new();
        headers.insert(header::VIA, HeaderValue::from_static("1.0 fred"));
        append(&mut headers, Version::HTTP_2);
        let members: Vec<_> = headers.get_all(header::VIA).iter().collect();
        assert_eq!(members, ["1.0 fred", "2 larder"]);
    }
}
