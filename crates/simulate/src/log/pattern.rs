//! Lines that follow a pattern: nginx's `log_format`, Apache's `LogFormat`, varnishncsa's `-F`.

use std::borrow::Cow;

use http::{HeaderName, header};
use memchr::memmem;

use super::facts::{Facts, Flaw, Meaning, Moment};
use super::record::LogRecord;

const SECONDS: u64 = 1_000_000_000;
const MILLISECONDS: u64 = 1_000_000;
const MICROSECONDS: u64 = 1_000;

/// A pattern, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
    moment: Moment,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Literal(String),
    Field(Meaning),
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is neither a name nor a pattern.
    #[error("`{0}` is no format and no pattern: a pattern has `$remote_addr` or `%h` in it")]
    NoPattern(String),
    /// It names something that is unknown.
    #[error("the pattern has `{0}`, which is unknown here")]
    Unknown(String),
    /// It lacks something that every record needs.
    #[error("the pattern has no {0}")]
    Lacks(&'static str),
    /// Two fields stand side by side.
    #[error("the pattern has two fields side by side before `{0}`: where the first ends cannot be told")]
    Adjacent(String),
}

impl Pattern {
    /// Reads nginx's or Apache's notation.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let pieces = match (text.contains('$'), text.contains('%')) {
            (true, _) => nginx(text)?,
            (false, true) => apache(text)?,
            (false, false) => return Err(PatternError::NoPattern(text.to_owned())),
        };
        let moment = if text.contains('$') { Moment::End } else { Moment::Start };
        let pattern = Self { pieces, moment };
        pattern.check().map(|()| pattern)
    }

    fn check(&self) -> Result<(), PatternError> {
        let has = |wanted: &[Meaning]| self.pieces.iter().any(|piece| matches!(piece, Piece::Field(field) if wanted.contains(field)));
        for (wanted, name) in [
            (&[Meaning::Time, Meaning::Start][..], "time ($time_local, $time_iso8601, $msec, %t)"),
            (&[Meaning::Request, Meaning::Target, Meaning::Path, Meaning::HostAndTarget], "request ($request, $request_uri, %r, %U)"),
            (&[Meaning::Status], "status ($status, %>s)"),
        ] {
            if !has(wanted) {
                return Err(PatternError::Lacks(name));
            }
        }
        match self.pieces.windows(2).find(|pair| matches!(pair, [Piece::Field(_), Piece::Field(_)])) {
            Some([_, Piece::Field(field)]) => Err(PatternError::Adjacent(format!("{field:?}"))),
            _ => Ok(()),
        }
    }

    /// The record of a line. More may follow behind a blank.
    pub(crate) fn read(&self, line: &str) -> Result<LogRecord, Flaw> {
        let (mut facts, mut rest) = (Facts::default(), line);
        let mut pieces = self.pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                Piece::Literal(text) => rest = rest.strip_prefix(text.as_str()).ok_or(Flaw("it does not follow the format"))?,
                Piece::Field(meaning) => {
                    let end = match pieces.peek() {
                        Some(Piece::Literal(next)) => end_before(rest, next).ok_or(Flaw("it does not follow the format"))?,
                        _ => rest.len(),
                    };
                    facts.take(meaning, &unescaped(&rest[..end]))?;
                    rest = &rest[end..];
                }
            }
        }
        if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
            return Err(Flaw("it does not follow the format"));
        }
        facts.record(self.moment)
    }
}

/// Where a value ends that `next` follows. Quotes within it are escaped.
fn end_before(text: &str, next: &str) -> Option<usize> {
    if !next.starts_with('"') {
        return memmem::find(text.as_bytes(), next.as_bytes());
    }
    let mut from = 0;
    loop {
        let at = from + memmem::find(&text.as_bytes()[from..], next.as_bytes())?;
        let backslashes = text.as_bytes()[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 {
            return Some(at);
        }
        from = at + 1;
    }
}

/// A value without the escapes of nginx (`\x22`) and Apache (`\"`).
pub(crate) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let (byte, used) = match (first, after) {
            (b'\\', [b'x', high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default() as u8;
                (digit(high) * 16 + digit(low), 4)
            }
            (b'\\', [escaped @ (b'"' | b'\\'), ..]) => (*escaped, 2),
            _ => (first, 1),
        };
        out.push(byte);
        rest = &rest[used..];
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Adds text to the piece before, where that is text too.
fn add_literal(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Literal(before)) => before.push_str(text),
        _ => pieces.push(Piece::Literal(text.to_owned())),
    }
}

/// Adds a field. Some stand side by side in many patterns and are one value: `$uri$is_args$args`, `%U%q`, `$host$request_uri`.
fn add_field(pieces: &mut Vec<Piece>, name: &str, meaning: Meaning) {
    let joined = match (pieces.last(), &meaning) {
        (Some(Piece::Field(Meaning::Path)), _) if name == "is_args" => Meaning::Path,
        (Some(Piece::Field(Meaning::Path)), Meaning::Query) => Meaning::Target,
        (Some(Piece::Field(Meaning::Host | Meaning::ServerName)), Meaning::Target | Meaning::Path) => Meaning::HostAndTarget,
        _ => return pieces.push(Piece::Field(meaning)),
    };
    pieces.pop();
    pieces.push(Piece::Field(joined));
}

fn nginx(text: &str) -> Result<Vec<Piece>, PatternError> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        add_literal(&mut pieces, before);
        let braced = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        let (name, behind) = braced.unwrap_or_else(|| {
            after.split_at(after.find(|next: char| !next.is_ascii_alphanumeric() && next != '_').unwrap_or(after.len()))
        });
        if name.is_empty() {
            return Err(PatternError::Unknown("$".to_owned()));
        }
        add_field(&mut pieces, name, nginx_variable(name));
        rest = behind;
    }
    add_literal(&mut pieces, rest);
    Ok(pieces)
}

/// The meaning of a variable of nginx. Those of which nothing is needed are many, and modules add others.
pub(crate) fn nginx_variable(name: &str) -> Meaning {
    match name {
        "remote_addr" | "realip_remote_addr" | "proxy_protocol_addr" => Meaning::Client,
        "remote_user" => Meaning::User,
        "time_local" | "time_iso8601" | "msec" => Meaning::Time,
        "request" => Meaning::Request,
        "request_method" => Meaning::Method,
        "request_uri" => Meaning::Target,
        "uri" | "document_uri" => Meaning::Path,
        "args" | "query_string" => Meaning::Query,
        "scheme" | "https" => Meaning::Scheme,
        "host" | "http_host" => Meaning::Host,
        "server_name" => Meaning::ServerName,
        "status" => Meaning::Status,
        "body_bytes_sent" | "bytes_sent" => Meaning::Bytes,
        // The name that AWS has for it; its load balancer logs when the answer was sent.
        "request_creation_time" => Meaning::Start,
        "request_time" => Meaning::Duration(SECONDS),
        "upstream_response_time" => Meaning::OriginTime(SECONDS),
        "upstream_cache_status" => Meaning::CacheWord,
        _ => {
            let field = |prefix: &str| {
                let name = name.strip_prefix(prefix)?.replace('_', "-");
                HeaderName::from_bytes(name.as_bytes()).ok()
            };
            let request = field("http_").map(Meaning::RequestField);
            let response = field("sent_http_").or_else(|| field("upstream_http_")).map(Meaning::ResponseField);
            let cookie = name.strip_prefix("cookie_").map(|name| Meaning::Cookie(name.to_owned()));
            request.or(response).or(cookie).unwrap_or(Meaning::Skip)
        }
    }
}

fn apache(text: &str) -> Result<Vec<Piece>, PatternError> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('%') {
        add_literal(&mut pieces, before);
        if let Some(behind) = after.strip_prefix('%') {
            add_literal(&mut pieces, "%");
            rest = behind;
            continue;
        }
        let modified = after.trim_start_matches(|next: char| matches!(next, '<' | '>' | '!' | ',') || next.is_ascii_digit());
        let (argument, behind) = match modified.strip_prefix('{') {
            Some(argument) => argument.split_once('}').ok_or_else(|| PatternError::Unknown(format!("%{modified}")))?,
            None => ("", modified),
        };
        let width = if behind.starts_with('^') { 3 } else { 1 };
        let (directive, behind) = behind.split_at_checked(width).ok_or_else(|| PatternError::Unknown("%".to_owned()))?;
        let meaning = apache_directive(directive, argument).ok_or_else(|| PatternError::Unknown(format!("%{{{argument}}}{directive}")))?;
        // The usual time stands in brackets, which are not in the pattern.
        let in_brackets = directive == "t" && argument.is_empty();
        add_literal(&mut pieces, if in_brackets { "[" } else { "" });
        add_field(&mut pieces, directive, meaning);
        add_literal(&mut pieces, if in_brackets { "]" } else { "" });
        rest = behind;
    }
    add_literal(&mut pieces, rest);
    Ok(pieces)
}

fn apache_directive(directive: &str, argument: &str) -> Option<Meaning> {
    let name = || HeaderName::from_bytes(argument.as_bytes()).ok();
    Some(match (directive, argument) {
        ("h" | "a", _) => Meaning::Client,
        ("u", _) => Meaning::User,
        ("t", "" | "sec" | "msec" | "usec" | "begin:sec" | "begin:msec" | "begin:usec") => Meaning::Time,
        ("t", "end:sec" | "end:msec" | "end:usec" | "msec_frac" | "usec_frac") => Meaning::Skip,
        ("t", _) => return None,
        ("r", _) => Meaning::Request,
        ("m", _) => Meaning::Method,
        ("U", _) => Meaning::Path,
        ("q", _) => Meaning::Query,
        ("s", _) => Meaning::Status,
        ("b" | "B" | "O", _) => Meaning::Bytes,
        ("v" | "V", _) => Meaning::ServerName,
        ("D", _) | ("T", "us") => Meaning::Duration(MICROSECONDS),
        ("T", "ms") => Meaning::Duration(MILLISECONDS),
        ("T", _) => Meaning::Duration(SECONDS),
        ("i", _) if name()? == header::HOST => Meaning::Host,
        ("i", _) => Meaning::RequestField(name()?),
        ("o", _) => Meaning::ResponseField(name()?),
        ("C", _) => Meaning::Cookie(argument.to_owned()),
        ("x", "Varnish:hitmiss" | "Varnish:handling") => Meaning::CacheWord,
        ("x", "Varnish:time_firstbyte") => Meaning::OriginTime(SECONDS),
        ("l" | "H" | "I" | "S" | "p" | "P" | "k" | "L" | "X" | "f" | "R" | "A" | "n" | "e" | "x", _) => Meaning::Skip,
        (other, _) if other.starts_with('^') => Meaning::Skip,
        _ => return None,
    })
}
