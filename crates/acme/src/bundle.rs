//! A certificate with its key, as it is kept.

use std::path::Path;

use larder_tls::{Pair, PairError};

/// The key in PEM, and behind it the chain: one value, so that neither can be without the other.
#[derive(Clone)]
pub(crate) struct Bundle(String);

impl Bundle {
    pub(crate) fn new(key: &str, chain: &str) -> Self {
        Self(format!("{}\n{chain}", key.trim_end()))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The same, checked. `domain` is what it is called where it is wrong.
    pub(crate) fn pair(&self, domain: &str) -> Result<Pair, PairError> {
        pair(self.0.as_bytes(), domain)
    }
}

/// What a store has kept.
pub(crate) fn pair(text: &[u8], domain: &str) -> Result<Pair, PairError> {
    let named = Path::new(domain);
    Pair::from_pem((text, named), (text, named))
}
