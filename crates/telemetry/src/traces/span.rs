//! Spans as plain data.

use std::borrow::Cow;

use super::context::TraceId;

/// The role that the process has in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A step within it.
    Internal,
    /// It answers a request.
    Server,
    /// It sends a request.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Bool(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// An attribute. The names are those of OpenTelemetry's conventions for HTTP, as far as they have one.
pub type Attribute = (&'static str, Value);

/// A span of another trace, or another place of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: u64,
}

/// A step of a request, with its times in nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace that it is a part of.
    pub trace: TraceId,
    /// Its own name within that.
    pub id: u64,
    /// The span around it.
    pub parent: Option<u64>,
    /// What it is, in a word or two of few values.
    pub name: Cow<'static, str>,
    /// The process's role.
    pub kind: SpanKind,
    /// When it began.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// What is known of it.
    pub attributes: Vec<Attribute>,
    /// Spans that it has to do with, which are not around it.
    pub links: Vec<Link>,
    /// Why it failed, if it did.
    pub error: Option<&'static str>,
}
