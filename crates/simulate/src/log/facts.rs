//! The facts of a line, gathered field by field, and the record that they make.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use larder_semantics::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::record::LogRecord;
use super::time;

/// What a field of a line means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meaning {
    /// Nothing that matters here.
    Skip,
    /// An address, or the first of several; a port behind it is cut off.
    Client,
    User,
    Time,
    /// When the request arrived, while `Time` may be its end.
    Start,
    /// Method, target and version.
    Request,
    Method,
    /// Path and query, or a whole URL.
    Target,
    Path,
    /// A host with path and query behind it.
    HostAndTarget,
    /// With or without its question mark.
    Query,
    /// `https`, `on` and the like.
    Scheme,
    Host,
    /// The server's own name: the host, where nothing better is known.
    ServerName,
    Status,
    Bytes,
    /// Of the whole request, in units of so many nanoseconds.
    Duration(u64),
    /// Of the origin, likewise; several are added up.
    OriginTime(u64),
    RequestField(HeaderName),
    ResponseField(HeaderName),
    Cookie(String),
    /// Of the origin's body, in any form: only whether it is the same matters.
    BodyHash,
    /// `HIT`, `MISS` and other words for it.
    CacheWord,
}

/// Why a line is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw(pub(crate) &'static str);

/// When the time of a line is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// When the request arrives.
    Start,
    /// When the answer was sent.
    End,
}

/// The facts of one line so far.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    time: Option<Timestamp>,
    start: Option<Timestamp>,
    client: Option<IpAddr>,
    user: Option<Box<str>>,
    method: Option<Method>,
    target: Option<Uri>,
    path: Option<String>,
    query: Option<String>,
    secure: Option<bool>,
    host: Option<Box<str>>,
    server_name: Option<Box<str>>,
    status: Option<StatusCode>,
    bytes: Option<u64>,
    duration: Option<Duration>,
    origin_time: Option<Duration>,
    request_fields: HeaderMap,
    response_fields: HeaderMap,
    body_hash: Option<Box<str>>,
    was_hit: Option<bool>,
}

impl Facts {
    /// Takes the value of a field. `-` and nothing are no values.
    pub(crate) fn take(&mut self, meaning: &Meaning, text: &str) -> Result<(), Flaw> {
        if text.is_empty() || text == "-" {
            return Ok(());
        }
        match meaning {
            Meaning::Skip => {}
            Meaning::Client => self.client = address(text),
            Meaning::User => self.user = Some(text.into()),
            Meaning::Time => self.time = Some(time::read(text).ok_or(Flaw("its time cannot be read"))?),
            Meaning::Start => self.start = time::read(text),
            Meaning::Request => self.request(text)?,
            Meaning::Method => self.method = Some(Method::from_bytes(text.as_bytes()).map_err(|_| Flaw("its method is none"))?),
            Meaning::Target => self.target(text)?,
            Meaning::HostAndTarget => {
                let (host, target) = text.split_at(text.find('/').unwrap_or(text.len()));
                self.host = Some(host.into()).filter(|_| !host.is_empty());
                self.target(target)?;
            }
            Meaning::Path => self.path = Some(text.to_owned()),
            Meaning::Query => self.query = Some(text.strip_prefix('?').unwrap_or(text).to_owned()),
            Meaning::Scheme => self.secure = Some(matches!(text, "https" | "on" | "wss" | "h2" | "true")),
            Meaning::Host => self.host = Some(text.into()),
            Meaning::ServerName => self.server_name = Some(text.into()),
            Meaning::Status => self.status = Some(status(text)?),
            Meaning::Bytes => self.bytes = text.parse().ok(),
            Meaning::Duration(unit) => self.duration = duration(text, *unit).or(self.duration),
            Meaning::OriginTime(unit) => self.origin_time = duration(text, *unit),
            Meaning::RequestField(name) => put(&mut self.request_fields, name, text),
            Meaning::ResponseField(name) => put(&mut self.response_fields, name, text),
            Meaning::Cookie(name) => put(&mut self.request_fields, &header::COOKIE, &format!("{name}={text}")),
            Meaning::BodyHash => self.body_hash = Some(text.into()),
            Meaning::CacheWord => self.was_hit = was_hit(text),
        }
        Ok(())
    }

    /// `GET /path HTTP/1.1`; the version may be missing.
    fn request(&mut self, text: &str) -> Result<(), Flaw> {
        let (method, rest) = text.split_once(' ').ok_or(Flaw("it has no request that could be read"))?;
        let target = match rest.rsplit_once(' ') {
            Some((target, version)) if version.starts_with("HTTP/") => target,
            _ => rest,
        };
        self.method = Some(Method::from_bytes(method.as_bytes()).map_err(|_| Flaw("it has no request that could be read"))?);
        self.target(target)
    }

    fn target(&mut self, text: &str) -> Result<(), Flaw> {
        let target = match text.split_once("://") {
            Some((scheme, rest)) if !text.starts_with('/') => {
                self.secure = Some(scheme.eq_ignore_ascii_case("https"));
                let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                self.host = Some(authority.into());
                if target.starts_with('/') { Cow::Borrowed(target) } else { Cow::Owned(format!("/{target}")) }
            }
            _ => Cow::Borrowed(text),
        };
        self.target = Some(uri(&target)?);
        Ok(())
    }

    /// The record of a line whose fields all were taken.
    pub(crate) fn record(mut self, moment: Moment) -> Result<LogRecord, Flaw> {
        let target = match (self.target, self.path) {
            (Some(target), _) => target,
            (None, Some(path)) => match self.query {
                Some(query) => uri(&format!("{path}?{query}"))?,
                None => uri(&path)?,
            },
            (None, None) => return Err(Flaw("it has no request that could be read")),
        };
        let logged = self.start.or(self.time).ok_or(Flaw("it has no time"))?;
        let ended_then = self.start.is_none() && moment == Moment::End;
        let before = self.duration.filter(|_| ended_then).map_or(0, |duration| duration.as_millis() as u64);
        let host = self.request_fields.remove(header::HOST).and_then(|host| Some(host.to_str().ok()?.into()));
        let host = self.host.or(host).or(self.server_name.filter(|name| &**name != "_"));
        // The body has another length here than its own head says.
        self.response_fields.remove(header::CONTENT_LENGTH);
        Ok(LogRecord {
            time: Timestamp::from_millis(logged.as_millis().saturating_sub(before)),
            client: self.client,
            method: self.method.unwrap_or_default(),
            secure: self.secure,
            host: host.map(|host| without_usual_port(host, self.secure)),
            target,
            status: self.status.ok_or(Flaw("it has no status: its client left before there was one"))?,
            bytes: self.bytes.unwrap_or_default(),
            origin_time: self.origin_time.or(self.duration),
            user: self.user,
            request_fields: self.request_fields,
            response_fields: self.response_fields,
            body_hash: self.body_hash,
            was_hit: self.was_hit,
        })
    }
}

/// Characters that stand in logs and not in targets: those that a log has unescaped, and those of the secrets that Larder masks.
const UNSENT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}').add(b'#');

fn uri(target: &str) -> Result<Uri, Flaw> {
    let target =
        if target.starts_with('/') || target == "*" { target } else { return Err(Flaw("its target is neither a path nor a URL")) };
    if let Ok(uri) = Uri::try_from(target)
        && target.is_ascii()
    {
        return Ok(uri);
    }
    utf8_percent_encode(target, UNSENT).to_string().parse().map_err(|_| Flaw("its target cannot be read"))
}

fn address(text: &str) -> Option<IpAddr> {
    let first = text.split([',', ' ']).next()?;
    let unbracketed = first.trim_start_matches('[').trim_end_matches(']');
    unbracketed.parse().ok().or_else(|| {
        let (address, _) = first.rsplit_once(':')?;
        address.trim_start_matches('[').trim_end_matches(']').parse().ok()
    })
}

fn status(text: &str) -> Result<StatusCode, Flaw> {
    let number = text.parse::<u16>().map_err(|_| Flaw("its status is no number"))?;
    match number {
        0 => Err(Flaw("it has no status: its client left before there was one")),
        499 => Err(Flaw("its client left before there was an answer (499)")),
        _ => StatusCode::from_u16(number).map_err(|_| Flaw("its status is none of HTTP")),
    }
}

/// A duration, or the sum of several: `0.004`, `0.004, 0.1 : 0.02`, `1.2ms`. Less than nothing is none.
fn duration(text: &str, unit: u64) -> Option<Duration> {
    let parts = text.split([',', ':']).map(str::trim).filter(|part| !part.is_empty() && *part != "-");
    let mut sum = None;
    for part in parts {
        let nanos = part.parse::<f64>().ok().filter(|value| (0.0..1e12).contains(value))? * unit as f64;
        sum = Some(sum.unwrap_or(Duration::ZERO) + Duration::from_nanos(nanos as u64));
    }
    sum
}

fn put(fields: &mut HeaderMap, name: &HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        fields.append(name.clone(), value);
    }
}

fn was_hit(word: &str) -> Option<bool> {
    let word = word.to_ascii_lowercase();
    if word.contains("miss") || ["bypass", "expired", "dynamic", "error", "pass", "pipe", "none", "updating-miss"].contains(&word.as_str())
    {
        return Some(false);
    }
    (word.contains("hit") || ["stale", "updating", "revalidated"].contains(&word.as_str())).then_some(true)
}

fn without_usual_port(host: Box<str>, secure: Option<bool>) -> Box<str> {
    let usual = if secure == Some(true) { ":443" } else { ":80" };
    match host.strip_suffix(usual) {
        Some(bare) => bare.into(),
        None => host,
    }
}
