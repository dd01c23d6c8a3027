//! Paths that differ between clients and an origin: `rewrite = { strip_prefix, add_prefix }` of a route.
//!
//! A key has the path that the client asked for. The origin gets another, and what it says about paths in `Location` and `Content-Location` is turned
//! back: clients follow the one, and a write invalidates what both name (RFC 9111 §4.4).

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_LOCATION, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};

use crate::path_reading;

/// What is taken from the beginning of a path, and what is put there instead. Each is empty, or begins with a slash and ends without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathRewrite {
    /// Whole segments at the beginning of a client's path. Other paths are not shortened.
    pub strip_prefix: String,
    /// Put before what is left.
    pub add_prefix: String,
}

impl PathRewrite {
    /// The URI as it goes to the origin. The query stays as it is, and so does every byte of the path that is not rewritten.
    pub fn outgoing(&self, uri: &Uri) -> Uri {
        let path = uri.path();
        let left = self.left_of(path);
        let joined = [self.add_prefix.as_str(), if left.is_empty() { "/" } else { &left }].concat();
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = uri.clone().into_parts();
        match PathAndQuery::from_maybe_shared(Bytes::from(joined + &query)) {
            // `*` is no path (RFC 9112 §3.2.4).
            Ok(path_and_query) if path.starts_with('/') => parts.path_and_query = Some(path_and_query),
            _ => return uri.clone(),
        }
        Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
    }

    /// The rest of a path. One in another spelling takes the same route, so it is shortened alike.
    fn left_of<'p>(&self, path: &'p str) -> Cow<'p, str> {
        if let Some(left) = after(path, &self.strip_prefix) {
            return Cow::Borrowed(left);
        }
        let normal = path_reading::normal(path);
        after(&normal, &self.strip_prefix).map_or(Cow::Borrowed(path), |left| Cow::Owned(left.to_owned()))
    }

    /// Whether an origin may read the rest of a path so that it leads out of what is put before it. Such a request must not be sent.
    pub fn leaves_base(&self, path: &str) -> bool {
        path_reading::climbs(&self.left_of(path))
    }

    /// Turns back the paths in an answer's `Location` and `Content-Location`, where they are on one of these hosts, or name none.
    pub fn incoming(&self, headers: &mut HeaderMap, hosts: &[&str]) {
        for name in [LOCATION, CONTENT_LOCATION] {
            let turned = headers.get(&name).and_then(|value| self.turned_back(value.to_str().ok()?, hosts));
            if let Some(value) = turned.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, value);
            }
        }
    }

    /// `None` where the reference stays as it is: it is relative, it is on another host, it does not begin as the origin's paths do, or the origin
    /// knows the clients' own.
    fn turned_back(&self, reference: &str, hosts: &[&str]) -> Option<String> {
        let (host, path) = match reference.find("//").filter(|at| is_scheme(&reference[..*at])) {
            Some(at) => {
                let host = &reference[at + 2..];
                let end = host.find(['/', '?', '#']).unwrap_or(host.len());
                hosts.iter().any(|known| known.eq_ignore_ascii_case(&host[..end])).then_some(())?;
                reference.split_at(at + 2 + end)
            }
            None => ("", reference),
        };
        let own = !self.strip_prefix.is_empty() && after(path, &self.strip_prefix).is_some();
        if !path.starts_with('/') || own {
            return None;
        }
        let left = after(path, &self.add_prefix)?;
        let left = if self.strip_prefix.is_empty() && !left.starts_with('/') { format!("/{left}") } else { left.to_owned() };
        let turned = format!("{}{left}", self.strip_prefix);
        let path = if host.is_empty() { as_path(&turned) } else { turned.into() };
        Some(format!("{host}{path}"))
    }
}

/// What follows these whole segments in a path; everything where there are none.
fn after<'p>(path: &'p str, segments: &str) -> Option<&'p str> {
    path.strip_prefix(segments).filter(|left| segments.is_empty() || left.is_empty() || left.starts_with(['/', '?', '#']))
}

/// The reference so that it names no host: two slashes at its beginning would. Browsers take `\` for a slash, and leave tabs out (WHATWG URL §4.4).
fn as_path(reference: &str) -> Cow<'_, str> {
    let rest = reference.trim_start_matches(['/', '\\', '\t']);
    if reference.len() - rest.len() > 1 { format!("/{rest}").into() } else { reference.into() }
}

/// Whether a reference with `//` behind this text names a host: `http:`, or nothing.
fn is_scheme(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("http:") || text.eq_ignore_ascii_case("https:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(strip: &str, add: &str) -> PathRewrite {
        PathRewrite { strip_prefix: strip.to_owned(), add_prefix: add.to_owned() }
    }

    #[test]
    fn whole_segments_are_replaced_and_every_other_byte_stays() {
        let both = rewrite("/api", "/v2");
        for (path, expected) in [
            ("/api/issues/7?a=%2F&b", "/v2/issues/7?a=%2F&b"),
            ("/api", "/v2/"),
            ("/api/", "/v2/"),
            ("/api?x", "/v2/?x"),
            ("/apis/7", "/v2/apis/7"),
            ("/other", "/v2/other"),
            ("/%61pi/%7Ex", "/v2/~x"),
            ("/api/a%20b", "/v2/a%20b"),
            ("http://h/api/x", "http://h/v2/x"),
            ("*", "*"),
        ] {
            assert_eq!(both.outgoing(&path.parse().expect("a target")).to_string(), expected, "{path}");
        }
        assert_eq!(rewrite("/api", "").outgoing(&Uri::from_static("/api")).to_string(), "/");
        assert_eq!(rewrite("", "/v2").outgoing(&Uri::from_static("/x")).to_string(), "/v2/x");
    }

    #[test]
    fn the_rest_of_a_path_must_not_lead_out_of_what_is_put_before_it() {
        let both = rewrite("/api", "/v2");
        for path in ["/api/../admin", "/api/x/../../admin", "/api/..%2fadmin", "/api/%2e%2e/admin", "/api\\..\\..\\admin", "/../admin"] {
            assert!(both.leaves_base(path), "{path}");
        }
        for path in ["/api/x/../y", "/api/x", "/api", "/other/../x"] {
            assert!(!both.leaves_base(path), "{path}");
        }
    }

    #[test]
    fn what_an_origin_says_about_its_paths_is_turned_back() {
        let turned = |rewrite: &PathRewrite, location: &'static str| {
            let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            rewrite.incoming(&mut headers, &["shop.example", "127.0.0.1:3000"]);
            headers[LOCATION].to_str().expect("text").to_owned()
        };
        let both = rewrite("/api", "/v2");
        for (location, expected) in [
            ("/v2/issues/8", "/api/issues/8"),
            ("/v2", "/api"),
            ("/v2?x#y", "/api?x#y"),
            ("http://shop.example/v2/issues/8", "http://shop.example/api/issues/8"),
            ("https://127.0.0.1:3000/v2/x", "https://127.0.0.1:3000/api/x"),
            ("//shop.example/v2/x", "//shop.example/api/x"),
            ("http://other.example/v2/x", "http://other.example/v2/x"),
            ("/v22/x", "/v22/x"),
            ("8", "8"),
            ("?page=2", "?page=2"),
            ("/api/issues/8", "/api/issues/8"),
            ("mailto:a@b", "mailto:a@b"),
        ] {
            assert_eq!(turned(&both, location), expected, "{location}");
        }
        let strip = rewrite("/api", "");
        assert_eq!(turned(&strip, "/issues/8"), "/api/issues/8");
        assert_eq!(turned(&strip, "/api/issues/8"), "/api/issues/8", "an origin that knows its prefix");
        assert_eq!(turned(&strip, "http://shop.example"), "http://shop.example");
        let add = rewrite("", "/v2");
        assert_eq!((turned(&add, "/v2/x"), turned(&add, "/v2")), ("/x".to_owned(), "/".to_owned()));
    }

    #[test]
    fn a_path_that_is_turned_back_never_names_a_host() {
        let turned = |rewrite: &PathRewrite, location: &'static str| {
            let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            rewrite.incoming(&mut headers, &["shop.example"]);
            headers[LOCATION].to_str().expect("text").to_owned()
        };
        let add = rewrite("", "/v2");
        for (location, expected) in [
            ("/v2//evil.example/", "/evil.example/"),
            ("/v2/\\evil.example/", "/evil.example/"),
            ("/v2///evil.example/", "/evil.example/"),
            ("/v2/\t/evil.example/", "/evil.example/"),
            ("/v2//", "/"),
            ("/v2/x//y", "/x//y"),
            ("http://shop.example/v2//x", "http://shop.example//x"),
        ] {
            assert_eq!(turned(&add, location), expected, "{location}");
        }
        assert_eq!(turned(&rewrite("/api", "/v2"), "/v2//x"), "/api//x", "what is put before it keeps it a path");
    }
}
