//! Cookies that HTTP/2 splits over several fields.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// "If there are multiple Cookie header fields after decompression, these MUST be concatenated into a single octet string using the two-octet
/// delimiter of 0x3b, 0x20 (the ASCII string "; ") before being passed into a non-HTTP/2 context" (RFC 9113 §8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = match headers.get_all(COOKIE).iter().nth(1) {
        Some(_) => headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect(),
        None => return,
    };
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9113_8_2_3_cookie_crumbs_become_one_field() {
        let mut headers = HeaderMap::new();
        join_cookies(&mut headers);
        assert!(headers.is_empty());
        for (crumb, whole) in [("a=1", "a=1"), ("b=2", "a=1; b=2"), ("c=3; d=4", "a=1; b=2; c=3; d=4")] {
            headers.append(COOKIE, HeaderValue::from_static(crumb));
            join_cookies(&mut headers);
            assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), [whole]);
        }
    }
}
