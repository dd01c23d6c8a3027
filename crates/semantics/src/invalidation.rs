//! Which stored responses a write makes invalid (RFC 9111 §4.4).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::key::Target;
use crate::uri::{resolve, same_origin};

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

impl InvalidTarget {
    /// The same, borrowed: what [`crate::KeyRules::url_of`] takes.
    pub fn target(&self) -> Target<'_> {
        Target { scheme: &self.scheme, authority: &self.authority, path: &self.path, query: self.query.as_deref() }
    }
}

/// The URIs that a non-error answer to an unsafe method makes invalid: the target, and `Location` and `Content-Location` where they are of
/// the same origin. Empty for an error.
///
/// "A cache MUST invalidate the target URI when it receives a non-error status code in response to an unsafe request method (including
/// methods whose safety is unknown). A cache MAY invalidate other URIs [...]. In particular, the URI(s) in the Location and
/// Content-Location response header fields (if present) are candidates for invalidation; [...] However, a cache MUST NOT trigger an
/// invalidation under these conditions if the origin of the URI to be invalidated differs from that of the target URI". "A "non-error
/// response" is one with a 2xx (Successful) or 3xx (Redirection) status code." To them we count 101 (Switching Protocols): the write took place, and its
/// own answer follows in the other protocol (RFC 9110 §7.8).
pub fn invalidated(target: Target<'_>, status: StatusCode, response: &HeaderMap) -> Vec<InvalidTarget> {
    if !status.is_success() && !status.is_redirection() && status != StatusCode::SWITCHING_PROTOCOLS {
        return Vec::new();
    }
    let mut targets = vec![InvalidTarget {
        scheme: target.scheme.to_owned(),
        authority: target.authority.to_owned(),
        path: target.path.to_owned(),
        query: target.query.map(str::to_owned),
    }];
    for name in [LOCATION, CONTENT_LOCATION] {
        if let Some(found) = of_field(target, response, &name).filter(|found| !targets.contains(found)) {
            targets.push(found);
        }
    }
    targets
}

fn of_field(target: Target<'_>, response: &HeaderMap, name: &HeaderName) -> Option<InvalidTarget> {
    let reference = response.get(name)?.to_str().ok()?;
    resolve(target, reference).filter(|found| same_origin(target, found.target()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TARGET: Target<'static> = Target { scheme: "http", authority: "example.com:8080", path: "/a/b", query: Some("q") };

    fn found(status: u16, fields: &[(HeaderName, &'static str)]) -> Vec<String> {
        let headers = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let targets = invalidated(TARGET, StatusCode::from_u16(status).unwrap(), &headers);
        targets
            .iter()
            .map(|found| format!("{}{}", found.path, found.query.as_ref().map_or(String::new(), |query| format!("?{query}"))))
            .collect()
    }

    #[test]
    fn rfc9111_4_4_only_non_errors_invalidate() {
        for status in [101, 200, 201, 204, 303, 304, 399] {
            assert_eq!(found(status, &[]), ["/a/b?q"], "{status}");
        }
        for status in [400, 404, 500, 503] {
            assert!(found(status, &[(LOCATION, "/c")]).is_empty(), "{status}");
        }
    }

    #[test]
    fn rfc9111_4_4_location_and_content_location_of_the_same_origin() {
        assert_eq!(found(201, &[(LOCATION, "c?x"), (CONTENT_LOCATION, "http://EXAMPLE.com:8080/d")]), ["/a/b?q", "/a/c?x", "/d"]);
        assert_eq!(found(201, &[(LOCATION, "/a/b?q")]), ["/a/b?q"]);
    }

    #[test]
    fn rfc9111_4_4_never_of_another_origin() {
        for other in
            ["http://example.com/c", "https://example.com:8080/c", "//evil.example/c", "http://example.com:8080@evil/c", "mailto:a@b"]
        {
            assert_eq!(found(201, &[(LOCATION, other)]), ["/a/b?q"], "{other}");
        }
    }
}
