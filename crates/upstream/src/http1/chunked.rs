//! The chunked transfer coding (RFC 9112 §7.1), decoded as strictly as it is defined: content that two readers could read in two ways is
//! an error.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use httparse::Status;

use super::Malformed;
use super::fields::{MAX_FIELDS, Shape};

/// The most bytes of chunk extensions in one body, and of a trailer section (what hyper takes).
const MAX_BYTES: usize = 16 * 1024;

/// The end of a body behind the last byte of its last chunk, without trailers.
const PLAIN_END: &[u8] = b"\r\n0\r\n\r\n";

/// A chunked body as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: State,
    extensions: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before a chunk's size.
    #[default]
    Size,
    /// So many bytes before the end of a chunk's data.
    Data(u64),
    /// Before the line end after a chunk's data.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
    /// Behind everything.
    End,
}

/// The next piece of the input.
#[derive(Debug)]
pub(super) enum Next {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// Not enough to tell.
    Unknown,
}

impl Chunks {
    /// Whether everything has been read.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::End
    }

    /// Takes the next piece off the input.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Next, Malformed> {
        loop {
            match self.state {
                State::Size => match self.size(input)? {
                    None => return Ok(Next::Unknown),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(_) if input.is_empty() => return Ok(Next::Unknown),
                State::Data(left) => return Ok(Next::Data(self.data(left, input))),
                State::DataEnd => match &input[..input.len().min(2)] {
                    b"\r\n" => {
                        input.advance(2);
                        self.state = State::Size;
                    }
                    b"" | b"\r" => return Ok(Next::Unknown),
                    _ => return Err(Malformed::Chunk),
                },
                State::Trailers => return self.trailers(input),
                State::End => return Ok(Next::End),
            }
        }
    }

    fn data(&mut self, left: u64, input: &mut BytesMut) -> Bytes {
        let here = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let data = input.split_to(here).freeze();
        self.state = match left - here as u64 {
            0 if input.starts_with(PLAIN_END) => {
                // With its last bytes it is known that they are the last.
                input.advance(PLAIN_END.len());
                State::End
            }
            0 => State::DataEnd,
            left => State::Data(left),
        };
        data
    }

    /// "chunk-size [ chunk-ext ] CRLF"; a bare LF ends no line here (§2.2), since another reader might not see that end.
    fn size(&mut self, input: &mut BytesMut) -> Result<Option<u64>, Malformed> {
        let Some(end) = memchr::memchr(b'\n', input) else {
            let may_come_to_something = input.len() <= MAX_BYTES && input.first().is_none_or(u8::is_ascii_hexdigit);
            return if may_come_to_something { Ok(None) } else { Err(Malformed::Chunk) };
        };
        let line = input[..end].strip_suffix(b"\r").ok_or(Malformed::Chunk)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, rest) = line.split_at(digits);
        let size = hexadecimal(size).ok_or(Malformed::Chunk)?;
        self.extensions += rest.len();
        if !is_extension(rest) || self.extensions > MAX_BYTES {
            return Err(Malformed::Chunk);
        }
        input.advance(end + 1);
        Ok(Some(size))
    }

    /// "trailer-section CRLF" (§7.1.2).
    fn trailers(&mut self, input: &mut BytesMut) -> Result<Next, Malformed> {
        if input.starts_with(b"\r\n") {
            input.advance(2);
            self.state = State::End;
            return Ok(Next::End);
        }
        let Some(end) = memchr::memmem::find(input, b"\r\n\r\n").map(|end| end + 4) else {
            return if input.len() <= MAX_BYTES { Ok(Next::Unknown) } else { Err(Malformed::Chunk) };
        };
        let section = &input[..end];
        if !ends_lines_with_crlf(section) {
            return Err(Malformed::Chunk);
        }
        let mut lines = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let trailers = match httparse::parse_headers(section, &mut lines) {
            Ok(Status::Complete((length, lines))) if length == end => Shape::default().map(lines, section, |_, _| ())?,
            _ => return Err(Malformed::Chunk),
        };
        input.advance(end);
        self.state = State::End;
        Ok(Next::Trailers(trailers))
    }
}

/// "chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )" (§7.1.1), or nothing but bad whitespace, which is a space or
/// a tab and no other control character: some readers end a line at a bare CR, and some skip a form feed as if it were a space.
fn is_extension(rest: &[u8]) -> bool {
    let begins = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    begins.is_none_or(|first| *first == b';') && !rest.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
}

/// The parser of fields takes a bare LF for the end of a line.
fn ends_lines_with_crlf(section: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', section).all(|end| end > 0 && section[end - 1] == b'\r')
}

/// "A recipient MUST anticipate potentially large hexadecimal numerals and prevent parsing errors due to integer conversion overflows"
/// (§7.1).
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| Some(sum.checked_mul(16)? + u64::from(char::from(*digit).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its data, its trailers, and what is left behind it.
    type Decoded = (Vec<u8>, Option<HeaderMap>, Vec<u8>);

    /// The body that arrives in these pieces; `None`: it has not ended.
    fn decoded(pieces: &[&[u8]]) -> Result<Option<Decoded>, Malformed> {
        let (mut chunks, mut input, mut data, mut trailers) = (Chunks::default(), BytesMut::new(), Vec::new(), None);
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match chunks.next(&mut input)? {
                    Next::Data(piece) => data.extend_from_slice(&piece),
                    Next::Trailers(map) => trailers = Some(map),
                    Next::Unknown | Next::End => break,
                }
            }
        }
        Ok(chunks.is_over().then(|| (data, trailers, input.to_vec())))
    }

    #[test]
    fn rfc9112_7_1_a_chunked_body_is_the_same_wherever_it_is_split() {
        let text = b"5;a=\"b\"\r\nhello\r\n00B \t\r\n, the world\r\n0\r\nx-sum: 7\r\nx-end: yes\r\n\r\nleft";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                let (data, trailers, left) = decoded(&pieces).expect("chunks").expect("an end");
                let trailers = trailers.expect("trailers");
                assert_eq!((&*data, &*left), (&b"hello, the world"[..], &b"left"[..]), "split at {first} and {second}");
                assert_eq!((&trailers["x-sum"], &trailers["x-end"]), (&"7".parse().unwrap(), &"yes".parse().unwrap()));
            }
        }
    }

    #[test]
    fn rfc9112_7_1_a_body_ends_with_its_last_chunk_only() {
        let text = b"5\r\nhello\r\n0\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(decoded(&[&text[..end]]), Ok(None), "cut at {end}");
        }
        assert_eq!(decoded(&[text]), Ok(Some((b"hello".to_vec(), None, Vec::new()))));
    }

    #[test]
    fn the_end_that_came_with_the_last_bytes_is_known_with_them() {
        let (mut chunks, mut input) = (Chunks::default(), BytesMut::from(&b"5\r\nhello\r\n0\r\n\r\n"[..]));
        assert!(matches!(chunks.next(&mut input), Ok(Next::Data(data)) if data == "hello"));
        assert!(chunks.is_over() && input.is_empty());
    }

    #[test]
    fn rfc9112_7_1_what_is_no_chunk_is_an_error() {
        let overflow = "1".repeat(17);
        for (text, why) in [
            ("\r\n", "no size"),
            ("g\r\n", "no digit"),
            ("-5\r\nhello\r\n", "a sign"),
            ("0x5\r\nhello\r\n", "a prefix"),
            ("5\nhello\r\n", "a bare LF after the size"),
            ("5\rhello\r\n", "a bare CR after the size"),
            ("5 5\r\nhello\r\n", "two sizes"),
            ("5 ;a=\rb\r\nhello\r\n", "a bare CR in an extension"),
            ("5\r\r\nhello\r\n", "a bare CR before the line end"),
            ("5\x0c\r\nhello\r\n", "a form feed after the size"),
            ("5\x0c;a\r\nhello\r\n", "a form feed before an extension"),
            ("5\x0b\r\nhello\r\n", "a vertical tab after the size"),
            ("5;a\0\r\nhello\r\n", "a NUL in an extension"),
            (" 5\r\nhello\r\n", "a space before the size"),
            ("5\r\nhello\n", "a bare LF after the data"),
            ("5\r\nhello!\r\n", "more data than announced"),
            ("0\r\nx y: 1\r\n\r\n", "a trailer whose name is none"),
            ("0\r\nx: 1\n\n\r\n\r\n", "trailers that end twice"),
            ("0\r\nx: 1\ny: 2\r\n\r\n", "a bare LF between trailers"),
            ("0\r\n folded: 1\r\n\r\n", "a folded trailer"),
            (&format!("{overflow}\r\n"), "a size beyond all numbers"),
        ] {
            assert_eq!(decoded(&[text.as_bytes()]), Err(Malformed::Chunk), "{why}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extension = format!("1;{}\r\nx\r\n", "a".repeat(9 * 1024));
        assert_eq!(decoded(&[extension.as_bytes(), extension.as_bytes()]), Err(Malformed::Chunk));
        let endless = format!("0\r\nx: {}", "a".repeat(MAX_BYTES));
        assert_eq!(decoded(&[endless.as_bytes()]), Err(Malformed::Chunk));
        let many: String = std::iter::once("0\r\n".to_owned()).chain((0..=MAX_FIELDS).map(|n| format!("x-{n}: 1\r\n"))).collect();
        assert_eq!(decoded(&[many.as_bytes(), b"\r\n"]), Err(Malformed::Chunk));
    }
}
