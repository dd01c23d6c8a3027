//! `[log]`: the form of the access log, which requests are in it and where it goes.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use larder_semantics::Reason;

/// `[log]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// One line a request.
    pub access: AccessLog,
    /// The members of a line as JSON, in this order; `None`: [`LogField::ALL`].
    pub fields: Option<Vec<LogField>>,
    /// The pieces of a line as text; `None`: the usual ones.
    pub format: Option<Vec<LogPiece>>,
    /// Only requests to which one of these applies are logged; empty: all.
    pub only: Vec<LogCondition>,
    /// The share of them that is logged; `None`: all.
    pub sample: Option<LogSample>,
    /// Appended to, and opened again on SIGUSR1; `None`: standard output.
    pub file: Option<PathBuf>,
    /// The least severe event of the gateway itself that is logged.
    pub level: LogLevel,
}

/// The form of the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// None, and nothing is computed for it.
    Off,
    /// For programs.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Severity of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what needs someone.
    Error,
    /// And what is odd.
    Warn,
    /// And what happens: start, reload, stop.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And everything.
    Trace,
}

macro_rules! log_fields {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)+) => {
        /// A fact about a request that its line may have.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum LogField {
            $($(#[doc = $doc])* $name,)+
            /// The tokens that a stored answer of a model has saved.
            TokensSaved,
            /// A hash of the body that came from the origin.
            BodyHash,
            /// A field of the request's head.
            Header(HeaderName),
        }

        impl LogField {
            /// Those that a line has only where they are named, besides fields of heads.
            pub const IF_NAMED: &'static [LogField] = &[Self::TokensSaved, Self::BodyHash];

            /// Every other one, in the usual order.
            pub const ALL: &'static [LogField] = &[$(Self::$name,)+];

            /// Its name; that of a field of the head is its own.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$name => $text,)+
                    Self::TokensSaved => "tokens_saved",
                    Self::BodyHash => "body_hash",
                    Self::Header(name) => name.as_str(),
                }
            }
        }
    };
}

log_fields! {
    /// When the request's head was read.
    Timestamp = "timestamp",
    /// The client's address.
    Client = "client",
    /// The method.
    Method = "method",
    /// Host and port as the client named them.
    Host = "host",
    /// Path and query, with secrets masked.
    Target = "target",
    /// The status; none where the client left before there was an answer.
    Status = "status",
    /// Bytes of the body that were handed to the connection.
    Bytes = "bytes",
    /// Microseconds from the request's head to the end of the body.
    DurationUs = "duration_us",
    /// The cache's result.
    Result = "result",
    /// The reason for it.
    Reason = "reason",
    /// The route's name.
    Route = "route",
    /// The cache key.
    Key = "key",
    /// Whether the origin's answer is being stored.
    Stored = "stored",
    /// Whether the answer is that of another request's fetch.
    Collapsed = "collapsed",
    /// The upstream that was asked.
    Upstream = "upstream",
    /// The server of the upstream that answered, or failed last.
    UpstreamServer = "upstream_server",
    /// The status of its answer.
    UpstreamStatus = "upstream_status",
    /// Microseconds to the head of its answer, or to the failure.
    UpstreamUs = "upstream_us",
    /// `X-Request-Id`.
    RequestId = "request_id",
    /// The trace, where the request has one.
    TraceId = "trace_id",
    /// The version of HTTP.
    Protocol = "protocol",
    /// Larder's own words about a refusal or a failure.
    Problem = "problem",
    /// Whether the whole body was sent.
    Transfer = "transfer",
}

/// A piece of a line as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPiece {
    /// Text as it stands.
    Literal(String),
    /// A fact; `-` where there is none.
    Field(LogField),
}

/// What a request has to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogCondition {
    /// It was answered with a 5xx.
    Errors,
    /// The client left before the end, or the body broke off.
    Aborted,
    /// It was answered with this status.
    Status(u16),
    /// It was answered with a status of this class, from 1 to 5.
    StatusClass(u16),
    /// It took longer, to the end of its body.
    Slow(Duration),
    /// The cache's result, as in the log: `HIT`, ….
    Result(&'static str),
    /// The reason.
    Reason(Reason),
}

/// The share of requests that is logged.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSample {
    /// From 0 to 1.
    pub share: f64,
    /// Requests to which one of these applies are logged in any case.
    pub always: Vec<LogCondition>,
}
