//! Why connecting failed, distinguished as in RFC 9209 §2.3.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use larder_tower::BoxError;

use super::trace::{ConnectTrace, DnsFailure};
use crate::error::{Phase, find};

/// Why no connection came about.
#[derive(Debug)]
pub(crate) struct ConnectFailure {
    kind: ConnectFailureKind,
    source: BoxError,
    trace: Arc<ConnectTrace>,
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.trace.addresses() {
            [] => f.write_str("no connection"),
            addresses => write!(f, "no connection to {}", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Error for ConnectFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectFailureKind {
    Dns,
    Refused,
    Timeout,
    Unroutable,
    Tls,
    Certificate,
    Other,
}

impl ConnectFailure {
    pub(super) fn new(source: BoxError) -> Self {
        Self { kind: ConnectFailureKind::of(&source), source, trace: Arc::default() }
    }

    pub(super) fn late(trace: Arc<ConnectTrace>) -> Self {
        Self { kind: ConnectFailureKind::Timeout, source: "deadline passed".into(), trace }
    }

    pub(super) fn traced(self, trace: Arc<ConnectTrace>) -> Self {
        Self { trace, ..self }
    }

    pub(crate) fn kind(&self) -> ConnectFailureKind {
        self.kind
    }

    pub(crate) fn phase(&self) -> Phase {
        self.trace.phase()
    }
}

impl ConnectFailureKind {
    fn of(error: &BoxError) -> Self {
        if find::<DnsFailure>(&**error).is_some() {
            return Self::Dns;
        }
        match find::<rustls::Error>(&**error) {
            Some(rustls::Error::InvalidCertificate(_)) => return Self::Certificate,
            Some(_) => return Self::Tls,
            None => {}
        }
        match find::<io::Error>(&**error).map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => Self::Refused,
            Some(io::ErrorKind::TimedOut) => Self::Timeout,
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => Self::Unroutable,
            _ => Self::Other,
        }
    }
}
