//! The pieces of a stream as they arrive: server-sent events (WHATWG HTML §9.2), and lines of JSON.

/// Bytes of the longest piece that is read.
const MAX_PIECE: usize = 8 << 20;

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its type; empty where it names none.
    pub(super) kind: String,
    /// Its data, several lines of which are joined.
    pub(super) data: String,
}

/// Cuts a stream into lines, which end with CR, LF or both.
#[derive(Debug, Default)]
struct Lines {
    line: Vec<u8>,
    after_cr: bool,
}

impl Lines {
    /// Takes the next bytes. `None` once a line is too long, or no UTF-8, or `take` wants no more.
    fn see(&mut self, data: &[u8], mut take: impl FnMut(&str) -> Option<()>) -> Option<()> {
        let mut rest = data;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            self.line.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            if self.line.len() > MAX_PIECE {
                return None;
            }
            let Some(end) = end else { break };
            take(std::str::from_utf8(&self.line).ok()?)?;
            self.line.clear();
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
        }
        Some(())
    }
}

/// Cuts a stream into events.
#[derive(Debug, Default)]
pub(super) struct Events {
    lines: Lines,
    event: Event,
    has_data: bool,
    has_begun: bool,
}

impl Events {
    /// Takes the next bytes. `None` once they cannot be read, or `take` wants no more.
    pub(super) fn see(&mut self, data: &[u8], mut take: impl FnMut(Event) -> Option<()>) -> Option<()> {
        let Self { lines, event, has_data, has_begun } = self;
        lines.see(data, |line| {
            let line = if std::mem::replace(has_begun, true) { line } else { line.strip_prefix('\u{feff}').unwrap_or(line) };
            if line.is_empty() {
                let whole = std::mem::take(event);
                return if std::mem::take(has_data) { take(whole) } else { Some(()) };
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "data" => {
                    if std::mem::replace(has_data, true) {
                        event.data.push('\n');
                    }
                    event.data.push_str(value);
                }
                "event" => value.clone_into(&mut event.kind),
                _ => {}
            }
            (event.data.len() <= MAX_PIECE).then_some(())
        })
    }

    /// Whether the stream ended behind an event: it was cut otherwise.
    pub(super) fn is_whole(&self) -> bool {
        !self.has_data && self.lines.line.is_empty()
    }
}

/// Cuts a stream into lines of JSON, without empty ones.
#[derive(Debug, Default)]
pub(super) struct JsonLines(Lines);

impl JsonLines {
    /// Takes the next bytes. `None` once they cannot be read, or `take` wants no more.
    pub(super) fn see(&mut self, data: &[u8], mut take: impl FnMut(&str) -> Option<()>) -> Option<()> {
        self.0.see(data, |line| if line.trim().is_empty() { Some(()) } else { take(line) })
    }

    /// What stands behind the end of the last line.
    pub(super) fn rest(&self) -> &[u8] {
        self.0.line.trim_ascii()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a stream that arrives in pieces of this length; `None` where it was cut.
    fn events_by(text: &[u8], step: usize) -> Option<Vec<(String, String)>> {
        let (mut events, mut all) = (Events::default(), Vec::new());
        for piece in text.chunks(step) {
            events.see(piece, |event| {
                all.push((event.kind, event.data));
                Some(())
            })?;
        }
        events.is_whole().then_some(all)
    }

    fn events(text: &str) -> Option<Vec<(String, String)>> {
        let whole = events_by(text.as_bytes(), text.len().max(1));
        for step in 1..text.len() {
            assert_eq!(events_by(text.as_bytes(), step), whole, "{text:?} in steps of {step}");
        }
        whole
    }

    fn event(kind: &str, data: &str) -> (String, String) {
        (kind.to_owned(), data.to_owned())
    }

    #[test]
    fn whatwg_html_9_2_6_events_end_with_an_empty_line() {
        assert_eq!(events("data: a\n\ndata:b\r\n\r\ndata:  c\r\r"), Some(vec![event("", "a"), event("", "b"), event("", " c")]));
        assert_eq!(events("event: ping\ndata: {}\nid: 1\n\n"), Some(vec![event("ping", "{}")]));
        assert_eq!(events("data: a\ndata\ndata: b\n\n"), Some(vec![event("", "a\n\nb")]));
        assert_eq!(events(": comment\n\n\n\nevent: x\n\ndata: a\n\n"), Some(vec![event("", "a")]), "without data there is no event");
        assert_eq!(events("\u{feff}data: ä\n\n"), Some(vec![event("", "ä")]));
    }

    #[test]
    fn a_stream_that_was_cut_within_an_event_is_none() {
        assert_eq!(events("data: a\n\ndata: b\n"), None);
        assert_eq!(events("data: a\n\ndata: b"), None);
        assert_eq!(events_by(b"data: \xff\n\n", 1), None);
    }

    #[test]
    fn a_piece_without_an_end_is_put_aside() {
        let mut events = Events::default();
        let piece = vec![b'x'; 1 << 20];
        assert!((0..8).all(|_| events.see(&piece, |_| Some(())).is_some()));
        assert!(events.see(&piece, |_| Some(())).is_none());
    }
}
