//! The facts about a request, when they are known.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, StatusCode};
use larder_config::LogField;
use larder_semantics::{Reason, Timestamp};
use larder_tower::CacheResult;

use super::ResponseRecord;
use super::line::{RequestLine, Sent, clipped};
use super::put;
use super::redact::redacted;
use super::value::Value;

/// What is known when the head of a request was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestFacts<'a> {
    pub(super) time: Timestamp,
    pub(super) client: Option<IpAddr>,
    /// `None`: no request could be read.
    pub(super) line: Option<RequestLine<'a>>,
    pub(super) fields: Option<&'a HeaderMap>,
}

impl<'a> RequestFacts<'a> {
    pub(super) fn value(&self, field: &LogField) -> Value<'a> {
        match field {
            LogField::Timestamp => Value::Time(self.time),
            LogField::Client => self.client.map_or(Value::None, Value::Address),
            LogField::Method => Value::text(self.line.map(|line| line.method.as_str())),
            LogField::Host => Value::text(Some(self.line.map_or("", |line| line.host))),
            LogField::Target => Value::Text(redacted(self.line.map_or("", |line| line.target))),
            LogField::Header(name) => self.header(name),
            _ => Value::None,
        }
    }

    /// A field that came with it, the first where there are several. One with secrets in the query of a URL has them masked.
    fn header(&self, name: &HeaderName) -> Value<'a> {
        let value = self.fields.and_then(|fields| fields.get(name)).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        value.map_or(Value::None, |value| Value::Text(redacted(clipped(value))))
    }
}

/// What is known when the head of an answer is ready.
#[derive(Debug)]
pub(super) struct ResponseFacts<'a> {
    pub(super) record: &'a ResponseRecord<'a>,
    pub(super) key: Option<&'a str>,
    pub(super) request_id: Option<&'a str>,
    pub(super) protocol: Option<&'a str>,
}

impl<'a> ResponseFacts<'a> {
    pub(super) fn value(&self, field: &LogField) -> Value<'a> {
        let record = self.record;
        match field {
            LogField::Route => Value::text(record.route.map(|route| &**route)),
            LogField::Key => self.key.map_or(Value::None, |key| Value::Text(redacted(key))),
            LogField::Stored => record.stored.map_or(Value::None, Value::Bool),
            LogField::Collapsed => Value::Bool(record.collapsed),
            LogField::Upstream => Value::text(record.upstream.map(|upstream| &**upstream)),
            LogField::UpstreamServer => Value::text(record.upstream_server),
            LogField::UpstreamStatus => Value::number(record.upstream_status.map(|status| status.as_u16().into())),
            LogField::UpstreamUs => Value::number(record.upstream_time.map(put::micros)),
            LogField::RequestId => Value::text(self.request_id),
            LogField::TraceId => record.trace.map_or(Value::None, |trace| Value::Text(trace.to_string().into())),
            LogField::Protocol => Value::text(self.protocol),
            LogField::TokensSaved => Value::number(record.tokens_saved),
            LogField::Problem => Value::text(record.problem.map(|problem| problem.detail())),
            _ => Value::None,
        }
    }
}

/// What is known when an answer was sent.
pub(super) fn sent(sent: &Sent, field: &LogField) -> Value<'static> {
    match field {
        LogField::Status => Value::number(sent.status.as_ref().map(StatusCode::as_u16).map(u64::from)),
        LogField::Bytes => Value::Number(sent.bytes),
        LogField::DurationUs => Value::Number(put::micros(sent.duration)),
        LogField::Result => Value::text(sent.result.map(CacheResult::logged)),
        LogField::Reason => Value::text(sent.reason.map(Reason::as_str)),
        LogField::Transfer => Value::text(Some(sent.transfer.as_str())),
        LogField::BodyHash => sent.body_hash().map_or(Value::None, |hash| Value::Text(format!("{hash:016x}").into())),
        _ => Value::None,
    }
}
