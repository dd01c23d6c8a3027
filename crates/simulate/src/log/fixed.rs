//! Formats of a fixed form that no pattern describes: HAProxy's HTTP log, CloudFront's columns, Larder's text.

use http::HeaderName;

use super::facts::{Facts, Flaw, Meaning, Moment};
use super::pattern::unescaped;
use super::record::LogRecord;

const ODD: Flaw = Flaw("it does not follow the format");
const SECONDS: u64 = 1_000_000_000;
const MILLISECONDS: u64 = 1_000_000;

/// HAProxy, `option httplog`, whatever the system's log has put before it:
///
/// ```text
/// … 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1"
/// ```
pub(crate) fn haproxy(line: &str) -> Result<LogRecord, Flaw> {
    let (before, after) =
        line.split_once(" [").filter(|(_, after)| after.get(2..3) == Some("/")).or_else(|| behind_tag(line)).ok_or(ODD)?;
    let (time, after) = after.split_once("] ").ok_or(ODD)?;
    let (columns, request) = after.split_once(" \"").ok_or(ODD)?;
    let mut columns = columns.split(' ');
    let mut column = || columns.next().ok_or(ODD);
    let (frontend, _server, times, status, bytes) = (column()?, column()?, column()?, column()?, column()?);
    let mut facts = Facts::default();
    facts.take(&Meaning::Client, before.rsplit(' ').next().unwrap_or_default())?;
    facts.take(&Meaning::Time, time)?;
    // A frontend's name ends so where the client spoke TLS.
    facts.take(&Meaning::Scheme, if frontend.ends_with('~') { "https" } else { "http" })?;
    facts.take(&Meaning::Status, if status == "-1" { "0" } else { status })?;
    facts.take(&Meaning::Bytes, bytes.trim_start_matches('+'))?;
    let mut times = times.split('/');
    facts.take(&Meaning::OriginTime(MILLISECONDS), times.clone().nth(3).unwrap_or_default())?;
    facts.take(&Meaning::Duration(MILLISECONDS), times.nth(4).unwrap_or_default().trim_start_matches('+'))?;
    facts.take(&Meaning::Request, request.strip_suffix('"').unwrap_or(request))?;
    facts.record(Moment::Start)
}

/// Client and what follows it, where brackets stand before them too: `haproxy[14389]: `.
fn behind_tag(line: &str) -> Option<(&str, &str)> {
    line.split_once("]: ")?.1.split_once(" [")
}

/// The columns that CloudFront names in the line `#Fields:`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Columns(Vec<Meaning>);

impl Columns {
    /// Reads that line, if it is one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let names = line.strip_prefix("#Fields:")?;
        Some(Self(names.split_ascii_whitespace().map(column).collect()))
    }

    /// The record of a line.
    pub(crate) fn read(&self, line: &str) -> Result<LogRecord, Flaw> {
        if self.0.is_empty() {
            return Err(Flaw("no line before it names its columns (#Fields:)"));
        }
        // Date and time are two columns of one point in time.
        let (date, rest) = line.split_once('\t').ok_or(ODD)?;
        let mut facts = Facts::default();
        facts.take(&Meaning::Time, &format!("{date}T{}", rest.split('\t').next().unwrap_or_default()))?;
        for (meaning, value) in self.0.iter().zip(line.split('\t')).skip(2) {
            facts.take(meaning, value)?;
        }
        facts.record(Moment::End)
    }
}

fn column(name: &str) -> Meaning {
    match name {
        "c-ip" => Meaning::Client,
        "cs-method" => Meaning::Method,
        "x-host-header" => Meaning::Host,
        "cs(Host)" => Meaning::ServerName,
        "cs-uri-stem" => Meaning::Path,
        "cs-uri-query" => Meaning::Query,
        "cs-protocol" => Meaning::Scheme,
        "sc-status" => Meaning::Status,
        "sc-bytes" => Meaning::Bytes,
        "time-taken" => Meaning::Duration(SECONDS),
        "x-edge-result-type" => Meaning::CacheWord,
        name => {
            let field = |prefix: &str| HeaderName::from_bytes(name.strip_prefix(prefix)?.strip_suffix(')')?.as_bytes()).ok();
            let response = field("sc(").map(Meaning::ResponseField);
            let sc = name.strip_prefix("sc-").and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
            response.or(sc.filter(|name| name == "content-type").map(Meaning::ResponseField)).unwrap_or(Meaning::Skip)
        }
    }
}

/// Larder's readable form:
///
/// ```text
/// 2026-11-21T09:30:00.123Z 127.0.0.1 "GET api.example.com/api/v1/issues?project=p" 200 5321B 0.312ms HIT fresh route="issue.list"
/// ```
pub(crate) fn larder(line: &str) -> Result<LogRecord, Flaw> {
    let (begin, rest) = line.split_once(" \"").ok_or(Flaw("it has no request that could be read"))?;
    let (time, client) = begin.split_once(' ').ok_or(ODD)?;
    let (request, rest) = rest.split_once("\" ").ok_or(ODD)?;
    let (method, target) = request.split_once(' ').ok_or(ODD)?;
    let mut columns = rest.split(' ');
    let mut column = || columns.next().ok_or(ODD);
    let (status, bytes, duration, result) = (column()?, column()?, column()?, column()?);
    let mut facts = Facts::default();
    facts.take(&Meaning::Time, time)?;
    facts.take(&Meaning::Client, client)?;
    facts.take(&Meaning::Method, method)?;
    facts.take(&Meaning::HostAndTarget, &unescaped(target))?;
    facts.take(&Meaning::Status, if status == "-" { "0" } else { status })?;
    facts.take(&Meaning::Bytes, bytes.trim_end_matches('B'))?;
    facts.take(&Meaning::Duration(MILLISECONDS), duration.trim_end_matches("ms"))?;
    facts.take(&Meaning::CacheWord, result)?;
    for column in columns {
        match column.split_once('=') {
            Some(("upstream_time", time)) => facts.take(&Meaning::OriginTime(MILLISECONDS), time.trim_end_matches("ms"))?,
            Some(("body_hash", hash)) => facts.take(&Meaning::BodyHash, hash)?,
            _ => {}
        }
    }
    facts.record(Moment::Start)
}
