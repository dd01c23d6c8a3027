//! What a line has of the response.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use larder_message::problem::Problem;
use larder_semantics::{PrimaryKey, Reason};
use larder_tower::CacheResult;

use crate::traces::TraceId;

/// The facts about a response when its head is ready.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseRecord<'a> {
    /// The route's name; `None` where none was chosen.
    pub route: Option<&'a Arc<str>>,
    /// `X-Cache`; `None` where the cache was never reached.
    pub result: Option<CacheResult>,
    /// Why.
    pub reason: Option<Reason>,
    /// The key that was looked up.
    pub key: Option<&'a PrimaryKey>,
    /// Whether the upstream's response is being stored; `None` where this request asked for none.
    pub stored: Option<bool>,
    /// Whether the response is of another request's fetch.
    pub collapsed: bool,
    /// The upstream that this request asked, by name; `None` where it asked none.
    pub upstream: Option<&'a Arc<str>>,
    /// The server of it that answered, or failed last; `None` where that is not known.
    pub upstream_server: Option<&'a str>,
    /// The status of its response, where there was one.
    pub upstream_status: Option<StatusCode>,
    /// Time from the request to the head of its response, or to the failure.
    pub upstream_time: Option<Duration>,
    /// The tokens that a stored answer of a model has saved.
    pub tokens_saved: Option<u64>,
    /// The part of that time which went into connections that were made for it; `None` where none was.
    pub upstream_connect: Option<Duration>,
    /// How often it was sent to a server.
    pub upstream_attempts: Option<u32>,
    /// The problem, where Larder itself wrote the response.
    pub problem: Option<Problem>,
    /// Its trace, where it has one.
    pub trace: Option<TraceId>,
}
