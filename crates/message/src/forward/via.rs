//! `Via` (RFC 9110 §7.6.3) and `CDN-Loop` (RFC 8586): through which gateways a message has come.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

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

/// As RFC 8586 has it: a field that no node may take away, for `Via` gets lost on many ways.
pub const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// The name of this gateway, and of every other Larder, in `Via` and `CDN-Loop`.
pub(super) const PSEUDONYM: &str = "larder";

/// Whether a request has been here before so often that it goes in a circle. One Larder may stand before another, so once is no circle.
pub fn loops(headers: &HeaderMap) -> bool {
    const PASSES: usize = 2;
    let members = |name| headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let ours = |name: &str| name.eq_ignore_ascii_case(PSEUDONYM);
    let via = members(&header::VIA).filter(|member| member.split_ascii_whitespace().nth(1).is_some_and(ours)).count();
    let cdn_loop = members(&CDN_LOOP).filter(|member| member.split(';').next().is_some_and(|id| ours(id.trim()))).count();
    via.max(cdn_loop) >= PASSES
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

    #[test]
    fn rfc8586_a_request_that_has_been_here_twice_goes_in_a_circle() {
        let circles = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            lines.iter().for_each(|(name, value)| _ = headers.append(*name, HeaderValue::from_static(value)));
            loops(&headers)
        };
        for lines in [
            &[("via", "1.1 larder, 1.1 larder")][..],
            &[("via", "1.1 larder"), ("via", "1.0 fred, HTTP/2 Larder (a comment)")],
            &[("cdn-loop", "larder, other; a=1, larder;v=2")],
            &[("cdn-loop", "larder"), ("cdn-loop", "larder")],
        ] {
            assert!(circles(lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[("via", "1.1 larder"), ("cdn-loop", "larder")],
            &[("via", "1.1 larder, 1.1 larder.example, larder 1.1")],
            &[("cdn-loop", "larder, larder.example, x-larder")],
        ] {
            assert!(!circles(lines), "{lines:?}");
        }
    }
}
