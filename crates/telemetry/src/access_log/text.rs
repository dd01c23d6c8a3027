//! The readable form of a line.
//!
//! ```text
//! 2026-11-21T09:30:00.123Z 127.0.0.1 "GET api.example.com/api/v1/issues?project=p" 200 5321B 0.312ms HIT fresh route="issue.list" key="v1:…"
//! ```

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::Duration;

use larder_semantics::Reason;
use larder_tower::CacheResult;

use super::line::{Line, Rfc3339, Transfer};
use super::redact::redacted;

/// Appends `line`, without a line end.
pub(super) fn write(line: &Line, out: &mut Vec<u8>) {
    // A `Vec` takes everything, so there is no error to report.
    let _infallible = write!(out, "{}", Text(line));
}

struct Text<'a>(&'a Line);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0;
        write!(f, "{} ", Rfc3339(line.time))?;
        match line.client {
            Some(client) => write!(f, "{client} ")?,
            None => f.write_str("- ")?,
        }
        let target = redacted(&line.target);
        match &line.method {
            Some(method) => write!(f, "\"{method} {}{}\" ", Escaped(&line.host), Escaped(&target))?,
            None => f.write_str("- ")?,
        }
        match line.status {
            Some(status) => write!(f, "{} ", status.as_u16())?,
            None => f.write_str("- ")?,
        }
        write!(f, "{}B {} ", line.bytes, Millis(line.duration))?;
        f.write_str(line.result.map_or("-", CacheResult::logged))?;
        write!(f, " {}", line.reason.map_or("-", |reason| reason.as_str()))?;
        if let Some(stored) = line.stored {
            f.write_str(if stored { " stored=yes" } else { " stored=no" })?;
        }
        if line.transfer != Transfer::Complete {
            write!(f, " {}", line.transfer.as_str())?;
        }
        // The reason says so already for most followers.
        if line.collapsed && line.reason != Some(Reason::Collapsed) {
            f.write_str(" collapsed")?;
        }
        if let Some(upstream) = &line.upstream {
            write!(f, " upstream=\"{}\"", Escaped(upstream))?;
        }
        if let Some(status) = line.upstream_status {
            write!(f, " upstream_status={}", status.as_u16())?;
        }
        if let Some(time) = line.upstream_time {
            write!(f, " upstream_time={}", Millis(time))?;
        }
        if let Some(route) = &line.route {
            write!(f, " route=\"{}\"", Escaped(route))?;
        }
        if let Some(key) = line.key_text() {
            write!(f, " key=\"{}\"", Escaped(&redacted(key)))?;
        }
        if let Some(id) = &line.request_id {
            write!(f, " request_id=\"{}\"", Escaped(id))?;
        }
        // The usual version is left out.
        if let Some(protocol) = line.protocol.filter(|protocol| *protocol != "HTTP/1.1") {
            write!(f, " protocol={protocol}")?;
        }
        if let Some(problem) = line.problem {
            write!(f, " problem=\"{}\"", Escaped(problem))?;
        }
        Ok(())
    }
}

/// Milliseconds with microseconds behind the point.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        write!(f, "{}.{:03}ms", micros / 1000, micros % 1000)
    }
}

/// Text for between quotes. It cannot end them, begin a line or control a terminal: everything but printable ASCII and the ellipsis of
/// redaction is escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if self.0.bytes().all(is_plain) {
            return f.write_str(self.0);
        }
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                ' '..='~' | '…' => f.write_char(character)?,
                _ => write!(f, "{}", character.escape_default())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Request, StatusCode};
    use larder_semantics::Timestamp;

    use super::super::ResponseRecord;
    use super::*;

    fn text(line: &Line) -> String {
        let mut out = Vec::new();
        write(line, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn line(target: &str) -> Line {
        let request = Request::get(target).header("host", "api.example.com").body(()).unwrap();
        Line::begin(&request, Some([10, 0, 0, 7].into()), Timestamp::from_millis(1_795_253_400_123))
    }

    #[test]
    fn a_hit_reads_well() {
        let mut line = line("/api/v1/issues?project=p&api_key=hush");
        let route: Arc<str> = Arc::from("issue.list");
        let record = ResponseRecord {
            route: Some(&route),
            result: Some(CacheResult::Hit),
            reason: Some(Reason::Fresh),
            ..ResponseRecord::default()
        };
        line.respond(StatusCode::OK, &record);
        line.bytes = 5321;
        line.duration = Duration::from_micros(312);
        line.transfer = Transfer::Complete;
        assert_eq!(
            text(&line),
            "2026-11-21T09:30:00.123Z 10.0.0.7 \"GET api.example.com/api/v1/issues?project=p&api_key=…\" 200 5321B 0.312ms HIT fresh \
             route=\"issue.list\""
        );
    }

    #[test]
    fn an_aborted_request_says_so() {
        let mut line = line("/");
        line.collapsed = true;
        line.upstream = Some(Arc::from("api"));
        line.upstream_status = Some(StatusCode::NOT_FOUND);
        line.stored = Some(false);
        line.upstream_time = Some(Duration::from_millis(1200));
        line.request_id = Some("7f".into());
        line.protocol = Some("HTTP/2");
        let end = " upstream=\"api\" upstream_status=404 upstream_time=1200.000ms request_id=\"7f\" protocol=HTTP/2";
        assert!(text(&line).ends_with(&format!(" - 0B 0.000ms - - stored=no aborted collapsed{end}")), "{}", text(&line));
    }

    #[test]
    fn text_of_a_client_cannot_forge_a_line() {
        let mut line = line("/");
        line.target = "/a\"\n2026 forged\u{1b}[2J\\\u{202e}".into();
        let text = text(&line);
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(r#"/a\"\n2026 forged\u{1b}[2J\\\u{202e}""#), "{text}");
    }
}
