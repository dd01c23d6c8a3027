//! Escapes text from outside in lines of the log, so that it can neither end a line nor control the terminal that shows it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use serde_json::ser::{CompactFormatter, Formatter};

/// Whether a character controls the display instead of being shown: the control characters (C1 too, which some terminals obey), line and
/// paragraph separators, and marks that change the direction or the shape of the text that follows.
pub(crate) fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` for a terminal: every character that controls the display stands there as an escape of JSON.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, is_control)
}

/// `text` with every control character as an escape of JSON. A JSON parser reads the same string.
fn escaped(text: &str, is_control: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_control) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if !is_control(character) {
            plain.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(plain, "\\u{unit:04x}");
        }
    }
    Cow::Owned(plain)
}

/// JSON on one line without control characters. `serde_json` alone escapes those of ASCII only.
#[derive(Debug, Default)]
pub(crate) struct OneLine(CompactFormatter);

impl Formatter for OneLine {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        self.0.write_string_fragment(writer, &escaped(fragment, is_control))
    }
}

/// The output of events: one call of `write` is one event, and becomes one line. On a terminal the escape sequences of colours stay; those in
/// an event's own text were escaped by `tracing-subscriber` before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<W> {
    pub(crate) to: W,
    pub(crate) in_colour: bool,
}

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let mut plain = escaped(line, |character| is_control(character) && !(self.in_colour && character == '\u{1b}')).into_owned();
        plain.push_str(&text[line.len()..]);
        self.to.write_all(plain.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde::Serialize;

    use super::*;

    const CONTROLS: &str = "a\nb\u{85}c\u{9b}d\u{2028}e\u{202e}f\u{2066}g\u{feff}h\u{7f}i\u{1b}[2J\u{e0041}";

    #[test]
    fn json_reads_the_same_and_has_no_control_characters() {
        let mut out = Vec::new();
        CONTROLS.serialize(&mut serde_json::Serializer::with_formatter(&mut out, OneLine::default())).expect("serializes");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(!text.contains(is_control), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).expect("JSON"), CONTROLS);
    }

    #[test]
    fn visible_text_is_unchanged() {
        for text in ["", "plain", "…", "ä é 漢字 🙂", "tokyo/東京"] {
            assert!(matches!(escaped(text, is_control), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn an_event_is_one_line() {
        let written = |in_colour, text: &str| {
            let mut lines = Lines { to: Vec::new(), in_colour };
            lines.write_all(text.as_bytes()).expect("a Vec takes everything");
            String::from_utf8(lines.to).expect("UTF-8")
        };
        assert_eq!(written(false, "WARN a\n2026 forged\u{85}\u{1b}[2J\n"), "WARN a\\u000a2026 forged\\u0085\\u001b[2J\n");
        assert_eq!(written(true, "\u{1b}[33mWARN\u{1b}[0m a\nb\n"), "\u{1b}[33mWARN\u{1b}[0m a\\u000ab\n");
        assert_eq!(written(false, "no end"), "no end");
    }
}
