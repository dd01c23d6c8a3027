//! `[auth.jwt]`: tokens whose claims tell clients apart.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use larder_auth::TokenRules;
use larder_tls::Authorities;

use crate::model::ReadFile;

/// `[auth.jwt]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtAuth {
    /// Where the issuer's keys are.
    pub keys: JwtKeys,
    /// What a token has to say to be believed.
    pub rules: TokenRules,
    /// Tokens that are remembered, so that a request with one of them costs no signature.
    pub max_tokens: usize,
    /// The files that it was read from.
    pub files: Vec<ReadFile>,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// In a file, which was read and checked.
    Document(Arc<[u8]>),
    /// At a URL.
    Url(JwksUrl),
}

/// A URL that keys are fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl {
    /// `http` or `https`.
    pub url: Uri,
    /// Who issues its certificate; `None`: one that the system knows.
    pub authorities: Option<Authorities>,
    /// The time between two fetches.
    pub refresh: Duration,
    /// The least time between two fetches, however many tokens name a key that is not known.
    pub min_refresh: Duration,
}
