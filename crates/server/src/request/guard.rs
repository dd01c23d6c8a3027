//! Judges a request by its head. Refused are requests that another server might read in another way (RFC 9112 §11.2) and those that name no
//! valid host; answered are those that ask this gateway itself (RFC 9110 §7.6.2).

use http::header::{self, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};

use crate::request::faults::FramingFaults;
use larder_config::ServerOptions;
use larder_message::authority;
use larder_message::forward::{CDN_LOOP, loops};
use larder_message::problem::Problem;

pub(crate) const HEAD_TOO_LARGE: Problem =
    Problem::refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's line and fields are too large, or too many.");
const LOOP: Problem =
    Problem::new(StatusCode::LOOP_DETECTED, "proxy_loop_detected", "The request has come through here twice before.").closing();

/// The verdict about a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is handled.
    Pass,
    /// It is refused, and its connection closed.
    Refuse(Problem),
    /// It is answered here.
    Answer(Response<String>),
}

/// The parts of a request's head.
#[derive(Clone, Copy)]
struct Head<'a> {
    method: &'a Method,
    uri: &'a Uri,
    version: Version,
    headers: &'a HeaderMap,
}

/// Limits of a head, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    pub(crate) target: usize,
    /// All fields of an HTTP/2 request, counted as RFC 9113 §6.5.2 does, or the whole head of HTTP/1.1, which is bounded where it is read.
    pub(crate) fields: usize,
}

impl HeadLimits {
    pub(crate) fn of(options: &ServerOptions) -> Self {
        Self { target: options.max_target, fields: options.max_header_bytes }
    }
}

/// Judges a request by its head. `faults` are those in the raw bytes of its connection.
pub(crate) fn judge<B>(request: &Request<B>, faults: FramingFaults, limits: HeadLimits) -> Verdict {
    let head = Head { method: request.method(), uri: request.uri(), version: request.version(), headers: request.headers() };
    let (mut is_coded, mut expects, mut was_forwarded) = (false, false, false);
    for name in head.headers.keys() {
        is_coded |= *name == header::TRANSFER_ENCODING;
        expects |= *name == header::EXPECT;
        was_forwarded |= *name == header::VIA || *name == CDN_LOOP;
    }
    let refusal = check_target(head, limits.target)
        .or_else(|| if head.version == Version::HTTP_2 { check_size(head, limits.fields) } else { None })
        .or_else(|| check_host(head))
        .or_else(|| if is_coded || faults != FramingFaults::default() { check_framing(head, faults) } else { None })
        .or_else(|| if expects { check_expectation(head) } else { None })
        .or_else(|| if was_forwarded && loops(head.headers) { Some(LOOP) } else { None });
    match refusal {
        Some(problem) => Verdict::Refuse(problem),
        None if is_last_hop(head) => Verdict::Answer(answer_last_hop(head)),
        None => Verdict::Pass,
    }
}

const fn bad(detail: &'static str) -> Option<Problem> {
    Some(Problem::refusal(StatusCode::BAD_REQUEST, detail))
}

/// RFC 9112 §3.2: origin-form and absolute-form, `*` for OPTIONS only, and no tunnels.
fn check_target(head: Head<'_>, max_target: usize) -> Option<Problem> {
    if *head.method == Method::CONNECT {
        return Some(Problem::refusal(StatusCode::NOT_IMPLEMENTED, "This gateway opens no tunnels."));
    }
    let Some(path) = head.uri.path_and_query() else { return bad("The request target is malformed.") };
    if path.as_str().len() > max_target {
        return Some(Problem::refusal(StatusCode::URI_TOO_LONG, "The request target is too long."));
    }
    let asterisk = path.as_str() == "*" && *head.method == Method::OPTIONS;
    if !path.as_str().starts_with('/') && !asterisk {
        return bad("The request target is malformed.");
    }
    match head.uri.scheme_str() {
        None | Some("http" | "https") => None,
        Some(_) => bad("The request target's scheme is not HTTP."),
    }
}

/// h2's own limit is twice as large: h2 answers with a bare status, which reaches neither handler nor access log.
fn check_size(head: Head<'_>, max_fields: usize) -> Option<Problem> {
    const FIELD: usize = 32;
    let size: usize = head.headers.iter().map(|(name, value)| FIELD + name.as_str().len() + value.len()).sum();
    (size > max_fields).then_some(HEAD_TOO_LARGE)
}

/// RFC 9112 §3.2: exactly one valid `Host`, and none other than the target's own authority (RFC 9113 §8.3.1), which has to be as valid.
/// HTTP/1.0 needs none.
fn check_host(head: Head<'_>) -> Option<Problem> {
    let mut lines = head.headers.get_all(header::HOST).iter();
    let host = lines.next();
    if lines.next().is_some() {
        return bad("There is more than one Host field.");
    }
    let target = head.uri.authority();
    if target.is_some_and(|target| target.as_str().contains('@')) {
        return bad("The request target names a user.");
    }
    match (host, target) {
        (_, Some(target)) if !authority::is_valid(target.as_str().as_bytes()) => bad("The request target names no host."),
        (Some(host), _) if !authority::is_valid(host.as_bytes()) => bad("The Host field is malformed."),
        (Some(host), Some(target)) if !same_authority(host, target, head.uri.scheme_str()) => {
            bad("The request target and the Host field name different hosts.")
        }
        // Over HTTP/2 the target's authority stands in its place (RFC 9113 §8.3.1).
        (None, None) if head.version != Version::HTTP_10 => bad("There is no Host field."),
        (None, Some(_)) if head.version == Version::HTTP_11 => bad("There is no Host field."),
        _ => None,
    }
}

/// Host names compare without case; an absent port is the scheme's own.
fn same_authority(host: &HeaderValue, target: &Authority, scheme: Option<&str>) -> bool {
    if host.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes()) {
        return true;
    }
    let Some(host) = host.to_str().ok().and_then(|text| text.parse::<Authority>().ok()) else { return false };
    let default = if scheme == Some("https") { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    host.host().eq_ignore_ascii_case(target.host()) && port(&host) == port(target)
}

/// RFC 9112 §2.2, §6.1: lines end in CRLF, and content has one length. hyper refuses `Transfer-Encoding` that does not end in `chunked`,
/// and decodes only `chunked`; another coding before it would go on with its name lost.
fn check_framing(head: Head<'_>, faults: FramingFaults) -> Option<Problem> {
    if faults.bare_lf {
        return bad("A line of the request ends in a bare LF.");
    }
    if faults.odd_length {
        return bad("The Content-Length field is malformed.");
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    if faults.ambiguous || head.headers.contains_key(header::CONTENT_LENGTH) {
        return bad("Content-Length and Transfer-Encoding exclude each other.");
    }
    if codings.next().is_some() || !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Some(Problem::refusal(StatusCode::NOT_IMPLEMENTED, "The only transfer coding understood here is chunked."));
    }
    None
}

/// RFC 9110 §10.1.1: an expectation that is not known cannot be met.
fn check_expectation(head: Head<'_>) -> Option<Problem> {
    let met = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"100-continue");
    let unmet = head.headers.get_all(header::EXPECT).iter().any(|value| !met(value));
    unmet.then(|| Problem::refusal(StatusCode::EXPECTATION_FAILED, "The expectation is not known here."))
}

/// RFC 9110 §7.6.2.
fn is_last_hop(head: Head<'_>) -> bool {
    (*head.method == Method::TRACE || *head.method == Method::OPTIONS)
        && head.headers.get(header::MAX_FORWARDS).is_some_and(|left| left.as_bytes().trim_ascii() == b"0")
}

fn answer_last_hop(head: Head<'_>) -> Response<String> {
    let mut response = Response::new(String::new());
    let (name, value) = if *head.method == Method::TRACE {
        *response.body_mut() = echo(head);
        (header::CONTENT_TYPE, "message/http")
    } else {
        (header::ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE")
    };
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// The request as received, without the fields that may carry secrets (RFC 9110 §9.3.8).
fn echo(head: Head<'_>) -> String {
    const SECRETS: [HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];
    let mut text = format!("TRACE {} {:?}\r\n", head.uri, head.version);
    for (name, value) in head.headers.iter().filter(|(name, _)| !SECRETS.contains(name)) {
        text.push_str(name.as_str());
        text.push_str(": ");
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { target: 64, fields: 200 };

    fn judged(method: &str, uri: &str, version: Version, lines: &[(&'static str, &'static str)]) -> String {
        let mut request = Request::builder().method(method).uri(uri).version(version).body(()).expect("request");
        for (name, value) in lines {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        match judge(&request, FramingFaults::default(), LIMITS) {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Refuse(problem) => problem.status().as_str().to_owned(),
            Verdict::Answer(response) => response.into_body(),
        }
    }

    fn get(uri: &str, lines: &[(&'static str, &'static str)]) -> String {
        judged("GET", uri, Version::HTTP_11, lines)
    }

    #[test]
    fn rfc9112_3_2_host_is_there_once_and_valid() {
        for host in ["a.example", "a.example:8080", "127.0.0.1:1", "[::1]", "[::1]:80", "a_b"] {
            let mut request = Request::builder().uri("/").body(()).expect("request");
            request.headers_mut().insert("host", HeaderValue::from_static(host));
            assert!(matches!(judge(&request, FramingFaults::default(), LIMITS), Verdict::Pass), "{host}");
        }
        assert_eq!(get("/", &[]), "400");
        assert_eq!(get("/", &[("host", "a"), ("host", "a")]), "400");
        for host in ["", "a b", "u@a", "a/b", "a:b", "a:123456", "a,b", "[::1]@evil", "[a,b]", "[]", "a..b"] {
            assert_eq!(get("/", &[("host", host)]), "400", "{host:?}");
        }
        assert_eq!(judged("GET", "/", Version::HTTP_10, &[]), "pass");
    }

    #[test]
    fn rfc9112_3_2_2_absolute_form_for_another_host_is_refused() {
        assert_eq!(get("http://a.example/x", &[("host", "A.example:80")]), "pass");
        assert_eq!(get("http://a.example/x", &[]), "400");
        assert_eq!(judged("GET", "http://a.example/x", Version::HTTP_10, &[]), "pass");
        assert_eq!(get("http://a.example/x", &[("host", "b.example")]), "400");
        assert_eq!(get("http://a.example:81/x", &[("host", "a.example")]), "400");
        assert_eq!(get("http://u@a.example/x", &[("host", "a.example")]), "400");
        assert_eq!(get("ftp://a.example/x", &[("host", "a.example")]), "400");
    }

    #[test]
    fn rfc9113_8_3_1_authority_and_host_agree() {
        assert_eq!(judged("GET", "http://a.example/x", Version::HTTP_2, &[]), "pass");
        assert_eq!(judged("GET", "http://a.example/x", Version::HTTP_2, &[("host", "b.example")]), "400");
    }

    #[test]
    fn rfc9113_8_3_1_the_targets_authority_is_as_valid_as_a_host() {
        for authority in ["a,b", "[a,b]", "a..b", "a:65536", "[]"] {
            let Ok(uri) = format!("http://{authority}/x").parse::<Uri>() else { continue };
            for version in [Version::HTTP_10, Version::HTTP_2] {
                assert_eq!(judged("GET", &uri.to_string(), version, &[]), "400", "{authority} {version:?}");
            }
        }
        assert_eq!(judged("GET", "http://a,b/x", Version::HTTP_2, &[]), "400");
        assert_eq!(judged("GET", "http://[::1]:80/x", Version::HTTP_2, &[]), "pass");
    }

    #[test]
    fn rfc8586_a_request_in_a_circle_is_refused() {
        assert_eq!(get("/", &[("host", "a"), ("via", "1.1 larder"), ("cdn-loop", "larder")]), "pass", "one Larder behind another");
        assert_eq!(get("/", &[("host", "a"), ("via", "1.1 larder, 1.1 other, 2 larder")]), "508");
        assert_eq!(get("/", &[("host", "a"), ("cdn-loop", "larder, larder")]), "508");
    }

    #[test]
    fn rfc9112_3_2_3_connect_is_not_implemented() {
        assert_eq!(judged("CONNECT", "a.example:443", Version::HTTP_11, &[("host", "a.example:443")]), "501");
    }

    #[test]
    fn rfc9112_3_2_4_asterisk_form_is_for_options_only() {
        assert_eq!(judged("OPTIONS", "*", Version::HTTP_11, &[("host", "a")]), "pass");
        assert_eq!(get("*", &[("host", "a")]), "400");
    }

    #[test]
    fn a_target_that_is_too_long_is_refused() {
        assert_eq!(get(&format!("/{}", "a".repeat(64)), &[("host", "a")]), "414");
        assert_eq!(get(&format!("/{}", "a".repeat(63)), &[("host", "a")]), "pass");
    }

    #[test]
    fn rfc9113_6_5_2_fields_over_http2_are_counted_with_their_overhead() {
        let lines = |value| [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", value)];
        let judge = |value| judged("GET", "http://a.example/", Version::HTTP_2, &lines(value));
        assert_eq!(judge("123456789 123456789 123456789 1"), "pass", "5 times 32 and 40 bytes of names and values");
        assert_eq!(judge("123456789 123456789 123456789 12"), "431");
    }

    #[test]
    fn rfc9112_6_1_a_transfer_coding_other_than_chunked_is_refused() {
        assert_eq!(get("/", &[("host", "a"), ("transfer-encoding", "Chunked")]), "pass");
        assert_eq!(get("/", &[("host", "a"), ("transfer-encoding", "gzip, chunked")]), "501");
        assert_eq!(get("/", &[("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]), "501");
    }

    #[test]
    fn rfc9110_10_1_1_an_unknown_expectation_fails() {
        assert_eq!(get("/", &[("host", "a"), ("expect", "100-Continue")]), "pass");
        assert_eq!(get("/", &[("host", "a"), ("expect", "200-maybe")]), "417");
    }

    #[test]
    fn rfc9110_7_6_2_the_last_hop_answers_trace_and_options_itself() {
        let lines = [("host", "a"), ("max-forwards", "0"), ("cookie", "secret"), ("x-seen", "1")];
        assert_eq!(judged("TRACE", "/t", Version::HTTP_11, &lines), "TRACE /t HTTP/1.1\r\nhost: a\r\nmax-forwards: 0\r\nx-seen: 1\r\n\r\n");
        assert_eq!(judged("OPTIONS", "/t", Version::HTTP_11, &lines), "");
        assert_eq!(get("/t", &lines), "pass");
    }

    #[test]
    fn unknown_methods_pass() {
        assert_eq!(judged("PROPFIND", "/", Version::HTTP_11, &[("host", "a")]), "pass");
    }
}
