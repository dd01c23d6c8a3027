//! Failures of an exchange with an origin, distinguished as in RFC 9209 §2.3.

use std::error::Error;
use std::io;

use http::StatusCode;
use larder_message::problem::{LIMITED, Problem, TOO_LARGE};
use larder_tower::{BoxError, FetchError};

/// A request that its upstream was not asked for, since it takes none yet.
#[derive(Debug, thiserror::Error)]
#[error("the upstream takes no more requests for {seconds} s")]
pub(crate) struct HeldBack {
    /// Until it may be asked again; at least 1.
    pub(crate) seconds: u32,
}

/// The steps to a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Looking up the name.
    Dns,
    /// The TCP handshake.
    #[default]
    Connect,
    /// The TLS handshake.
    Tls,
}

impl Phase {
    /// For the log.
    fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "DNS",
            Self::Connect => "connect",
            Self::Tls => "TLS",
        }
    }
}

/// A failed exchange with an origin, or a response body that broke off.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The origin's name did not resolve.
    #[error("the upstream's name did not resolve")]
    Dns(#[source] BoxError),
    /// Nothing listens there.
    #[error("the upstream refused the connection")]
    Refused(#[source] BoxError),
    /// No connection within `connect_timeout`, and how far it came.
    #[error("connecting to the upstream took too long")]
    ConnectTimeout(Phase),
    /// There is no way to the origin's address.
    #[error("there is no route to the upstream")]
    Unroutable(#[source] BoxError),
    /// The TLS handshake failed.
    #[error("the TLS handshake with the upstream failed")]
    Tls(#[source] BoxError),
    /// The origin's certificate is not one that is trusted.
    #[error("the upstream's certificate is not trusted")]
    Certificate(#[source] BoxError),
    /// Connecting failed in another way.
    #[error("connecting to the upstream failed")]
    Unavailable(#[source] BoxError),
    /// No response head within `first_byte_timeout`.
    #[error("the upstream did not begin its response in time")]
    FirstByteTimeout,
    /// The connection ended before a complete response head.
    #[error("the upstream closed the connection without a response")]
    Reset(#[source] BoxError),
    /// The response is not HTTP, or not HTTP that can be passed on.
    #[error("the upstream's response is malformed")]
    Protocol(#[source] BoxError),
    /// The response body ended before its end.
    #[error("the upstream's response body broke off")]
    BodyBroken(#[source] BoxError),
    /// It has failed so often that its breaker is open.
    #[error("the upstream is left alone because it fails")]
    BreakerOpen {
        /// Seconds until it is asked again.
        retry_after: u32,
    },
    /// It has as many exchanges as it may have, and its queue is full.
    #[error("the upstream has no place for another request")]
    Full {
        /// Seconds after which there may be one.
        retry_after: u32,
    },
    /// A limit of the gateway, or one that the origin has told of, lets no more requests of this client go out.
    #[error("a limit lets no more requests of this client go out")]
    Limited(#[source] FetchError),
    /// The client's own request body failed while it was sent on.
    #[error("the client's request body failed")]
    RequestBody(#[source] BoxError),
    /// The client's request body has more bytes than it may have.
    #[error("the client's request body is too large")]
    RequestTooLarge,
    /// The client stopped sending its request body.
    #[error("the client's request body stalled")]
    RequestStalled,
}

impl UpstreamError {
    /// The Proxy-Status error type (RFC 9209 §2.3): a bounded set, fit for a label.
    pub fn token(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns_error",
            Self::Refused(_) => "connection_refused",
            Self::ConnectTimeout(Phase::Dns) => "dns_timeout",
            Self::ConnectTimeout(_) => "connection_timeout",
            Self::Unroutable(_) => "destination_ip_unroutable",
            Self::Tls(_) => "tls_protocol_error",
            Self::Certificate(_) => "tls_certificate_error",
            Self::Unavailable(_) => "destination_unavailable",
            Self::FirstByteTimeout => "http_response_timeout",
            Self::Reset(_) => "connection_terminated",
            Self::Protocol(_) => "http_protocol_error",
            Self::BodyBroken(_) => "http_response_incomplete",
            Self::BreakerOpen { .. } => "destination_unavailable",
            Self::Full { .. } => "connection_limit_reached",
            Self::Limited(_) => "http_request_denied",
            Self::RequestBody(_) | Self::RequestTooLarge | Self::RequestStalled => "http_request_error",
        }
    }

    /// Whether there was no connection that the request could have gone out on.
    pub fn never_connected(&self) -> bool {
        match self {
            Self::Dns(_)
            | Self::Refused(_)
            | Self::ConnectTimeout(_)
            | Self::Unroutable(_)
            | Self::Tls(_)
            | Self::Certificate(_)
            | Self::Unavailable(_)
            | Self::BreakerOpen { .. }
            | Self::Full { .. }
            | Self::Limited(_) => true,
            Self::FirstByteTimeout
            | Self::Reset(_)
            | Self::Protocol(_)
            | Self::BodyBroken(_)
            | Self::RequestBody(_)
            | Self::RequestTooLarge
            | Self::RequestStalled => false,
        }
    }

    /// How far the exchange came, for the log.
    pub fn phase(&self) -> &'static str {
        match self {
            Self::Dns(_) => Phase::Dns.as_str(),
            Self::ConnectTimeout(phase) => phase.as_str(),
            Self::Refused(_) | Self::Unroutable(_) | Self::Unavailable(_) => Phase::Connect.as_str(),
            Self::Tls(_) | Self::Certificate(_) => Phase::Tls.as_str(),
            Self::FirstByteTimeout | Self::Reset(_) | Self::Protocol(_) => "first byte",
            Self::BodyBroken(_) => "body",
            Self::RequestBody(_) | Self::RequestTooLarge | Self::RequestStalled => "request",
            Self::BreakerOpen { .. } | Self::Full { .. } | Self::Limited(_) => "queue",
        }
    }

    /// Whether the origin has failed, and not its client or this gateway.
    pub fn is_origin_failure(&self) -> bool {
        !matches!(self, Self::RequestBody(_) | Self::RequestTooLarge | Self::RequestStalled) && !self.is_refusal()
    }

    /// Whether the failure shows that the origin is alive: its answer was malformed, or it closed an idle connection, as it may.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Protocol(_) => true,
            Self::Reset(error) => find::<ClosedIdle>(&**error).is_some(),
            _ => false,
        }
    }

    /// Whether the origin was never asked.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::BreakerOpen { .. } | Self::Full { .. } | Self::Limited(_))
    }

    /// The answer a client gets when there is nothing better to give.
    pub fn problem(&self) -> Problem {
        let detail = match self {
            Self::BreakerOpen { retry_after } => {
                let detail = "The origin server fails, and is left alone for a moment.";
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, self.token(), detail).retry_after(*retry_after);
            }
            Self::Full { retry_after } => {
                let detail = "The origin server has as many requests as it may have.";
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, self.token(), detail).retry_after(*retry_after);
            }
            Self::RequestBody(_) => return Problem::refusal(StatusCode::BAD_REQUEST, "The request body did not arrive intact."),
            Self::RequestTooLarge => return TOO_LARGE,
            Self::Limited(error) => match error.downcast_ref::<HeldBack>() {
                Some(held) => return HELD_BACK.retry_after(held.seconds),
                None => return LIMITED,
            },
            Self::RequestStalled => return Problem::refusal(StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time."),
            Self::ConnectTimeout(Phase::Tls) => "The TLS handshake with the origin server took too long.",
            _ => return Self::problem_of(self.token()).unwrap_or(UNKNOWN),
        };
        Problem::new(StatusCode::GATEWAY_TIMEOUT, self.token(), detail)
    }

    /// The word for a failure that other replicas may share which have waited for this exchange: its Proxy-Status type. `None` for a failure
    /// that says nothing of the origin.
    pub fn shared_word(&self) -> Option<&'static str> {
        let is_the_connections_own = matches!(self, Self::Reset(error) if find::<ClosedIdle>(&**error).is_some());
        (self.is_origin_failure() && !is_the_connections_own).then(|| self.token())
    }

    /// The answer to a failure of the origin of which the Proxy-Status type is known.
    pub fn problem_of(token: &str) -> Option<Problem> {
        let (token, status, detail) = ORIGIN_FAILURES.into_iter().find(|(known, ..)| *known == token)?;
        Some(Problem::new(status, token, detail))
    }
}

const BAD: StatusCode = StatusCode::BAD_GATEWAY;
const LATE: StatusCode = StatusCode::GATEWAY_TIMEOUT;

const HELD_BACK: Problem = Problem::new(
    StatusCode::TOO_MANY_REQUESTS,
    "http_request_denied",
    "The origin server has said that it takes no more requests for now.",
);

const UNKNOWN: Problem = Problem::new(BAD, "destination_unavailable", "The origin server could not be reached.");

/// The sentence for clients of an origin that fails, by the Proxy-Status type of the failure.
const ORIGIN_FAILURES: [(&str, StatusCode, &str); 12] = [
    ("dns_error", BAD, "The origin server's name could not be resolved."),
    ("dns_timeout", LATE, "The origin server's name could not be resolved in time."),
    ("connection_refused", BAD, "The origin server refused the connection."),
    ("connection_timeout", LATE, "The origin server could not be reached in time."),
    ("destination_ip_unroutable", BAD, "There is no route to the origin server."),
    ("destination_unavailable", BAD, "The origin server could not be reached."),
    ("tls_protocol_error", BAD, "The TLS handshake with the origin server failed."),
    ("tls_certificate_error", BAD, "The origin server's certificate is not trusted."),
    ("http_response_timeout", LATE, "The origin server did not answer in time."),
    ("connection_terminated", BAD, "The origin server closed the connection too early."),
    ("http_response_incomplete", BAD, "The origin server closed the connection too early."),
    ("http_protocol_error", BAD, "The origin server's answer could not be understood."),
];

/// A connection that had been used before ended without a byte: its origin may have closed it at the moment when a request was sent, and
/// that request cannot be sent again.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed when it was used again")]
pub(crate) struct ClosedIdle(#[source] pub(crate) BoxError);

/// The first error of this type in a chain of causes, the error itself included.
pub(crate) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An io::Error hides what it carries from `source`, and shows only what that carries.
        if let Some(carried) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = find::<E>(carried)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use larder_tower::FetchErrorKind;

    use super::*;

    fn cause() -> BoxError {
        "connect 10.0.0.7:3000: secret detail".into()
    }

    fn limited() -> FetchError {
        FetchError::new(FetchErrorKind::Limited { may_be_stale: true }, cause())
    }

    #[test]
    fn the_cache_knows_an_error_of_a_limit_as_its_clients_own() {
        let kind = FetchErrorKind::of(&UpstreamError::Limited(limited()));
        assert_eq!(kind, FetchErrorKind::Limited { may_be_stale: true });
    }

    #[test]
    fn rfc9209_2_3_every_failure_has_its_type_and_status() {
        for (error, status, token) in [
            (UpstreamError::Dns(cause()), 502, "dns_error"),
            (UpstreamError::Refused(cause()), 502, "connection_refused"),
            (UpstreamError::ConnectTimeout(Phase::Dns), 504, "dns_timeout"),
            (UpstreamError::ConnectTimeout(Phase::Connect), 504, "connection_timeout"),
            (UpstreamError::ConnectTimeout(Phase::Tls), 504, "connection_timeout"),
            (UpstreamError::BreakerOpen { retry_after: 5 }, 503, "destination_unavailable"),
            (UpstreamError::Full { retry_after: 1 }, 503, "connection_limit_reached"),
            (UpstreamError::Limited(limited()), 429, "http_request_denied"),
            (UpstreamError::Unroutable(cause()), 502, "destination_ip_unroutable"),
            (UpstreamError::Tls(cause()), 502, "tls_protocol_error"),
            (UpstreamError::Certificate(cause()), 502, "tls_certificate_error"),
            (UpstreamError::Unavailable(cause()), 502, "destination_unavailable"),
            (UpstreamError::FirstByteTimeout, 504, "http_response_timeout"),
            (UpstreamError::Reset(cause()), 502, "connection_terminated"),
            (UpstreamError::Protocol(cause()), 502, "http_protocol_error"),
            (UpstreamError::BodyBroken(cause()), 502, "http_response_incomplete"),
            (UpstreamError::RequestBody(cause()), 400, "http_request_error"),
            (UpstreamError::RequestTooLarge, 413, "http_request_error"),
            (UpstreamError::RequestStalled, 408, "http_request_error"),
        ] {
            let problem = error.problem();
            assert_eq!((problem.status().as_u16(), problem.error()), (status, token), "{error}");
            // Another replica says the same of it, but for how far a connection came.
            if let Some(word) = error.shared_word() {
                let elsewhere = UpstreamError::problem_of(word).unwrap_or_else(|| panic!("no answer for {word}"));
                assert_eq!((elsewhere.status(), elsewhere.error()), (problem.status(), token), "{error}");
            }
        }
    }

    #[test]
    fn a_failure_that_says_nothing_of_the_origin_is_not_shared() {
        let own = [
            UpstreamError::BreakerOpen { retry_after: 5 },
            UpstreamError::Full { retry_after: 1 },
            UpstreamError::RequestStalled,
            UpstreamError::Limited(limited()),
            UpstreamError::Reset(Box::new(ClosedIdle(cause()))),
        ];
        for error in own {
            assert_eq!(error.shared_word(), None, "{error}");
        }
        assert_eq!(UpstreamError::Reset(cause()).shared_word(), Some("connection_terminated"));
        assert_eq!(UpstreamError::problem_of("a word of a later version"), None);
    }

    #[test]
    fn a_cause_inside_an_io_error_is_found() {
        let inner = io::Error::new(io::ErrorKind::ConnectionRefused, "inner");
        let outer: BoxError = Box::new(io::Error::other(inner));
        assert!(find::<io::Error>(&*outer).is_some());
        let carried: BoxError = Box::new(io::Error::other(UpstreamError::FirstByteTimeout));
        assert!(find::<UpstreamError>(&*carried).is_some());
    }
}
