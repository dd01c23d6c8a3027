//! The client and the name it asked for, which a request does not prove by itself.

use std::net::IpAddr;

use http::{HeaderMap, Uri};
use larder_semantics::Target;

/// Facts about a request besides itself. The default knows nothing. The tower service takes it from the request's extensions, where a layer
/// before it may have put it:
///
/// ```
/// # use std::net::SocketAddr;
/// # use http::Request;
/// # use larder_tower::EffectiveTarget;
/// fn with_effective_target<B>(mut request: Request<B>, peer: SocketAddr) -> Request<B> {
///     request.extensions_mut().insert(EffectiveTarget::default().with_client(peer.ip()).with_scheme("https"));
///     request
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EffectiveTarget {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// `http` or `https`, as the connection or a trusted proxy tells. Without it the request's own URI is believed, or plain HTTP
    /// assumed.
    pub scheme: Option<&'static str>,
    /// Host and port that a trusted proxy vouches for. Without it the request's own count: those of its URI, or else `Host`.
    pub authority: Option<Box<str>>,
}

impl EffectiveTarget {
    /// The same with the client's address.
    #[must_use]
    pub fn with_client(self, client: IpAddr) -> Self {
        Self { client: Some(client), ..self }
    }

    /// The same with the scheme: `http` or `https`.
    #[must_use]
    pub fn with_scheme(self, scheme: &'static str) -> Self {
        Self { scheme: Some(scheme), ..self }
    }

    /// The same with host and port.
    #[must_use]
    pub fn with_authority(self, authority: impl Into<Box<str>>) -> Self {
        Self { authority: Some(authority.into()), ..self }
    }

    /// The target URI of a request (RFC 9110 §7.1).
    pub(crate) fn target<'a>(&'a self, uri: &'a Uri, headers: &'a HeaderMap) -> Target<'a> {
        let host = || headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let scheme = self.scheme.or(uri.scheme_str()).unwrap_or("http");
        let own = || uri.authority().map_or_else(host, |authority| authority.as_str());
        let authority = self.authority.as_deref().unwrap_or_else(own);
        Target { scheme, authority, path: uri.path(), query: uri.query() }
    }
}
