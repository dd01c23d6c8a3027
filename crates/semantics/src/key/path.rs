//! The path of a key.

use http::Uri;
use http::uri::PathAndQuery;

use super::KeyRules;

/// How the path enters the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathCase {
    /// As it was sent.
    #[default]
    AsSent,
    /// In lower case (ASCII), for origins that ignore case. They get it so as well where their answer may be stored.
    Lower,
}

impl KeyRules {
    /// The URI with its path as the key has it, for a request whose answer may be stored: an origin that answers by the letters it gets must not
    /// answer everybody by those of one client. `None` where there is nothing to change.
    pub fn path_as_in_key(&self, uri: &Uri) -> Option<Uri> {
        if self.path == PathCase::AsSent || !uri.path().bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(uri.path().to_ascii_lowercase() + &query).ok()?);
        Uri::from_parts(parts).ok()
    }
}
