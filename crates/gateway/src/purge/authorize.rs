//! Authorization of requests by their tokens.

use http::{HeaderMap, StatusCode, header};

use super::Refused;
use crate::config::{Token, TokenScope};

/// Refuses a request without a token, and one whose token does not allow it.
pub(crate) fn authorize(tokens: &[Token], scope: TokenScope, headers: &HeaderMap) -> Result<(), Refused> {
    let Some(secret) = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes())) else {
        return Err(Refused::new(StatusCode::UNAUTHORIZED, "A token is needed: Authorization: Bearer TOKEN."));
    };
    let digest = blake3::hash(secret);
    // Every token is compared, and digests compare in constant time, so that the time tells nothing about which one it is; one may stand in several
    // sections.
    let (known, allowed) = tokens.iter().fold((false, false), |(known, allowed), token| {
        let shown = *token.digest() == digest;
        (known | shown, allowed | (shown & token.allows(scope)))
    });
    match (known, allowed) {
        (_, true) => Ok(()),
        (true, false) => Err(Refused::new(StatusCode::FORBIDDEN, "The token does not allow this.")),
        (false, false) => Err(Refused::new(StatusCode::UNAUTHORIZED, "The token is not known.")),
    }
}

/// "Bearer" is case-insensitive like every authentication scheme (RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, secret) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| secret.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_known() {
        let tokens = [Token::new("0123456789abcdef", &[TokenScope::Read])];
        let status = |shown: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, shown.parse().expect("a value"))]);
            authorize(&tokens, TokenScope::Read, &headers).err().map(|refused| refused.status.as_u16())
        };
        assert_eq!(status("Bearer 0123456789abcdef"), None);
        for shown in ["Bearer 0123456789abcde", "Bearer ", "Bearer 0123456789abcdef0"] {
            assert_eq!(status(shown), Some(401), "{shown}");
        }
    }
}
