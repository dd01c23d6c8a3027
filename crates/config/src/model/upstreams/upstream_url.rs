//! The URL of an upstream. This is its only parser: what connects to origins takes the parsed form.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};

/// An origin's base URL: scheme, authority, and a path that is put before the path of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    scheme: Scheme,
    authority: Authority,
    base_path: String,
}

/// Why a text is not the URL of an upstream. The message never quotes the URL: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidUpstreamUrl {
    /// It does not begin with a scheme.
    NoScheme,
    /// Its scheme is neither `http` nor `https`.
    Scheme,
    /// It contains a user name or password.
    Userinfo,
    /// It contains a query or a fragment.
    Query,
    /// Its port is not between 1 and 65535.
    Port,
    /// It is not a URL with a host.
    NotAUrl,
}

impl UpstreamUrl {
    /// `http` or `https`.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Whether connections are encrypted.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Host and, where the URL names one, port. Never userinfo.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The address that it names; `None` where it names a host.
    pub fn address(&self) -> Option<IpAddr> {
        self.authority.host().trim_matches(['[', ']']).parse().ok()
    }

    /// The service whose records (SRV, RFC 2782) name servers and ports, where the host is one: it begins with an underscore, as `_http._tcp.api.example`.
    pub fn service(&self) -> Option<&str> {
        Some(self.authority.host()).filter(|host| host.starts_with('_'))
    }

    /// The domain that a service is of; `None` where the host is none, or is not of that form.
    pub fn service_domain(&self) -> Option<&str> {
        let (_service, rest) = self.service()?.split_once('.')?;
        let (protocol, domain) = rest.split_once('.')?;
        Some(domain).filter(|domain| protocol.starts_with('_') && !domain.is_empty())
    }

    /// Empty, or begins with a slash and does not end in one.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }
}

impl FromStr for UpstreamUrl {
    type Err = InvalidUpstreamUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUpstreamUrl> {
        let (scheme, rest) = split_scheme(text)?;
        if rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
            return Err(InvalidUpstreamUrl::Userinfo);
        }
        if text.contains(['?', '#']) {
            return Err(InvalidUpstreamUrl::Query);
        }
        let uri: Uri = text.parse().map_err(|_| InvalidUpstreamUrl::NotAUrl)?;
        let authority = uri.authority().cloned().filter(|authority| !authority.host().is_empty()).ok_or(InvalidUpstreamUrl::NotAUrl)?;
        // `http` accepts any digits as a port.
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        if !port.is_empty() && port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
            return Err(InvalidUpstreamUrl::Port);
        }
        Ok(Self { scheme, authority, base_path: uri.path().trim_end_matches('/').to_owned() })
    }
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), InvalidUpstreamUrl> {
    let (scheme, rest) = text.split_once("://").ok_or(InvalidUpstreamUrl::NoScheme)?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((Scheme::HTTP, rest)),
        "https" => Ok((Scheme::HTTPS, rest)),
        _ => Err(InvalidUpstreamUrl::Scheme),
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.base_path)
    }
}

impl InvalidUpstreamUrl {
    /// A remedy.
    pub fn hint(self) -> &'static str {
        match self {
            Self::NoScheme | Self::Scheme => "begin with http:// or https://",
            Self::Userinfo => "leave it out; Larder sends what the client sends",
            Self::Query => "give scheme, host, port and, if need be, a path that is put before every request's path",
            Self::Port => "from 1 to 65535",
            Self::NotAUrl => "the form is http://HOST:PORT or https://HOST, with an optional path",
        }
    }
}

impl fmt::Display for InvalidUpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoScheme => "the upstream's url has no scheme",
            Self::Scheme => "the upstream's url is neither http nor https",
            Self::Userinfo => "the upstream's url contains a user name or password",
            Self::Query => "the upstream's url contains a query or a fragment",
            Self::Port => "the upstream's url has an impossible port",
            Self::NotAUrl => "the upstream's url is not a URL",
        })
    }
}

impl std::error::Error for InvalidUpstreamUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_scheme_authority_and_a_path_before_every_path() {
        for (text, scheme, authority, base) in [
            ("http://127.0.0.1:3000", "http", "127.0.0.1:3000", ""),
            ("https://api.example.com/", "https", "api.example.com", ""),
            ("HTTP://[::1]:80/v2/", "http", "[::1]:80", "/v2"),
            ("https://host/a%20b/c", "https", "host", "/a%20b/c"),
        ] {
            let url: UpstreamUrl = text.parse().unwrap();
            assert_eq!((url.scheme().as_str(), url.authority().as_str(), url.base_path()), (scheme, authority, base), "{text}");
        }
    }

    #[test]
    fn rfc2782_a_host_that_begins_with_an_underscore_is_a_service() {
        let of = |text: &str| {
            let url: UpstreamUrl = text.parse().unwrap();
            (url.service().map(str::to_owned), url.service_domain().map(str::to_owned))
        };
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(of("http://_http._tcp.api.example/v1"), (named("_http._tcp.api.example"), named("api.example")));
        assert_eq!(of("http://api.example"), (None, None));
        assert_eq!(of("http://_http.api.example"), (named("_http.api.example"), None));
    }

    #[test]
    fn a_text_that_is_not_an_upstream_url_is_refused_with_the_reason() {
        for (text, expected) in [
            ("127.0.0.1:3000", InvalidUpstreamUrl::NoScheme),
            ("/a", InvalidUpstreamUrl::NoScheme),
            ("ftp://o", InvalidUpstreamUrl::Scheme),
            ("http://u:p@o", InvalidUpstreamUrl::Userinfo),
            ("http://o/?a", InvalidUpstreamUrl::Query),
            ("http://o#a", InvalidUpstreamUrl::Query),
            ("http://o:0", InvalidUpstreamUrl::Port),
            ("http://o:99999", InvalidUpstreamUrl::Port),
            ("http://", InvalidUpstreamUrl::NotAUrl),
        ] {
            assert_eq!(text.parse::<UpstreamUrl>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_bad_url_is_never_quoted() {
        for text in [
            "secret",
            "ftp://secret/",
            "http://u:secret@host/",
            "http://secret?x",
            "http://secret#x",
            "http://",
            "http://secret:99999",
            "http://secret:0",
            "http:// secret",
        ] {
            let mistake = text.parse::<UpstreamUrl>().unwrap_err();
            assert!(!mistake.to_string().contains("secret") && !mistake.hint().contains("secret"), "{text}");
        }
    }
}
