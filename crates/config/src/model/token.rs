//! Tokens for a listener that other machines can reach.

use std::fmt;

/// The scope of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenScope {
    /// To see: `/metrics` and what tells about stored responses.
    Read,
    /// To purge, and to send events.
    Purge,
    /// Everything.
    Admin,
}

/// A secret that clients send as `Authorization: Bearer`. Only its digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    digest: blake3::Hash,
    scopes: Vec<TokenScope>,
}

impl Token {
    /// A token of these scopes, by its secret, of which only a hash is kept.
    pub fn new(secret: &str, scopes: &[TokenScope]) -> Self {
        Self { digest: blake3::hash(secret.as_bytes()), scopes: scopes.to_vec() }
    }

    /// The digest of the secret. Digests compare in constant time.
    pub fn digest(&self) -> &blake3::Hash {
        &self.digest
    }

    /// Whether its scopes include this one.
    pub fn allows(&self, scope: TokenScope) -> bool {
        self.scopes.iter().any(|own| *own == scope || *own == TokenScope::Admin)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_may_do_what_all_may() {
        let token = Token::new("0123456789abcdef", &[TokenScope::Admin]);
        assert!(token.allows(TokenScope::Read) && token.allows(TokenScope::Purge) && token.allows(TokenScope::Admin));
        let token = Token::new("0123456789abcdef", &[TokenScope::Purge]);
        assert!(!token.allows(TokenScope::Read) && token.allows(TokenScope::Purge) && !token.allows(TokenScope::Admin));
    }

    #[test]
    fn the_secret_does_not_show() {
        let token = Token::new("0123456789abcdef", &[TokenScope::Read]);
        assert_eq!(format!("{token:?}"), "Token { scopes: [Read], .. }");
    }
}
