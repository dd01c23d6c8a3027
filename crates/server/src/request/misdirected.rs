//! Requests that came over a connection whose certificate is for another host.
//!
//! A client may put requests for several hosts on one connection, where the certificate names them all (RFC 9113 §9.1.1), and a client that is
//! mistaken, or lies, must not reach a host by the certificate of another: what SNI said decided who was asked for a client certificate.

use http::{Request, StatusCode, header};

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

/// Judges a request by its head, and by the connection it came over.
pub(crate) fn judge_on<B>(tls: Option<&TlsFacts>, request: &Request<B>, faults: FramingFaults, limits: HeadLimits) -> Verdict {
    let verdict = judge(request, faults, limits);
    match (tls, &verdict) {
        (Some(tls), Verdict::Pass | Verdict::Answer(_)) if !host(request).is_none_or(|host| tls.is_for(host)) => {
            Verdict::Refuse(MISDIRECTED)
        }
        _ => verdict,
    }
}

/// The host that the request is for. HTTP/1.0 may name none.
fn host<B>(request: &Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.host()),
        None => request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(without_port),
    }
}
