//! Where an upstream is.

use std::fmt;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

use larder_message::path_reading;

/// An origin's base URL: scheme, authority, and a path that is put before every request's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    scheme: Scheme,
    authority: Authority,
    /// Without a trailing `/`; empty for the root.
    prefix: String,
}

/// Why a text is no upstream URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpstreamUrl {
    /// Not an absolute URL.
    #[error("not a URL such as http://127.0.0.1:3000")]
    NotAbsolute,
    /// Neither `http` nor `https`.
    #[error("the scheme has to be http or https")]
    Scheme,
    /// A user name or password in it.
    #[error("user names and passwords do not belong in the URL")]
    Userinfo,
    /// A query in it.
    #[error("a query does not belong in the URL of an upstream")]
    Query,
}

impl std::str::FromStr for UpstreamUrl {
    type Err = InvalidUpstreamUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.parse::<Uri>().map_err(|_| InvalidUpstreamUrl::NotAbsolute)?.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else { return Err(InvalidUpstreamUrl::NotAbsolute) };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(InvalidUpstreamUrl::Scheme);
        }
        if authority.as_str().contains('@') {
            return Err(InvalidUpstreamUrl::Userinfo);
        }
        let base = parts.path_and_query.as_ref();
        if base.is_some_and(|base| base.query().is_some()) {
            return Err(InvalidUpstreamUrl::Query);
        }
        let prefix = base.map_or("", |base| base.path()).trim_end_matches('/').to_owned();
        Ok(Self { scheme, authority, prefix })
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

impl UpstreamUrl {
    /// Whether connections are encrypted.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Host and port, for `Host`.
    pub fn host(&self) -> HeaderValue {
        HeaderValue::from_str(self.authority.as_str()).unwrap_or(HeaderValue::from_static(""))
    }

    /// The URL to connect to.
    pub(super) fn base(&self) -> Uri {
        self.with_path(PathAndQuery::from_static("/"))
    }

    /// The upstream's URL for a request's target. Path and query go on byte for byte; `*` stays as it is (RFC 9112 §3.2.4).
    pub(super) fn resolve(&self, target: &Uri) -> Uri {
        self.with_path(self.path_and_query(target))
    }

    /// Whether an origin may read a request's path so that it leads out of this URL's own.
    pub(super) fn is_left_by(&self, path: &str) -> bool {
        !self.prefix.is_empty() && path_reading::climbs(path)
    }

    /// The same as it stands in a request on a connection to the upstream (RFC 9112 §3.2.1).
    pub(super) fn origin_form(&self, target: &Uri) -> Uri {
        self.path_and_query(target).into()
    }

    fn path_and_query(&self, target: &Uri) -> PathAndQuery {
        let path_and_query = target.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        if self.prefix.is_empty() || path_and_query.as_str() == "*" {
            return path_and_query;
        }
        let joined = Bytes::from([self.prefix.as_str(), path_and_query.as_str()].concat());
        PathAndQuery::from_maybe_shared(joined).unwrap_or(path_and_query)
    }

    fn with_path(&self, path_and_query: PathAndQuery) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(base: &str, target: &'static str) -> String {
        let url: UpstreamUrl = base.parse().expect("upstream URL");
        url.resolve(&Uri::from_static(target)).to_string()
    }

    #[test]
    fn path_and_query_go_up_byte_for_byte() {
        let odd = "/a//b/../%7e%2F?x=%20&&y=[]|'&x";
        assert_eq!(resolved("http://o:3000", odd), format!("http://o:3000{odd}"));
        assert_eq!(resolved("http://o:3000/", "/?"), "http://o:3000/?");
    }

    #[test]
    fn the_base_path_comes_first() {
        assert_eq!(resolved("https://o/v1/", "/a?b"), "https://o/v1/a?b");
    }

    #[test]
    fn an_absolute_target_keeps_only_path_and_query() {
        assert_eq!(resolved("http://o", "http://client.example/a?b"), "http://o/a?b");
    }

    #[test]
    fn rfc9112_3_2_4_asterisk_form_stays() {
        let url: UpstreamUrl = "http://o/v1".parse().expect("upstream URL");
        assert_eq!(url.resolve(&Uri::from_static("*")).path(), "*");
    }

    #[test]
    fn a_base_path_is_left_by_what_climbs_above_the_root() {
        let left = |base: &str, path: &str| base.parse::<UpstreamUrl>().expect("upstream URL").is_left_by(path);
        for path in ["/../secret", "/b/../../secret", "/..%2fsecret", "/%2e%2e/secret", "/..;/secret", "/a//../../secret"] {
            assert!(left("http://o/v1", path), "{path}");
            assert!(!left("http://o/", path), "{path}: there is nothing to leave");
        }
        assert!(!left("http://o/v1", "/a/../b"));
    }

    #[test]
    fn what_is_no_upstream_url_is_told_apart() {
        for (text, expected) in [
            ("127.0.0.1:3000", InvalidUpstreamUrl::NotAbsolute),
            ("/a", InvalidUpstreamUrl::NotAbsolute),
            ("ftp://o", InvalidUpstreamUrl::Scheme),
            ("http://u:p@o", InvalidUpstreamUrl::Userinfo),
            ("http://o/?a", InvalidUpstreamUrl::Query),
        ] {
            assert_eq!(text.parse::<UpstreamUrl>(), Err(expected), "{text}");
        }
    }
}
