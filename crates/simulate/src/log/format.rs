//! The formats: by name, by pattern, or found out from the first lines.

use std::fmt;

use super::facts::Flaw;
use super::fixed::{self, Columns};
use super::json::{self, Dialect};
use super::pattern::{Pattern, PatternError};
use super::record::LogRecord;

/// The format of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFormat {
    name: Box<str>,
    reader: Reader,
}

#[derive(Clone, Debug, PartialEq)]
enum Reader {
    Pattern(Pattern),
    Json(Dialect),
    Haproxy,
    /// The columns are known once the line that names them has been read.
    CloudFront(Columns),
    Larder,
}

/// A line, read.
pub(super) type Line = Result<Option<LogRecord>, Flaw>;

/// Formats that are patterns, by name. Lines of the first that fits are read by it.
const PATTERNS: [(&str, &str); 5] = [
    ("alb", ALB),
    ("vhost_combined", "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""),
    ("combined", "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\""),
    ("varnish", "%h %l %u %t \"%r\" %s %b \"%{Referer}i\" \"%{User-Agent}i\""),
    ("common", "%h %l %u %t \"%r\" %>s %b"),
];

/// AWS: Application Load Balancer. Names of nginx's stand for what nothing is needed of.
const ALB: &str = "$type $time_iso8601 $elb $remote_addr $target $request_processing_time $upstream_response_time \
                   $response_processing_time $status $target_status $received $bytes_sent \"$request\" \"$agent\" $cipher $protocol $group \
                   \"$trace\" \"$domain\" \"$certificate\" $priority $request_creation_time \"$actions\"";

/// The names that people may give.
pub const NAMES: [&str; 13] = [
    "combined",
    "common",
    "vhost_combined",
    "nginx-json",
    "caddy",
    "traefik",
    "haproxy",
    "varnish",
    "alb",
    "cloudfront",
    "cloudflare",
    "larder",
    "larder-json",
];

impl LogFormat {
    /// The format with a name, or that of a pattern.
    ///
    /// # Errors
    /// [`PatternError`] where it is neither.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let reader = match text {
            "nginx-json" => Reader::Json(Dialect::Nginx),
            "caddy" => Reader::Json(Dialect::Caddy),
            "traefik" => Reader::Json(Dialect::Traefik),
            "cloudflare" => Reader::Json(Dialect::Cloudflare),
            "larder-json" => Reader::Json(Dialect::Larder),
            "larder" => Reader::Larder,
            "haproxy" => Reader::Haproxy,
            "cloudfront" => Reader::CloudFront(Columns::default()),
            name => match PATTERNS.iter().find(|(known, _)| *known == name) {
                Some((_, pattern)) => Reader::Pattern(Pattern::parse(pattern)?),
                None => Reader::Pattern(Pattern::parse(text)?),
            },
        };
        Ok(Self { name: text.into(), reader })
    }

    /// The format of which most of these lines are, if any.
    pub fn detect<'l>(lines: impl Iterator<Item = &'l str> + Clone) -> Option<Self> {
        let json = lines.clone().find_map(|line| line.trim_start().starts_with('{').then(|| json::object(line)).flatten());
        if let Some(object) = json {
            let name = match Dialect::of(&object) {
                Dialect::Nginx => "nginx-json",
                Dialect::Caddy => "caddy",
                Dialect::Traefik => "traefik",
                Dialect::Cloudflare => "cloudflare",
                Dialect::Larder => "larder-json",
            };
            return Self::parse(name).ok();
        }
        let names = ["cloudfront", "larder", "haproxy"].into_iter().chain(PATTERNS.iter().map(|(name, _)| *name));
        let read = |format: &mut Self| lines.clone().filter(|line| matches!(format.read(line), Ok(Some(_)))).count();
        let mut best: Option<(usize, Self)> = None;
        for mut format in names.filter_map(|name| Self::parse(name).ok()) {
            let count = read(&mut format);
            if count > best.as_ref().map_or(0, |(most, _)| *most) {
                best = Some((count, format));
            }
        }
        best.map(|(_, format)| format)
    }

    /// Reads a line; `None` for one that is there for readers of the format, such as the names of columns.
    pub(super) fn read(&mut self, line: &str) -> Line {
        match &mut self.reader {
            Reader::Pattern(pattern) => pattern.read(line).map(Some),
            Reader::Json(dialect) => json::read(*dialect, line).map(Some),
            Reader::Haproxy => fixed::haproxy(line).map(Some),
            Reader::Larder => fixed::larder(line).map(Some),
            Reader::CloudFront(columns) if line.starts_with('#') => {
                *columns = Columns::parse(line).unwrap_or_else(|| std::mem::take(columns));
                Ok(None)
            }
            Reader::CloudFront(columns) => columns.read(line).map(Some),
        }
    }
}

/// Its name, or the pattern.
impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
