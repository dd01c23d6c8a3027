//! How an upstream shares requests out to its servers, and what it does when one of them fails.

use std::ops::Range;
use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::UpstreamUrl;

/// One item of `servers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamServer {
    /// Where it is.
    pub url: UpstreamUrl,
    /// Its share of the requests, compared with the others'; from 1.
    pub weight: u16,
    /// Asked only while none of the others can be.
    pub backup: bool,
    /// Where its URL stands, for what shows only later. A reload that only moves a line changes no server.
    pub span: KeySpan,
}

/// A place in the file, which is no difference.
#[derive(Clone, Debug, Default)]
pub struct KeySpan(pub(crate) Option<Range<usize>>);

impl PartialEq for KeySpan {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for KeySpan {}

impl UpstreamServer {
    /// A server with the usual share.
    pub fn new(url: UpstreamUrl) -> Self {
        Self { url, weight: 1, backup: false, span: KeySpan::default() }
    }

    /// The same where its URL stands at these bytes of the file.
    pub(crate) fn at(self, span: Range<usize>) -> Self {
        Self { span: KeySpan(Some(span)), ..self }
    }
}

/// `balance`: which server has the next request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Of two that are drawn by weight, the one that is likely to answer first (peak EWMA, as in Finagle and Linkerd).
    #[default]
    LeastTime,
    /// One after the other, by weight.
    RoundRobin,
    /// The one with the fewest requests under way, compared with its weight.
    LeastRequests,
    /// The same server for the same key (rendezvous hashing), but for one that has a quarter more to do than its share.
    Hash(HashKey),
}

/// What `hash:TEMPLATE` makes its key of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashKey {
    /// In their order.
    pub parts: Vec<HashPart>,
}

/// A part of the key of `hash:TEMPLATE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashPart {
    /// Text between placeholders.
    Text(String),
    /// `{path}`
    Path,
    /// `{query}`, as it was sent.
    Query,
    /// `{host}`, as the request names it.
    Host,
    /// `{client}`: the client's address, as far as trusted proxies are believed.
    Client,
    /// `{header.NAME}`: the first line of a field.
    Header(HeaderName),
    /// `{cookie.NAME}`
    Cookie(String),
}

/// A share in thousandths: exact, so that two configurations can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PerMille(pub u16);

/// `eject`: when one of several servers is left out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eject {
    /// So many failures, which are at least half of what it answered meanwhile.
    pub failures: u32,
    /// The time in which they happen.
    pub within: Duration,
    /// The pause after the first ejection. The second in a row is twice as long, and so on, up to ten times.
    pub pause: Duration,
    /// At most this share of the servers is left out at a time, but one may always be.
    pub max_share: PerMille,
}

impl Default for Eject {
    fn default() -> Self {
        Self { failures: 5, within: Duration::from_secs(10), pause: Duration::from_secs(30), max_share: PerMille(500) }
    }
}

/// `retry`: which requests are sent once more, on a fresh connection and to another server where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often a request is sent again that may have reached a server. One of which nothing was sent goes to every other server.
    pub max: u32,
    /// What it is sent again for.
    pub on: RetryOn,
    /// Requests sent again that may have reached a server, as a share of all requests; ten a second are always allowed.
    pub budget: PerMille,
    /// The methods of requests that may be sent again after they may have reached a server.
    pub only: RetryMethods,
}

/// Failures that a request is sent again for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection came about, so nothing of the request was sent.
    pub connect: bool,
    /// The connection ended before a response.
    pub reset: bool,
    /// No response began within `first_byte_timeout`.
    pub timeout: bool,
    /// Responses with one of these statuses.
    pub statuses: Vec<StatusCode>,
}

/// Methods of requests that may be sent twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryMethods {
    /// Those that only read (RFC 9110 §9.2.1).
    #[default]
    Safe,
    /// Those and PUT and DELETE (RFC 9110 §9.2.2).
    Idempotent,
}

impl Default for Retry {
    fn default() -> Self {
        Self { max: 1, on: RetryOn::default(), budget: PerMille(200), only: RetryMethods::default() }
    }
}

impl Default for RetryOn {
    fn default() -> Self {
        let statuses = vec![StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        Self { connect: true, reset: true, timeout: true, statuses }
    }
}
