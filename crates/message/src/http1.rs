//! HTTP/1.1 messages as bytes (RFC 9112 §2.1), where they are written past hyper.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, Method, StatusCode};

/// The status line. Without a phrase of its own a status has an empty one (§4).
pub fn put_status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    for part in ["HTTP/1.1 ", status.as_str(), " ", status.canonical_reason().unwrap_or_default(), "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The head of an answer to a request with this method, whose body, where it has one, is so long. `lines` appends the field lines, and tells
/// whether a length is among them. One is written where there is none, as hyper does, so that both ways of answering look alike.
pub fn put_answer_head(out: &mut Vec<u8>, method: &Method, status: StatusCode, length: u64, lines: impl FnOnce(&mut Vec<u8>) -> bool) {
    put_status_line(out, status);
    let tells_length = lines(out);
    if !(tells_length || is_bodiless(status) || (*method == Method::HEAD && length == 0)) {
        put_field(out, CONTENT_LENGTH.as_str(), length.to_string().as_bytes());
    }
    end_head(out);
}

/// Field lines: `lines` calls what it is given for each. Returns whether a length is among them.
pub fn put_lines(out: &mut Vec<u8>, lines: impl FnOnce(&mut dyn FnMut(&HeaderName, &[u8]))) -> bool {
    let mut tells_length = false;
    lines(&mut |name, value| {
        tells_length |= *name == CONTENT_LENGTH;
        put_field(out, name.as_str(), value);
    });
    tells_length
}

/// Whether answers with this status have no body whatever their fields say (RFC 9112 §6.3).
pub fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The field lines, in order.
pub fn put_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        put_field(out, name.as_str(), value.as_bytes());
    }
}

/// One field line.
#[inline]
pub fn put_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The empty line after the fields.
pub fn end_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}
