//! The outcome of an exchange with an origin.

use http::StatusCode;

/// How an exchange with an origin went, up to the response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginOutcome {
    /// The origin answered.
    Answered(StatusCode),
    /// It did not; the Proxy-Status error type (RFC 9209 §2.3).
    Failed(&'static str),
}
