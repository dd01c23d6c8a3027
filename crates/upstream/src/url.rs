//! The target of a request to an origin: the upstream's URL and the client's target, joined.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Uri};
use larder_config::UpstreamUrl;
use larder_message::path_reading;

/// Host and port, for `Host`; of a service its domain.
pub(crate) fn host(url: &UpstreamUrl) -> HeaderValue {
    HeaderValue::from_str(url.service_domain().unwrap_or(url.authority().as_str())).unwrap_or(HeaderValue::from_static(""))
}

/// The URL to connect to.
pub(crate) fn base(url: &UpstreamUrl) -> Uri {
    with_path(url, PathAndQuery::from_static("/"))
}

/// The upstream's URL for a request's target, of a service with its domain, as [`host`] has it. Path and query go on byte for byte; `*` stays as
/// it is (RFC 9112 §3.2.4).
pub(crate) fn resolve(url: &UpstreamUrl, target: &Uri) -> Uri {
    let authority = url.service_domain().and_then(|domain| domain.parse().ok()).unwrap_or_else(|| url.authority().clone());
    of_parts(url, authority, path_and_query(url, target))
}

/// Whether an origin may read a request's path so that it leads out of the base path.
pub(crate) fn leaves_base(url: &UpstreamUrl, path: &str) -> bool {
    !url.base_path().is_empty() && path_reading::climbs(path)
}

/// The target as it stands in a request on a connection to the upstream (RFC 9112 §3.2.1).
pub(crate) fn origin_form(url: &UpstreamUrl, target: &Uri) -> Uri {
    path_and_query(url, target).into()
}

fn path_and_query(url: &UpstreamUrl, target: &Uri) -> PathAndQuery {
    let path_and_query = target.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    if url.base_path().is_empty() || path_and_query.as_str() == "*" {
        return path_and_query;
    }
    let joined = Bytes::from([url.base_path(), path_and_query.as_str()].concat());
    PathAndQuery::from_maybe_shared(joined).unwrap_or(path_and_query)
}

fn with_path(url: &UpstreamUrl, path_and_query: PathAndQuery) -> Uri {
    of_parts(url, url.authority().clone(), path_and_query)
}

fn of_parts(url: &UpstreamUrl, authority: Authority, path_and_query: PathAndQuery) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(url.scheme().clone());
    parts.authority = Some(authority);
    parts.path_and_query = Some(path_and_query);
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(base: &str, target: &'static str) -> String {
        resolve(&base.parse().expect("upstream URL"), &Uri::from_static(target)).to_string()
    }

    #[test]
    fn path_and_query_go_up_byte_for_byte() {
        let odd = "/a//b/../%7e%2F?x=%20&&y=[]|'&x";
        assert_eq!(resolved("http://o:3000", odd), format!("http://o:3000{odd}"));
        assert_eq!(resolved("http://o:3000/", "/?"), "http://o:3000/?");
    }

    #[test]
    fn rfc9113_8_3_1_a_service_is_asked_under_the_name_that_host_has() {
        let url: UpstreamUrl = "https://_https._tcp.api.example".parse().expect("upstream URL");
        assert_eq!(resolve(&url, &Uri::from_static("/a")), "https://api.example/a");
        assert_eq!(host(&url), "api.example");
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
        let url = "http://o/v1".parse().expect("upstream URL");
        assert_eq!(resolve(&url, &Uri::from_static("*")).path(), "*");
    }

    #[test]
    fn a_base_path_is_left_by_what_climbs_above_the_root() {
        let left = |base: &str, path: &str| leaves_base(&base.parse().expect("upstream URL"), path);
        for path in ["/../secret", "/b/../../secret", "/..%2fsecret", "/%2e%2e/secret", "/..;/secret", "/a//../../secret"] {
            assert!(left("http://o/v1", path), "{path}");
            assert!(!left("http://o/", path), "{path}: there is nothing to leave");
        }
        assert!(!left("http://o/v1", "/a/../b"));
    }
}
