//! The kinds of failures of an inner service.

use std::error::Error;
use std::io::{self, ErrorKind};

use http::StatusCode;

use super::FetchError;

/// The kind of failure of an inner service: enough to choose a status, and for a label in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// There was no connection that the request could have gone out on.
    Connect,
    /// It took too long.
    Timeout,
    /// The service takes no more requests now.
    Overloaded,
    /// The client of this request may have no more now, which says nothing about other requests. Where it `may_be_stale`, what is stored stands in.
    Limited {
        /// Whether a stored response stands in, however stale.
        may_be_stale: bool,
    },
    /// The connection ended before the whole answer was there.
    Terminated,
    /// The answer is malformed.
    Protocol,
    /// The fetch ended without an answer: it panicked, or the runtime is shutting down.
    Lost,
    /// Anything else.
    Other,
}

impl FetchErrorKind {
    /// The kind of an error, by the first among it and its sources that is known: [`FetchError`], [`io::Error`], the time-outs of tokio and
    /// tower, and tower's load shedding. An inner service with other errors says it itself ([`FetchError::new`]).
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            match Self::known(error) {
                Self::Other => next = error.source(),
                kind => return kind,
            }
        }
        Self::Other
    }

    fn known(error: &(dyn Error + 'static)) -> Self {
        if let Some(error) = error.downcast_ref::<FetchError>() {
            return error.kind();
        }
        if error.is::<tokio::time::error::Elapsed>() || error.is::<tower::timeout::error::Elapsed>() {
            return Self::Timeout;
        }
        if error.is::<tower::load_shed::error::Overloaded>() {
            return Self::Overloaded;
        }
        let Some(error) = error.downcast_ref::<io::Error>() else { return Self::Other };
        // Its `source` is not what it carries, but what that has for a source.
        match error.get_ref().map_or(Self::Other, |carried| Self::of(carried)) {
            Self::Other => Self::of_io(error.kind()),
            kind => kind,
        }
    }

    fn of_io(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::ConnectionRefused
            | ErrorKind::AddrNotAvailable
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NotConnected => Self::Connect,
            ErrorKind::TimedOut => Self::Timeout,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
                Self::Terminated
            }
            ErrorKind::InvalidData => Self::Protocol,
            _ => Self::Other,
        }
    }

    /// The status of an answer that says so: 504 for a time-out, 503 where the service takes no more, 429 where it takes no more of this client, and
    /// 502 otherwise.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Connect | Self::Terminated | Self::Protocol | Self::Lost | Self::Other => StatusCode::BAD_GATEWAY,
        }
    }

    /// The Proxy-Status error type (RFC 9209 §2.3): a bounded set, fit for a label.
    pub fn proxy_error(self) -> &'static str {
        match self {
            Self::Connect => "destination_unavailable",
            Self::Timeout => "http_response_timeout",
            Self::Overloaded => "connection_limit_reached",
            Self::Limited { .. } => "http_request_denied",
            Self::Terminated => "connection_terminated",
            Self::Protocol => "http_protocol_error",
            Self::Lost | Self::Other => "proxy_internal_error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::BoxError;

    #[derive(Debug, thiserror::Error)]
    #[error("the client failed")]
    struct Client(#[source] BoxError);

    #[tokio::test]
    async fn the_kind_is_told_by_the_first_error_that_is_known() {
        let io = |kind: ErrorKind| -> BoxError { Box::new(io::Error::from(kind)) };
        let elapsed = tokio::time::timeout(std::time::Duration::ZERO, std::future::pending::<()>()).await.expect_err("nothing comes");
        for (error, kind) in [
            (io(ErrorKind::ConnectionRefused), FetchErrorKind::Connect),
            (io(ErrorKind::UnexpectedEof), FetchErrorKind::Terminated),
            (io(ErrorKind::InvalidData), FetchErrorKind::Protocol),
            (io(ErrorKind::PermissionDenied), FetchErrorKind::Other),
            (elapsed.into(), FetchErrorKind::Timeout),
            (tower::timeout::error::Elapsed::new().into(), FetchErrorKind::Timeout),
            (tower::load_shed::error::Overloaded::new().into(), FetchErrorKind::Overloaded),
            ("words only".into(), FetchErrorKind::Other),
            (Client(io(ErrorKind::TimedOut)).into(), FetchErrorKind::Timeout),
            // The error inside an io::Error says more than its kind.
            (io::Error::new(ErrorKind::InvalidData, io::Error::from(ErrorKind::ConnectionReset)).into(), FetchErrorKind::Terminated),
            (Client(FetchError::new(FetchErrorKind::Overloaded, "full").into()).into(), FetchErrorKind::Overloaded),
        ] {
            assert_eq!(FetchErrorKind::of(&*error), kind, "{error:?}");
        }
    }

    #[test]
    fn rfc9209_2_3_every_kind_has_a_status_and_a_type() {
        for (kind, status, error) in [
            (FetchErrorKind::Connect, 502, "destination_unavailable"),
            (FetchErrorKind::Timeout, 504, "http_response_timeout"),
            (FetchErrorKind::Overloaded, 503, "connection_limit_reached"),
            (FetchErrorKind::Limited { may_be_stale: false }, 429, "http_request_denied"),
            (FetchErrorKind::Terminated, 502, "connection_terminated"),
            (FetchErrorKind::Protocol, 502, "http_protocol_error"),
            (FetchErrorKind::Lost, 502, "proxy_internal_error"),
            (FetchErrorKind::Other, 502, "proxy_internal_error"),
        ] {
            assert_eq!((kind.status().as_u16(), kind.proxy_error()), (status, error));
        }
    }
}
