//! A request's head as it is written (RFC 9112 §3, §5).

use http::{HeaderMap, HeaderName, Method, header};

/// How the content of a request is framed (RFC 9112 §6.1, §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks: the length is not known before the end.
    Chunked,
}

impl Content {
    /// Content whose length a field announces, or else its source knows.
    pub(super) fn announced(headers: &HeaderMap, exact: Option<u64>) -> Self {
        let field = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        field.or(exact).map_or(Self::Chunked, Self::Length)
    }
}

/// The head of a request while it is written.
#[derive(Debug)]
pub(crate) struct HeadWriter {
    text: Vec<u8>,
    /// Whether the fields announce content.
    announced: bool,
}

impl HeadWriter {
    /// Writes the request line, with the target in origin-form.
    pub(crate) fn new(method: &Method, target: &str) -> Self {
        let mut text = Vec::with_capacity(512);
        for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        Self { text, announced: false }
    }

    /// Writes a field line. Those that frame the content are left out: they are written as it is sent.
    pub(crate) fn field(&mut self, name: &HeaderName, value: &[u8]) {
        if *name == header::CONTENT_LENGTH {
            self.announced = true;
        } else if *name != header::TRANSFER_ENCODING {
            write_field(name.as_str(), value, &mut self.text);
        }
    }

    /// The whole head.
    pub(super) fn end(mut self, content: Content) -> Vec<u8> {
        let text = &mut self.text;
        match content {
            // "Content-Length: 0" goes on: to POST nothing means something too (RFC 9110 §8.6).
            Content::None if self.announced => write_field("content-length", b"0", text),
            Content::None => {}
            Content::Length(length) => write_field("content-length", length.to_string().as_bytes(), text),
            Content::Chunked => write_field("transfer-encoding", b"chunked", text),
        }
        text.extend_from_slice(b"\r\n");
        self.text
    }
}

pub(super) fn write_field(name: &str, value: &[u8], text: &mut Vec<u8>) {
    text.reserve(name.len() + value.len() + 4);
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(content: Content, lines: &[(&'static str, &str)]) -> String {
        let mut head = HeadWriter::new(&Method::POST, "/a?b");
        lines.iter().for_each(|(name, value)| head.field(&HeaderName::from_static(name), value.as_bytes()));
        String::from_utf8(head.end(content)).expect("UTF-8")
    }

    #[test]
    fn rfc9112_3_a_head_is_a_request_line_and_fields() {
        let head = written(Content::None, &[("host", "a"), ("x", "1"), ("x", "2")]);
        assert_eq!(head, "POST /a?b HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: 2\r\n\r\n");
    }

    #[test]
    fn rfc9112_6_content_is_framed_once_and_as_it_is_sent() {
        let lines = [("content-length", "7"), ("transfer-encoding", "gzip")];
        assert_eq!(written(Content::Chunked, &lines), "POST /a?b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(written(Content::Length(5), &lines), "POST /a?b HTTP/1.1\r\ncontent-length: 5\r\n\r\n");
        assert_eq!(written(Content::None, &lines), "POST /a?b HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(written(Content::None, &[]), "POST /a?b HTTP/1.1\r\n\r\n");
    }
}
