//! Lines of JSON: nginx with its own names, Caddy, Traefik, Cloudflare's Logpush, Larder.

use http::{HeaderName, header};
use serde_json::{Map, Value};

use super::facts::{Facts, Flaw, Meaning, Moment};
use super::pattern::nginx_variable;
use super::record::LogRecord;

const SECONDS: u64 = 1_000_000_000;
const MILLISECONDS: u64 = 1_000_000;
const MICROSECONDS: u64 = 1_000;
const NANOSECONDS: u64 = 1;

/// Who wrote it, which says what the names of members mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// nginx, whose configuration chooses the names: those of its variables, and what people usually call them.
    Nginx,
    Caddy,
    Traefik,
    Cloudflare,
    Larder,
}

impl Dialect {
    /// That of an object.
    pub(crate) fn of(object: &Map<String, Value>) -> Self {
        let has = |name: &str| object.contains_key(name);
        if object.get("request").is_some_and(Value::is_object) {
            Self::Caddy
        } else if has("RequestPath") || has("DownstreamStatus") {
            Self::Traefik
        } else if has("ClientRequestURI") || has("EdgeStartTimestamp") {
            Self::Cloudflare
        } else if has("target") && has("timestamp") && has("duration_us") {
            Self::Larder
        } else {
            Self::Nginx
        }
    }

    fn moment(self) -> Moment {
        match self {
            Self::Nginx | Self::Caddy => Moment::End,
            Self::Traefik | Self::Cloudflare | Self::Larder => Moment::Start,
        }
    }

    fn meaning(self, name: &str) -> Meaning {
        match self {
            Self::Nginx => by_usual_name(name),
            Self::Caddy => caddy(name),
            Self::Traefik => traefik(name),
            Self::Cloudflare => cloudflare(name),
            Self::Larder => larder(name),
        }
    }
}

/// The object in a line. Collectors put a time or a name before it.
pub(crate) fn object(line: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(&line[line.find('{')?..]).ok()
}

/// The record of a line.
pub(crate) fn read(dialect: Dialect, line: &str) -> Result<LogRecord, Flaw> {
    let object = object(line).ok_or(Flaw("it is no JSON object"))?;
    let mut facts = Facts::default();
    take(&mut facts, dialect, "", &object)?;
    facts.record(dialect.moment())
}

/// Takes the members of an object; of one within it by its name, a point, and theirs.
fn take(facts: &mut Facts, dialect: Dialect, within: &str, object: &Map<String, Value>) -> Result<(), Flaw> {
    /// Objects within objects: none of the formats has more.
    const MAX_POINTS: usize = 2;
    for (name, value) in object {
        let full = if within.is_empty() { name.as_str() } else { &[within, ".", name].concat() };
        match value {
            Value::Object(inner) if full.matches('.').count() < MAX_POINTS => {
                // Caddy tells of TLS by what it says of the connection.
                if dialect == Dialect::Caddy && full == "request.tls" {
                    facts.take(&Meaning::Scheme, "https")?;
                } else {
                    take(facts, dialect, full, inner)?;
                }
            }
            Value::Array(values) => {
                let meaning = dialect.meaning(full);
                values.iter().filter_map(Value::as_str).try_for_each(|value| facts.take(&meaning, value))?;
            }
            value => match (dialect.meaning(full), value) {
                (Meaning::Skip, _) => {}
                (meaning, Value::String(text)) => facts.take(&meaning, text)?,
                (meaning, Value::Number(number)) => facts.take(&meaning, &number.to_string())?,
                (meaning, Value::Bool(value)) => facts.take(&meaning, if *value { "true" } else { "false" })?,
                _ => {}
            },
        }
    }
    Ok(())
}

/// The field of a head whose name follows a prefix.
fn field(name: &str, prefix: &str, of: fn(HeaderName) -> Meaning) -> Option<Meaning> {
    let name = HeaderName::from_bytes(name.strip_prefix(prefix)?.as_bytes()).ok()?;
    Some(if name == header::HOST { Meaning::Host } else { of(name) })
}

fn fields(name: &str, request: &str, response: &str) -> Meaning {
    field(name, request, Meaning::RequestField).or_else(|| field(name, response, Meaning::ResponseField)).unwrap_or(Meaning::Skip)
}

/// Names that people give the members of nginx's lines. Durations have no unit in their names, so only nginx's own are read.
fn by_usual_name(name: &str) -> Meaning {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "time" | "timestamp" | "@timestamp" | "ts" | "date" => Meaning::Time,
        "client" | "client_ip" | "clientip" | "remote_ip" | "ip" | "remote_address" => Meaning::Client,
        "method" | "verb" | "http_method" => Meaning::Method,
        "target" | "url" | "request_url" | "request_target" => Meaning::Target,
        "path" => Meaning::Path,
        "query" => Meaning::Query,
        "protocol" | "user_agent" | "referer" | "referrer" => Meaning::Skip,
        "vhost" | "domain" => Meaning::Host,
        "code" | "status_code" | "response" | "response_code" | "response_status" | "http_status" => Meaning::Status,
        "bytes" | "size" | "body_bytes" | "response_size" | "response_bytes" => Meaning::Bytes,
        "cache_status" => Meaning::CacheWord,
        "user" => Meaning::User,
        name => nginx_variable(name),
    }
}

fn caddy(name: &str) -> Meaning {
    match name {
        "ts" => Meaning::Time,
        "request.client_ip" | "request.remote_ip" => Meaning::Client,
        "request.method" => Meaning::Method,
        "request.host" => Meaning::Host,
        "request.uri" => Meaning::Target,
        "user_id" => Meaning::User,
        "status" => Meaning::Status,
        "size" => Meaning::Bytes,
        "duration" => Meaning::Duration(SECONDS),
        _ => fields(name, "request.headers.", "resp_headers."),
    }
}

fn traefik(name: &str) -> Meaning {
    match name {
        "StartUTC" => Meaning::Start,
        "StartLocal" | "time" => Meaning::Time,
        "ClientHost" | "ClientAddr" => Meaning::Client,
        "ClientUsername" => Meaning::User,
        "RequestMethod" => Meaning::Method,
        "RequestHost" | "RequestAddr" => Meaning::Host,
        "RequestPath" => Meaning::Target,
        "RequestScheme" => Meaning::Scheme,
        "DownstreamStatus" => Meaning::Status,
        "DownstreamContentSize" => Meaning::Bytes,
        "Duration" => Meaning::Duration(NANOSECONDS),
        "OriginDuration" => Meaning::OriginTime(NANOSECONDS),
        _ => fields(name, "request_", "downstream_"),
    }
}

fn cloudflare(name: &str) -> Meaning {
    match name {
        "EdgeStartTimestamp" => Meaning::Start,
        "EdgeEndTimestamp" => Meaning::Time,
        "ClientIP" => Meaning::Client,
        "ClientRequestMethod" => Meaning::Method,
        "ClientRequestHost" => Meaning::Host,
        "ClientRequestURI" => Meaning::Target,
        "ClientRequestPath" => Meaning::Path,
        "ClientRequestScheme" => Meaning::Scheme,
        "EdgeResponseStatus" => Meaning::Status,
        "EdgeResponseBodyBytes" | "EdgeResponseBytes" => Meaning::Bytes,
        "OriginResponseTime" => Meaning::OriginTime(NANOSECONDS),
        "OriginResponseDurationMs" => Meaning::OriginTime(MILLISECONDS),
        "CacheCacheStatus" => Meaning::CacheWord,
        _ => fields(name, "RequestHeaders.", "ResponseHeaders."),
    }
}

fn larder(name: &str) -> Meaning {
    match name {
        "timestamp" => Meaning::Time,
        "client" => Meaning::Client,
        "method" => Meaning::Method,
        "host" => Meaning::Host,
        "target" => Meaning::Target,
        "status" => Meaning::Status,
        "bytes" => Meaning::Bytes,
        "duration_us" => Meaning::Duration(MICROSECONDS),
        "upstream_us" => Meaning::OriginTime(MICROSECONDS),
        "result" => Meaning::CacheWord,
        "body_hash" => Meaning::BodyHash,
        _ => field(name, "header.", Meaning::RequestField).unwrap_or(Meaning::Skip),
    }
}
