//! Text of others in lines of ours: it must neither end a line nor steer the terminal or the viewer that shows it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use serde_json::ser::{CompactFormatter, Formatter};

/// Whether a character does something instead of showing something: the control characters (C1 too, which some terminals obey), line and
/// paragraph separators, and marks that change the direction or the shape of what follows.
pub(crate) fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` with every character that acts as an escape of JSON, where such may stand: a program reads the same.
fn escaped(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&acts) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if !acts(character) {
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

/// JSON on one line in which nothing acts: JSON itself leaves everything beyond ASCII as it is.
#[derive(Debug, Default)]
pub(crate) struct OneLine(CompactFormatter);

impl Formatter for OneLine {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        self.0.write_string_fragment(writer, &escaped(fragment, acts))
    }
}

/// Where events go: whatever is written at once is one event, and becomes one line. On a terminal the escape sequences of its colours stay: those
/// in an event's own text never come here, for the library escapes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<W> {
    pub(crate) to: W,
    pub(crate) in_colour: bool,
}

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let mut plain = escaped(line, |character| acts(character) && !(self.in_colour && character == '\u{1b}')).into_owned();
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

    const ACTING: &str = "a\nb\u{85}c\u{9b}d\u{2028}e\u{202e}f\u{2066}g\u{feff}h\u{7f}i\u{1b}[2J\u{e0041}";

    #[test]
    fn json_reads_the_same_and_holds_nothing_that_acts() {
        let mut out = Vec::new();
        ACTING.serialize(&mut serde_json::Serializer::with_formatter(&mut out, OneLine::default())).expect("serializes");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(!text.contains(acts), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).expect("JSON"), ACTING);
    }

    #[test]
    fn what_only_shows_stays() {
        for text in ["", "plain", "…", "ä é 漢字 🙂", "tokyo/東京"] {
            assert!(matches!(escaped(text, acts), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
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
