//! What the connection adds to the judgement of a request: the certificate that it showed, and where its listener sends clients.

use http::{Request, Response, StatusCode, header};

use crate::listener::handshake::TlsFacts;
use crate::request::faults::FramingFaults;
use crate::request::guard::{HeadLimits, Verdict, judge};
use larder_message::authority::without_port;
use larder_message::problem::Problem;

/// The client may ask again over another connection (RFC 9110 §15.5.20), and others may still use this one.
const MISDIRECTED: Problem = Problem::new(
    StatusCode::MISDIRECTED_REQUEST,
    "http_request_denied",
    "The certificate of this connection is not for the request's host.",
);
/// Where authorities look for what proves that a host is its owner's (RFC 8555 §8.3). They begin in clear text.
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";
const DEFAULT_PORT: u16 = 443;

/// The connection that a request came over, as far as it decides what becomes of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door<'a> {
    /// The outcome of the TLS handshake, where there was one.
    pub(crate) tls: Option<&'a TlsFacts>,
    /// The port of `https` to which clients are sent.
    pub(crate) redirect: Option<u16>,
}

impl Door<'_> {
    /// Judges a request by its head, and by the connection it came over.
    ///
    /// A client may put requests for several hosts on one connection, where the certificate names them all (RFC 9113 §9.1.1). One that is
    /// mistaken, or lies, must not reach a host by the certificate of another.
    pub(crate) fn judge<B>(self, request: &Request<B>, faults: FramingFaults, limits: HeadLimits) -> Verdict {
        let verdict = judge(request, faults, limits);
        if matches!(verdict, Verdict::Refuse(_)) {
            return verdict;
        }
        if self.tls.is_some_and(|tls| !authority(request).is_none_or(|authority| tls.is_for(without_port(authority)))) {
            return Verdict::Refuse(MISDIRECTED);
        }
        if let Some(port) = self.redirect
            && let Some(authority) = authority(request)
            && !request.uri().path().starts_with(ACME_CHALLENGE)
        {
            return Verdict::Answer(redirect(without_port(authority), port, request));
        }
        verdict
    }
}

/// Host and port that the request is for. HTTP/1.0 may name none.
fn authority<B>(request: &Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST).and_then(|host| host.to_str().ok()),
    }
}

/// 308 keeps method and content (RFC 9110 §15.4.9): a client that writes in clear text by mistake writes once more, and not something else.
fn redirect<B>(host: &str, port: u16, request: &Request<B>) -> Response<String> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    // `*` is a target of OPTIONS only, and no path.
    let target = if target.starts_with('/') { target } else { "/" };
    let port = if port == DEFAULT_PORT { String::new() } else { format!(":{port}") };
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    // Every part of it has been judged.
    if let Ok(location) = format!("https://{host}{port}{target}").parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_config::ServerOptions;

    fn location(port: u16, uri: &str, host: &str) -> String {
        let request = Request::builder().uri(uri).header("host", host).body(()).expect("request");
        let door = Door { tls: None, redirect: Some(port) };
        match door.judge(&request, FramingFaults::default(), HeadLimits::of(&ServerOptions::default())) {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Refuse(problem) => problem.status().as_str().to_owned(),
            Verdict::Answer(response) => response.headers()["location"].to_str().expect("text").to_owned(),
        }
    }

    #[test]
    fn a_listener_may_send_clients_to_https_with_the_same_target() {
        assert_eq!(location(443, "/a%2Fb?c=d", "a.example"), "https://a.example/a%2Fb?c=d");
        assert_eq!(location(8443, "/", "a.example:80"), "https://a.example:8443/");
        assert_eq!(location(443, "http://a.example/x", "a.example"), "https://a.example/x");
        assert_eq!(location(443, "/x", "[::1]:80"), "https://[::1]/x");
        assert_eq!(location(443, "//evil.example/x", "a.example"), "https://a.example//evil.example/x");
        assert_eq!(location(443, "/x", "a example"), "400", "nothing of a host that is none gets into a field");
    }

    #[test]
    fn rfc8555_8_3_challenges_are_answered_in_clear_text() {
        assert_eq!(location(443, "/.well-known/acme-challenge/token", "a.example"), "pass");
        assert_eq!(location(443, "/.well-known/acme-challenge", "a.example"), "https://a.example/.well-known/acme-challenge");
    }
}
