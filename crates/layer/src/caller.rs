//! Who asks, and under which name: what a request does not prove by itself.

use std::net::IpAddr;

use http::{HeaderMap, Uri};
use larder_semantics::Target;

/// What is known about a request's origin besides the request. The default knows nothing.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// Scheme and authority that a trusted proxy vouches for. Without it they are the request's own: those of its URI, or else plain
    /// HTTP and `Host`.
    pub vouched: Option<Vouched>,
}

/// Scheme and authority of a target URI, from a trusted source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port as the client named them.
    pub authority: Box<str>,
}

impl Caller {
    /// The target URI of a request (RFC 9110 §7.1).
    pub(crate) fn target<'a>(&'a self, uri: &'a Uri, headers: &'a HeaderMap) -> Target<'a> {
        let host = || headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let (scheme, authority) = match &self.vouched {
            Some(vouched) => (vouched.scheme, &*vouched.authority),
            None => (uri.scheme_str().unwrap_or("http"), uri.authority().map_or_else(host, |authority| authority.as_str())),
        };
        Target { scheme, authority, path: uri.path(), query: uri.query() }
    }
}
