//! The client and the name it asked for, which a request does not prove by itself.

use std::net::IpAddr;

use http::{HeaderMap, Uri};
use larder_semantics::Target;

/// Facts about a request besides itself. The default knows nothing.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// `http` or `https`, as the connection or a trusted proxy tells. Without it the request's own URI is believed, or plain HTTP
    /// assumed.
    pub scheme: Option<&'static str>,
    /// Host and port that a trusted proxy vouches for. Without it the request's own count: those of its URI, or else `Host`.
    pub authority: Option<Box<str>>,
}

impl Caller {
    /// The target URI of a request (RFC 9110 §7.1).
    pub(crate) fn target<'a>(&'a self, uri: &'a Uri, headers: &'a HeaderMap) -> Target<'a> {
        let host = || headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let scheme = self.scheme.or(uri.scheme_str()).unwrap_or("http");
        let own = || uri.authority().map_or_else(host, |authority| authority.as_str());
        let authority = self.authority.as_deref().unwrap_or_else(own);
        Target { scheme, authority, path: uri.path(), query: uri.query() }
    }
}
