//! Access to the admin listener.

pub(super) mod sessions;

use axum::http::{HeaderMap, StatusCode, Uri, header};

use crate::config::{Token, TokenScope};
use crate::purge::{Refused, authorize};
use crate::routing::host_of;

const WITHOUT_TOKENS: &str = "The configuration has no [[admin.tokens]]: where other machines reach it, only /healthz and /readyz answer.";

/// Decides about requests. On a loopback listener no token is needed, but requests that a web page in a local browser could send are refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// Whether only this machine can reach the listener.
    pub(crate) loopback: bool,
}

impl Access {
    /// Refuses a request that lacks the token it needs, or comes under a foreign name.
    pub(crate) fn check(self, tokens: &[Token], scope: TokenScope, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        match (self.loopback, tokens) {
            (true, _) => self.check_name(uri, headers),
            (false, []) => Err(Refused::new(StatusCode::FORBIDDEN, WITHOUT_TOKENS)),
            (false, _) => authorize(tokens, scope, headers),
        }
    }

    /// Refuses a request under a foreign name on a loopback listener. On a listener that others can reach, every name is allowed.
    pub(crate) fn check_name(self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        if !self.loopback || is_local(uri, headers) {
            return Ok(());
        }
        Err(Refused::new(StatusCode::FORBIDDEN, "Without a token, the admin listener answers under a loopback name only."))
    }
}

/// A page whose name was made to point to this machine (DNS rebinding) sends its own name: in `Host`, in `:authority`, or in the target.
fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => match headers.get(header::HOST).map(|host| host.to_str()) {
            Some(Ok(host)) => host,
            Some(Err(_)) => return false,
            None => return true,
        },
    };
    let name = host_of(host);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn with(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn status(access: Access, scope: TokenScope, headers: &HeaderMap) -> Option<u16> {
        let tokens = [Token::new(SECRET, &[TokenScope::Purge]), Token::new("another-0123456789", &[TokenScope::Admin])];
        access.check(&tokens, scope, &Uri::from_static("/"), headers).err().map(|refused| refused.status.as_u16())
    }

    #[test]
    fn others_need_a_token_that_allows_it() {
        let access = Access { loopback: false };
        let bearer = |value| with(header::AUTHORIZATION, value);
        assert_eq!(status(access, TokenScope::Purge, &HeaderMap::new()), Some(401));
        assert_eq!(status(access, TokenScope::Purge, &bearer("Basic 0123456789abcdef")), Some(401));
        assert_eq!(status(access, TokenScope::Purge, &bearer("Bearer")), Some(401));
        assert_eq!(status(access, TokenScope::Purge, &bearer("Bearer 0123456789abcdee")), Some(401));
        assert_eq!(status(access, TokenScope::Read, &bearer("Bearer 0123456789abcdef")), Some(403));
        assert_eq!(status(access, TokenScope::Purge, &bearer("bearer 0123456789abcdef")), None);
        assert_eq!(status(access, TokenScope::Read, &bearer("Bearer another-0123456789")), None);
    }

    #[test]
    fn without_tokens_others_may_do_nothing_whatever_they_show() {
        let check = |headers: &HeaderMap| Access { loopback: false }.check(&[], TokenScope::Read, &Uri::from_static("/"), headers);
        for headers in [HeaderMap::new(), with(header::AUTHORIZATION, "Bearer "), with(header::AUTHORIZATION, "Bearer 0123456789abcdef")] {
            assert_eq!(check(&headers).map_err(|refused| refused.status.as_u16()), Err(403), "{headers:?}");
        }
    }

    #[test]
    fn a_token_in_two_sections_may_do_what_both_say() {
        let tokens = [Token::new(SECRET, &[TokenScope::Purge]), Token::new(SECRET, &[TokenScope::Read])];
        let shown = with(header::AUTHORIZATION, "Bearer 0123456789abcdef");
        assert_eq!(authorize(&tokens, TokenScope::Purge, &shown), Ok(()));
        assert_eq!(authorize(&tokens, TokenScope::Read, &shown), Ok(()));
    }

    #[test]
    fn on_this_machine_none_is_needed_but_a_web_page_is_not_believed() {
        let access = Access { loopback: true };
        for host in ["localhost:8090", "127.0.0.1:8090", "[::1]:8090", "LOCALHOST", "10.0.0.1"] {
            assert_eq!(status(access, TokenScope::Purge, &with(header::HOST, host)), None, "{host}");
        }
        assert_eq!(status(access, TokenScope::Purge, &HeaderMap::new()), None);
        for host in ["evil.example", "evil.example:8090", "localhost.evil.example"] {
            assert_eq!(status(access, TokenScope::Purge, &with(header::HOST, host)), Some(403), "{host}");
            assert_eq!(status(access, TokenScope::Read, &with(header::HOST, host)), Some(403), "{host}");
        }
    }

    #[test]
    fn the_name_in_the_target_counts_as_one_in_host_does() {
        let refused = |loopback, uri: &str| {
            let uri = uri.parse().expect("a URI");
            Access { loopback }.check_name(&uri, &HeaderMap::new()).err().map(|refused| refused.status.as_u16())
        };
        for local in ["http://localhost:8090/readyz", "http://127.0.0.1/readyz", "http://[::1]:8090/readyz", "/readyz"] {
            assert_eq!(refused(true, local), None, "{local}");
        }
        assert_eq!(refused(true, "http://evil.example:8090/readyz"), Some(403));
        assert_eq!(refused(false, "http://evil.example:8090/readyz"), None, "where others can reach it, it has other names");
    }
}
