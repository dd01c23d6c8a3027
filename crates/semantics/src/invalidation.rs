//! Which stored responses a write makes invalid (RFC 9111 §4.4).

use http::{HeaderMap, StatusCode};

use crate::key::Target;

/// A URI to invalidate, of the same origin as the request's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTarget {
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port.
    pub authority: String,
    /// Path.
    pub path: String,
    /// Query without `?`.
    pub query: Option<String>,
}

/// The URIs that a non-error answer to an unsafe method makes invalid: the target, and `Location` and `Content-Location` where they are of
/// the same origin. Empty for an error.
pub fn invalidated(target: Target<'_>, status: StatusCode, response: &HeaderMap) -> Vec<InvalidTarget> {
    let _ = (target, status, response);
    Vec::new()
}

impl InvalidTarget {
    /// x
    pub fn target(&self) -> Target<'_> {
        Target { scheme: &self.scheme, authority: &self.authority, path: &self.path, query: self.query.as_deref() }
    }
}
