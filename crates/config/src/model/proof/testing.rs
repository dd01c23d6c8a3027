//! `[[tests]]`: requests with the answers of a scripted origin, and what is to come of them.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};

use crate::parse::source::Source;

/// The tests of one file.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// In the order of the file.
    pub tests: Vec<Test>,
    pub(crate) source: Arc<Source>,
}

impl TestFile {
    /// The file as the user named it.
    pub fn path(&self) -> &str {
        self.source.path()
    }

    /// The line of a test or a step, from 1.
    pub fn line(&self, place: &Range<usize>) -> usize {
        self.source.position(place.start).0
    }
}

/// One of `[[tests]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name; no two of a file have the same.
    pub name: String,
    /// What happens, one after the other; never empty.
    pub steps: Vec<TestStep>,
    /// Where it stands in its file.
    pub place: Range<usize>,
}

/// One step of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestStep {
    /// The time that passes before it.
    pub wait: Duration,
    /// What is done then.
    pub action: TestAction,
    /// What the origin answers from now on where it is asked for this path; `None`: what it has answered last.
    pub answer: Option<TestAnswer>,
    /// What is to come of it.
    pub expect: TestExpectations,
    /// Where it stands in its file.
    pub place: Range<usize>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestAction {
    /// Nothing: time passes.
    Wait,
    /// A client asks.
    Request(Box<TestRequest>),
    /// Somebody purges these targets: `tag:issue:7`.
    Purge(Vec<PurgeWord>),
    /// Something happens elsewhere that `[[on_event]]` knows.
    Event(TestEvent),
}

/// An event as `POST /events` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestEvent {
    /// Its type.
    pub kind: String,
    /// All of it: an object with the type.
    pub message: serde_json::Value,
}

/// The request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRequest {
    /// The method; never CONNECT.
    pub method: Method,
    /// A whole URL.
    pub url: Uri,
    /// Its fields, but for `Host`.
    pub headers: HeaderMap,
    /// Its content.
    pub body: String,
    /// The address that it comes from.
    pub client: IpAddr,
}

/// What the origin answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestAnswer {
    /// The time that it takes.
    pub takes: Duration,
    /// What it is.
    pub content: TestContent,
}

/// A response of the origin, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestContent {
    /// A response.
    Response {
        /// Its status.
        status: StatusCode,
        /// Its fields.
        headers: HeaderMap,
        /// Its content.
        body: Bytes,
    },
    /// None.
    Failure(TestFailure),
}

/// How an origin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestFailure {
    /// It takes no connection.
    Unreachable,
    /// It does not begin to answer in time.
    Timeout,
}

/// What is to come of a step. What is `None` or empty is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestExpectations {
    /// Where the answer came from.
    pub result: Option<TestResult>,
    /// The word for why.
    pub reason: Option<&'static str>,
    /// Whether the answer is stored now.
    pub stored: Option<bool>,
    /// Whether a stale response was served.
    pub stale: Option<bool>,
    /// Whether the origin was asked, be it in the background.
    pub fetched: Option<bool>,
    /// Seconds in `Age`.
    pub age: Option<u32>,
    /// Seconds for which what is stored will be fresh.
    pub ttl: Option<u32>,
    /// The status of the answer.
    pub status: Option<StatusCode>,
    /// The content of the answer.
    pub body: Option<String>,
    /// Fields of the answer.
    pub headers: Vec<(HeaderName, FieldExpectation)>,
    /// Fields of what the origin was sent.
    pub sent: Vec<(HeaderName, FieldExpectation)>,
    /// Everything that the step invalidates, besides the URLs that RFC 9111 §4.4 names for a write.
    pub purges: Option<Vec<PurgeWord>>,
    /// The key: all of it, its URL, or its path.
    pub key: Option<String>,
    /// The surrogate keys of what is stored.
    pub tags: Option<Vec<String>>,
    /// The name of the route.
    pub route: Option<String>,
}

impl TestExpectations {
    /// Whether nothing else is expected than what a purge comes to.
    pub fn is_of_purge(&self) -> bool {
        Self { purges: None, ..self.clone() }.is_empty()
    }

    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestResult {
    /// The store.
    Hit,
    /// The store, after the origin was asked whether it still holds.
    Revalidated,
    /// The origin.
    Miss,
    /// The origin, past the store.
    Bypass,
    /// Larder itself, which did not let the request through.
    Refused,
    /// Larder itself, since the origin failed.
    Failed,
    /// Larder itself, which has purged something.
    Purge,
    /// The request asks for a tunnel to the origin.
    Tunnel,
}

impl TestResult {
    /// All of them, by their words.
    pub(crate) const WORDS: [(&'static str, Self); 8] = [
        ("hit", Self::Hit),
        ("miss", Self::Miss),
        ("revalidated", Self::Revalidated),
        ("bypass", Self::Bypass),
        ("refused", Self::Refused),
        ("failed", Self::Failed),
        ("purge", Self::Purge),
        ("tunnel", Self::Tunnel),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, own)| *own == self).map_or("", |(word, _)| word)
    }
}

/// What is to be in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldExpectation {
    /// These lines, and no others.
    Lines(Vec<String>),
    /// Anything.
    Present,
    /// There is no such field.
    Absent,
}

/// A target of a purge as people write it: `tag:issue:7`, `all`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PurgeWord {
    /// `tag`, `url` and the like.
    pub kind: String,
    /// What stands behind its colon; empty where a kind needs nothing more.
    pub value: String,
}

impl PurgeWord {
    /// The kinds that name something.
    pub(crate) const KINDS: [&'static str; 10] =
        ["tag", "url", "prefix", "route", "class", "namespace", "pattern", "regex", "path", "name"];
    /// The kinds that stand alone.
    pub(crate) const ALONE: [&'static str; 2] = ["all", "identity"];
}

impl fmt::Display for PurgeWord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => formatter.write_str(&self.kind),
            value => write!(formatter, "{}:{value}", self.kind),
        }
    }
}
