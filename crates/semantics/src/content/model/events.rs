//! The pieces of a stream: server-sent events (WHATWG HTML §9.2), and lines of JSON.

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its type; empty where it names none.
    pub(super) kind: String,
    /// Its data, several lines of which are joined.
    pub(super) data: String,
}

/// The events of a stream that has ended; `None` where that is not UTF-8, or its last event has no end: it was cut.
pub(super) fn of_stream(text: &[u8]) -> Option<Vec<Event>> {
    let text = std::str::from_utf8(text).ok()?;
    let (mut events, mut event, mut has_data) = (Vec::new(), Event::default(), false);
    for line in lines(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        if line.is_empty() {
            if has_data {
                events.push(std::mem::take(&mut event));
            }
            (event, has_data) = (Event::default(), false);
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                if has_data {
                    event.data.push('\n');
                }
                event.data.push_str(value);
                has_data = true;
            }
            "event" => value.clone_into(&mut event.kind),
            _ => {}
        }
    }
    (!has_data).then_some(events)
}

/// Lines that end with CR, LF or both. What stands behind the last end is a line, too.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else {
            rest = None;
            return (!text.is_empty()).then_some(text);
        };
        let after = if text[end..].starts_with("\r\n") { end + 2 } else { end + 1 };
        rest = Some(&text[after..]);
        Some(&text[..end])
    })
}

/// The lines of JSON that a stream consists of, without empty ones.
pub(super) fn json_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Option<Vec<(String, String)>> {
        Some(of_stream(text.as_bytes())?.into_iter().map(|event| (event.kind, event.data)).collect())
    }

    fn event(kind: &str, data: &str) -> (String, String) {
        (kind.to_owned(), data.to_owned())
    }

    #[test]
    fn whatwg_html_9_2_6_events_end_with_an_empty_line() {
        assert_eq!(events("data: a\n\ndata:b\r\n\r\ndata:  c\r\r"), Some(vec![event("", "a"), event("", "b"), event("", " c")]));
        assert_eq!(events("event: ping\ndata: {}\nid: 1\n\n"), Some(vec![event("ping", "{}")]));
        assert_eq!(events("data: a\ndata\ndata: b\n\n"), Some(vec![event("", "a\n\nb")]));
        assert_eq!(events(": comment\n\n\n\nevent: x\n\n"), Some(Vec::new()), "without data there is no event");
        assert_eq!(events("\u{feff}data: a\n\n"), Some(vec![event("", "a")]));
    }

    #[test]
    fn a_stream_that_was_cut_within_an_event_is_none() {
        assert_eq!(events("data: a\n\ndata: b\n"), None);
        assert_eq!(events("data: a\n\ndata: b"), None);
        assert_eq!(of_stream(b"data: \xff\n\n"), None);
    }
}
