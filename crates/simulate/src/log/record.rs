//! A request as a line of a log tells it.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, Uri};
use larder_semantics::Timestamp;

/// A request and its answer, as far as a log tells of them.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// When the request arrived, or as near to that as the log comes.
    pub time: Timestamp,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: Method,
    /// Whether it came over TLS.
    pub secure: Option<bool>,
    /// Host, with the port unless that is the usual one.
    pub host: Option<Box<str>>,
    /// Path and query.
    pub target: Uri,
    /// The status of the answer.
    pub status: StatusCode,
    /// Bytes of its body; some formats count its head too.
    pub bytes: u64,
    /// How long the origin took, where the log tells; otherwise how long the whole took.
    pub origin_time: Option<Duration>,
    /// The name under which the client proved who it is.
    pub user: Option<Box<str>>,
    /// Fields of the request that the log has.
    pub request_fields: HeaderMap,
    /// Fields of the answer that the log has.
    pub response_fields: HeaderMap,
    /// A hash of the body that the origin sent.
    pub body_hash: Option<Box<str>>,
    /// Whether a cache that wrote the log answered from its store.
    pub was_hit: Option<bool>,
}
