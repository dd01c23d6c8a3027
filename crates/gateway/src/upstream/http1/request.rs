//! A request's head as it is written (RFC 9112 §3, §5).

use http::request::Parts;
use http::{HeaderMap, header};

/// How the content of a request is framed (RFC 9112 §6.1, §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks: nobody knows how many bytes.
    Chunked,
}

impl Content {
    /// Content whose length a field announces, or else its source knows.
    pub(super) fn announced(headers: &HeaderMap, exact: Option<u64>) -> Self {
        let field = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        field.or(exact).map_or(Self::Chunked, Self::Length)
    }
}

/// Writes the head of a request whose target is in origin-form. The fields that frame its content are written as `content` says, whatever
/// the head says.
pub(crate) fn write_head(parts: &Parts, content: Content, text: &mut Vec<u8>) {
    text.reserve(256);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    for part in [parts.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    let mut announced = false;
    for (name, value) in &parts.headers {
        if name == header::CONTENT_LENGTH {
            announced = true;
        } else if name != header::TRANSFER_ENCODING {
            write_field(name.as_str(), value.as_bytes(), text);
        }
    }
    match content {
        // "Content-Length: 0" goes on: to POST nothing means something too (RFC 9110 §8.6).
        Content::None if announced => write_field("content-length", b"0", text),
        Content::None => {}
        Content::Length(length) => write_field("content-length", length.to_string().as_bytes(), text),
        Content::Chunked => write_field("transfer-encoding", b"chunked", text),
    }
    text.extend_from_slice(b"\r\n");
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
    use http::Request;

    use super::*;

    fn written(content: Content, lines: &[(&str, &str)]) -> String {
        let mut request = Request::post("/a?b");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let mut text = Vec::new();
        write_head(&request.body(()).expect("request").into_parts().0, content, &mut text);
        String::from_utf8(text).expect("UTF-8")
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
