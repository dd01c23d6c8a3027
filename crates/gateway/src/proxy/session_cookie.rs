//! The cookie of the dashboard's sessions, which no origin may see.

use http::HeaderMap;
use http::header::COOKIE;
use larder_semantics::strip_cookies;

/// The cookie's name.
pub(crate) const SESSION_COOKIE: &str = "larder_session";

/// Takes it out of a request on a public listener. Cookies are not kept apart by port (RFC 6265 §8.5), so a browser that is signed in on the admin
/// listener sends it to the public ones of the same host, too; an origin that got it could do what its token allows.
pub(super) fn take_session_cookie(headers: &mut HeaderMap) {
    // A request has so few fields that looking at each name is cheaper than hashing the one that is wanted.
    if headers.keys().any(|name| *name == COOKIE) {
        strip_cookies(headers, |name| name == SESSION_COOKIE.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn rfc6265_8_5_the_cookie_of_a_session_is_taken_out_of_every_line_and_no_other_cookie_is() {
        for (lines, left) in [
            (&["larder_session=0f3a"][..], &[][..]),
            (&["a=b; larder_session=0f3a;c=d"], &["a=b; c=d"]),
            (&["a=b", " larder_session = 0f3a", "c=d"], &["a=b; c=d"]),
            (&["larder_session=1; larder_session=2"], &[]),
            (
                &["larder_sessions=1;a;  Larder_session=2", "b=larder_session=3"],
                &["larder_sessions=1;a;  Larder_session=2", "b=larder_session=3"],
            ),
            (&[], &[]),
        ] {
            let line = |line: &&'static str| (COOKIE, HeaderValue::from_static(line));
            let mut headers = HeaderMap::new();
            lines.iter().map(line).for_each(|(name, line)| _ = headers.append(name, line));
            take_session_cookie(&mut headers);
            assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), left, "{lines:?}");
        }
    }
}
