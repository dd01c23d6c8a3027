//! The origin's answer to one request, step by step.

use std::fmt::Write as _;
use std::time::Duration;

/// One thing that the origin does on the wire.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Waits at the gate with this name.
    Wait(String),
    /// Does nothing for so long.
    Pause(Duration),
    /// Reads until the other side closes, then counts an arrival at the gate with this name.
    AwaitClose(String),
    /// Writes these bytes again and again until the other side closes.
    Forever(Vec<u8>),
    /// Sends back what comes, until the other side closes.
    Echo,
    /// Closes the connection.
    Close,
    /// Closes the connection with a reset.
    Reset,
}

/// How the body is framed; chosen by the first call that writes body bytes, unless the test chose before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Undecided,
    /// The field lines given by the test say it, rightly or wrongly.
    AsGiven,
    Chunked,
}

/// A scripted answer. Field lines are sent in the order given, exactly as given; nothing is added but the framing of [`Answer::body`] and
/// [`Answer::chunk`]. So no `Date`, unless the test sends one.
#[derive(Clone, Debug)]
pub struct Answer {
    version: &'static str,
    status: u16,
    fields: Vec<(String, String)>,
    framing: Framing,
    head_written: bool,
    pub(super) before_body: Vec<Step>,
    pub(super) steps: Vec<Step>,
    pub(super) ignores_body: bool,
    pub(super) closes: bool,
}

impl Answer {
    /// An answer with this status.
    pub fn new(status: u16) -> Self {
        Self {
            version: "HTTP/1.1",
            status,
            fields: Vec::new(),
            framing: Framing::Undecided,
            head_written: false,
            before_body: Vec::new(),
            steps: Vec::new(),
            ignores_body: false,
            closes: false,
        }
    }

    /// 200.
    pub fn ok() -> Self {
        Self::new(200)
    }

    /// Bytes to be sent as they are, head and all.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        let mut answer = Self::ok();
        answer.head_written = true;
        answer.framing = Framing::AsGiven;
        answer.steps.push(Step::Write(bytes.into()));
        answer
    }

    /// No answer at all: the connection is closed once the request was read.
    pub fn hang_up() -> Self {
        Self::raw("").close()
    }

    /// The same answer with another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Answers as an HTTP/1.0 server: the body ends with the connection.
    #[must_use]
    pub fn http10(mut self) -> Self {
        self.version = "HTTP/1.0";
        self.until_close()
    }

    /// Adds a field line.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// The whole body, with its Content-Length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        if self.framing == Framing::Undecided {
            self.fields.push(("Content-Length".to_owned(), body.len().to_string()));
        }
        self.part(body)
    }

    /// Declares this length, whatever is sent afterwards with [`Answer::part`].
    #[must_use]
    pub fn declared_length(mut self, length: u64) -> Self {
        self.framing = Framing::AsGiven;
        self.header("Content-Length", length.to_string())
    }

    /// The body ends with the connection.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::AsGiven;
        self.closes = true;
        self
    }

    /// Writes body bytes as they are, without framing.
    #[must_use]
    pub fn part(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if self.framing == Framing::Undecided {
            self.framing = Framing::AsGiven;
        }
        self.write_head();
        self.steps.push(Step::Write(bytes.into()));
        self
    }

    /// Writes one chunk of a chunked body.
    #[must_use]
    pub fn chunk(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.chunked();
        let bytes = bytes.as_ref();
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.steps.push(Step::Write(framed));
        self
    }

    /// Ends a chunked body with these trailers.
    #[must_use]
    pub fn trailers(mut self, trailers: &[(&str, &str)]) -> Self {
        self.chunked();
        self.framing = Framing::AsGiven;
        let lines: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.steps.push(Step::Write(format!("0\r\n{lines}\r\n").into_bytes()));
        self
    }

    /// Sends an interim response (1xx) before the final head.
    #[must_use]
    pub fn interim(mut self, status: u16, fields: &[(&str, &str)]) -> Self {
        self.steps.push(Step::Write(interim(status, fields)));
        self
    }

    /// Writes the head now; otherwise it goes out with the first body bytes, or at the end.
    #[must_use]
    pub fn flush_head(mut self) -> Self {
        self.write_head();
        self
    }

    /// Holds the answer here until the gate with this name opens.
    #[must_use]
    pub fn wait(mut self, gate: impl Into<String>) -> Self {
        self.steps.push(Step::Wait(gate.into()));
        self
    }

    /// Does nothing for so long, as an origin that is slow: for load. What a test has to see in order waits at a gate.
    #[must_use]
    pub fn pause(mut self, time: Duration) -> Self {
        self.steps.push(Step::Pause(time));
        self
    }

    /// Reads until the other side closes the connection, then counts an arrival at the gate with this name.
    #[must_use]
    pub fn await_close(mut self, gate: impl Into<String>) -> Self {
        self.steps.push(Step::AwaitClose(gate.into()));
        self
    }

    /// Sends this chunk again and again; the body never ends.
    #[must_use]
    pub fn endless(mut self, chunk: impl AsRef<[u8]>) -> Self {
        self = self.chunk(chunk);
        if let Some(Step::Write(framed)) = self.steps.pop() {
            self.steps.push(Step::Forever(framed));
        }
        self
    }

    /// Sends back what comes after the head: the other end of an upgraded connection.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.framing = Framing::AsGiven;
        self.write_head();
        self.steps.push(Step::Echo);
        self
    }

    /// Closes the connection here. What the framing still owes is not sent.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.write_head();
        self.framing = Framing::AsGiven;
        self.steps.push(Step::Close);
        self
    }

    /// Resets the connection here (`SO_LINGER` 0).
    #[must_use]
    pub fn reset(mut self) -> Self {
        self.framing = Framing::AsGiven;
        self.steps.push(Step::Reset);
        self
    }

    /// Does not read the request's body before the gate with this name opens.
    #[must_use]
    pub fn body_read_after(mut self, gate: impl Into<String>) -> Self {
        self.before_body.push(Step::Wait(gate.into()));
        self
    }

    /// Sends an interim response before the request's body is read, such as 100.
    #[must_use]
    pub fn interim_before_body(mut self, status: u16) -> Self {
        self.before_body.push(Step::Write(interim(status, &[])));
        self
    }

    /// Answers without reading the request's body.
    #[must_use]
    pub fn ignore_body(mut self) -> Self {
        self.ignores_body = true;
        self
    }

    /// Everything that is to be done, with the framing ended as it must be.
    pub(super) fn into_steps(mut self) -> Vec<Step> {
        match self.framing {
            Framing::Chunked => self.steps.push(Step::Write(b"0\r\n\r\n".to_vec())),
            Framing::Undecided if !self.head_written && !matches!(self.status, 100..=199 | 204 | 304) => {
                self.fields.push(("Content-Length".to_owned(), "0".to_owned()));
            }
            Framing::Undecided | Framing::AsGiven => {}
        }
        self.write_head();
        if self.closes {
            self.steps.push(Step::Close);
        }
        self.steps.into_iter().fold(Vec::new(), joined)
    }

    fn chunked(&mut self) {
        if self.framing == Framing::Undecided {
            self.framing = Framing::Chunked;
            self.fields.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
        }
        self.write_head();
    }

    fn write_head(&mut self) {
        if !self.head_written && !self.ends_early() {
            self.head_written = true;
            self.steps.push(Step::Write(head(self.version, self.status, &self.fields)));
        }
    }

    fn ends_early(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Close | Step::Reset))
    }
}

/// Adds a step. Bytes that follow each other are written at once, so that what arrives together is no matter of chance.
fn joined(mut steps: Vec<Step>, next: Step) -> Vec<Step> {
    match (steps.last_mut(), next) {
        (Some(Step::Write(bytes)), Step::Write(more)) => bytes.extend(more),
        (_, next) => steps.push(next),
    }
    steps
}

fn interim(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    head("HTTP/1.1", status, &fields)
}

fn head(version: &str, status: u16, fields: &[(String, String)]) -> Vec<u8> {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Whatever");
    let mut head = format!("{version} {status} {reason}\r\n");
    for (name, value) in fields {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    // A field value is written as ISO 8859-1, so that a test can name any byte.
    head.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Step};

    fn written(answer: Answer) -> String {
        let mut text = String::new();
        for step in answer.into_steps() {
            match step {
                Step::Write(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
                other => text.push_str(&format!("<{other:?}>")),
            }
        }
        text
    }

    #[test]
    fn a_whole_body_has_its_length() {
        assert_eq!(written(Answer::ok().header("A", "b").body("xyz")), "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nxyz");
        assert_eq!(written(Answer::new(304).header("ETag", "\"1\"")), "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n");
        assert_eq!(written(Answer::new(404)), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn chunks_end_with_the_last_chunk_unless_cut() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(written(Answer::ok().chunk("ab").wait("g").chunk("c")), format!("{head}2\r\nab\r\n<Wait(\"g\")>1\r\nc\r\n0\r\n\r\n"));
        assert_eq!(written(Answer::ok().chunk("ab").close()), format!("{head}2\r\nab\r\n<Close>"));
        assert_eq!(written(Answer::ok().chunk("ab").trailers(&[("T", "1")])), format!("{head}2\r\nab\r\n0\r\nT: 1\r\n\r\n"));
    }

    #[test]
    fn a_wrong_length_is_sent_as_told() {
        assert_eq!(written(Answer::ok().declared_length(9).part("abc").close()), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc<Close>");
    }

    #[test]
    fn a_reset_or_hang_up_sends_no_head() {
        assert_eq!(written(Answer::ok().reset()), "<Reset>");
        assert_eq!(written(Answer::hang_up()), "<Close>");
        assert_eq!(written(Answer::ok().http10().part("x")), "HTTP/1.0 200 OK\r\n\r\nx<Close>");
    }
}
