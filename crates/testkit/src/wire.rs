//! HTTP/1 as it is on the wire, read by hand: the tests must see what a well-behaved library would hide or repair.

use std::fmt;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stream::Stream;
use crate::wait::within;
use crate::{Error, Result};

/// The head of a request or a response: its start line and its field lines in the order they were sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// The head's bytes, with the empty line that ends it.
    pub raw: Vec<u8>,
    /// The request line or status line.
    pub start: String,
    /// Field names as sent and values without surrounding whitespace.
    pub fields: Vec<(String, String)>,
}

impl fmt::Debug for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", String::from_utf8_lossy(&self.raw))
    }
}

impl Head {
    fn parse(raw: &[u8]) -> Self {
        let text: String = raw.iter().map(|&byte| char::from(byte)).collect();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        Self { raw: raw.to_vec(), start, fields: lines.filter(|line| !line.is_empty()).map(field_line).collect() }
    }

    /// The value of the first line with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All lines with this name joined by `, `, or nothing where there is no such line.
    pub fn joined(&self, name: &str) -> Option<String> {
        let values = self.all(name);
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The values of every line with this name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// The status code of a response's head.
    pub fn status(&self) -> Result<u16> {
        let code = self.start.split(' ').nth(1).and_then(|code| code.parse().ok());
        code.ok_or_else(|| Error::new(format!("not a status line: {:?}", self.start)))
    }

    /// How the body of a request with this head is framed.
    pub(crate) fn request_framing(&self) -> Framing {
        if self.is_chunked() { Framing::Chunked } else { Framing::Length(self.content_length().unwrap_or(0)) }
    }

    /// How the body of a response with this head to a request of this method is framed (RFC 9112 §6.3).
    pub(crate) fn response_framing(&self, method: &str) -> Result<Framing> {
        Ok(match self.status()? {
            _ if method == "HEAD" => Framing::Length(0),
            100..=199 | 204 | 304 => Framing::Length(0),
            _ if self.is_chunked() => Framing::Chunked,
            _ => self.content_length().map_or(Framing::UntilClose, Framing::Length),
        })
    }

    fn is_chunked(&self) -> bool {
        self.all("transfer-encoding").iter().any(|coding| coding.to_ascii_lowercase().contains("chunked"))
    }

    fn content_length(&self) -> Option<u64> {
        self.get("content-length").and_then(|length| length.parse().ok())
    }
}

fn field_line(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim().to_owned())
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// Takes a body out of the bytes of a connection, piece by piece.
#[derive(Debug)]
pub(crate) struct BodyDecoder {
    framing: Framing,
    /// The remaining bytes of the chunk being read, when one is.
    chunk_left: u64,
    phase: Phase,
    /// The trailer section's lines.
    pub(crate) trailers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Size,
    Data,
    DataEnd,
    Trailers,
    Done,
}

impl BodyDecoder {
    pub(crate) fn new(framing: Framing) -> Self {
        let phase = match framing {
            Framing::Length(0) => Phase::Done,
            Framing::Length(_) | Framing::UntilClose => Phase::Data,
            Framing::Chunked => Phase::Size,
        };
        let chunk_left = if let Framing::Length(length) = framing { length } else { u64::MAX };
        Self { framing, chunk_left, phase, trailers: Vec::new() }
    }

    /// Whether the end was seen.
    pub(crate) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Whether the connection's end is this body's proper end.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.is_done() || self.framing == Framing::UntilClose
    }

    /// Moves what can be read of the body from `input` to `body`.
    pub(crate) fn decode(&mut self, input: &mut BytesMut, body: &mut Vec<u8>) -> Result<()> {
        while self.step(input, body)? {}
        Ok(())
    }

    /// Does one step; `false` where more input is needed or nothing is left to do.
    fn step(&mut self, input: &mut BytesMut, body: &mut Vec<u8>) -> Result<bool> {
        match self.phase {
            Phase::Done => return Ok(false),
            Phase::Data => {
                let take = usize::try_from(self.chunk_left).unwrap_or(usize::MAX).min(input.len());
                if take == 0 {
                    return Ok(false);
                }
                body.extend_from_slice(&input.split_to(take));
                self.chunk_left -= take as u64;
                if self.chunk_left == 0 {
                    self.phase = if self.framing == Framing::Chunked { Phase::DataEnd } else { Phase::Done };
                }
            }
            Phase::Size => {
                let Some(line) = take_line(input) else { return Ok(false) };
                let digits = line.split(';').next().unwrap_or_default().trim();
                self.chunk_left = u64::from_str_radix(digits, 16).map_err(|_| Error::new(format!("not a chunk size: {line:?}")))?;
                self.phase = if self.chunk_left == 0 { Phase::Trailers } else { Phase::Data };
            }
            Phase::DataEnd => {
                let Some(line) = take_line(input) else { return Ok(false) };
                if !line.is_empty() {
                    return Err(Error::new(format!("a chunk goes on after its end: {line:?}")));
                }
                self.phase = Phase::Size;
            }
            Phase::Trailers => match take_line(input) {
                None => return Ok(false),
                Some(line) if line.is_empty() => self.phase = Phase::Done,
                Some(line) => self.trailers.push(field_line(&line)),
            },
        }
        Ok(true)
    }
}

fn take_line(input: &mut BytesMut) -> Option<String> {
    let end = input.windows(2).position(|pair| pair == b"\r\n")?;
    let line = input.split_to(end).iter().map(|&byte| char::from(byte)).collect();
    input.advance(2);
    Some(line)
}

/// A socket and what was read from it but not used yet.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: Stream,
    pub(crate) buffer: BytesMut,
}

impl Wire {
    pub(crate) fn new(stream: Stream) -> Result<Self> {
        stream.tcp().set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(8 * 1024) })
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        within("writing to the connection", written).await?.map_err(Error::from)
    }

    /// Reads once; 0 bytes at the connection's end.
    pub(crate) async fn fill(&mut self) -> std::io::Result<usize> {
        self.stream.read_buf(&mut self.buffer).await
    }

    /// The next head, or nothing where the connection ended before its first byte.
    pub(crate) async fn read_head(&mut self) -> Result<Option<Head>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(Some(Head::parse(&self.buffer.split_to(end + 4))));
            }
            match self.fill().await {
                Ok(0) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(Error::new(format!("the connection ended inside a head: {:?}", self.buffer))),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyDecoder, BytesMut, Framing, Head};

    fn decode(framing: Framing, pieces: &[&str]) -> (String, BodyDecoder) {
        let (mut decoder, mut input, mut body) = (BodyDecoder::new(framing), BytesMut::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece.as_bytes());
            decoder.decode(&mut input, &mut body).unwrap();
        }
        (String::from_utf8(body).unwrap(), decoder)
    }

    #[test]
    fn a_chunked_body_is_read_across_any_split_and_its_trailers_are_kept() {
        let (body, decoder) = decode(Framing::Chunked, &["3\r", "\nab", "c\r\n2;x=y\r\nde\r\n0\r\nX-T", ": 1\r\n", "\r\n"]);
        assert_eq!(body, "abcde");
        assert!(decoder.is_done());
        assert_eq!(decoder.trailers, [("X-T".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn only_a_body_until_close_may_end_with_the_connection() {
        assert!(!decode(Framing::Length(5), &["abc"]).1.ends_with_connection());
        assert!(!decode(Framing::Chunked, &["3\r\nabc\r\n"]).1.ends_with_connection());
        assert!(decode(Framing::UntilClose, &["abc"]).1.ends_with_connection());
        assert!(decode(Framing::Length(3), &["abc"]).1.ends_with_connection());
    }

    #[test]
    fn a_head_keeps_repeated_lines_in_order() {
        let head = Head::parse(b"HTTP/1.1 200 OK\r\nVary: a\r\nX: 1\r\nvary:b \r\n\r\n");
        assert_eq!(head.status().unwrap(), 200);
        assert_eq!(head.all("Vary"), ["a", "b"]);
        assert_eq!(head.joined("vary").as_deref(), Some("a, b"));
        assert_eq!(head.response_framing("GET").unwrap(), Framing::UntilClose);
        assert_eq!(head.response_framing("HEAD").unwrap(), Framing::Length(0));
    }
}
