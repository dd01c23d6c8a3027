//! Failures of an exchange, classified from the errors of the libraries below it.

use http_body_util::LengthLimitError;
use larder_tower::BoxError;

use crate::connect::{ConnectFailure, ConnectFailureKind};
use crate::error::{Phase, UpstreamError, find};
use crate::http1::{ContentFailed, Malformed};

/// Tells apart the errors of connecting, and of an exchange on an open connection.
pub(crate) fn classify(error: impl Into<BoxError>) -> UpstreamError {
    let error = error.into();
    if let Some(failure) = find::<ConnectFailure>(&*error) {
        let (kind, phase) = (failure.kind(), failure.phase());
        return not_connected(kind, phase, error);
    }
    match find::<hyper::Error>(&*error) {
        _ if find::<LengthLimitError>(&*error).is_some() => UpstreamError::RequestTooLarge,
        _ if find::<ContentFailed>(&*error).is_some() => UpstreamError::RequestBody(error),
        _ if find::<Malformed>(&*error).is_some() => UpstreamError::Protocol(error),
        Some(inner) if inner.is_user() => UpstreamError::RequestBody(error),
        Some(inner) if inner.is_parse() => UpstreamError::Protocol(error),
        _ => UpstreamError::Reset(error),
    }
}

fn not_connected(kind: ConnectFailureKind, phase: Phase, source: BoxError) -> UpstreamError {
    match kind {
        ConnectFailureKind::Dns => UpstreamError::Dns(source),
        ConnectFailureKind::Refused => UpstreamError::Refused(source),
        ConnectFailureKind::Timeout => UpstreamError::ConnectTimeout(phase),
        ConnectFailureKind::Unroutable => UpstreamError::Unroutable(source),
        ConnectFailureKind::Tls => UpstreamError::Tls(source),
        ConnectFailureKind::Certificate => UpstreamError::Certificate(source),
        ConnectFailureKind::Other => UpstreamError::Unavailable(source),
    }
}
