//! An answer as frames: HEADERS, and DATA where it has a body (RFC 9113 §8.1).

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::Body;
use memchr::memchr;

use crate::http2::frames::{FULL_FRAME, FrameHead, HEAD, flag, kind};
use crate::http2::hpack::encode::{put_field, put_status};

/// Error code (RFC 9113 §7).
const INTERNAL_ERROR: u32 = 0x2;

/// Appends an answer with this head, which has the form of HTTP/1.1, and this body, which is in memory and has a length that is known. Returns the
/// bytes of the body that were written; a body that ends before its end has its stream reset.
pub(super) fn put_answer<B>(out: &mut BytesMut, stream: u32, head: &[u8], mut body: B) -> usize
where
    B: Body<Data = Bytes> + Unpin,
{
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let end = if length == Some(0) { flag::END_STREAM } else { 0 };
    put_fields(out, stream, end, |out| put_head(out, head));
    let mut left = length.unwrap_or(0);
    out.reserve(left + HEAD * (1 + left / FULL_FRAME));
    while left > 0 {
        let frame = match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(None | Some(Err(_))) | Poll::Pending => break,
        };
        // Neither trailers nor anything beyond the announced length have a place in the message.
        let Ok(mut data) = frame.into_data() else { continue };
        data.truncate(left);
        for piece in data.chunks(FULL_FRAME) {
            left -= piece.len();
            put_frame(out, kind::DATA, if left == 0 { flag::END_STREAM } else { 0 }, stream, piece);
        }
    }
    if left > 0 || length.is_none() {
        put_frame(out, kind::RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes());
    }
    length.unwrap_or(0) - left
}

/// One frame.
pub(super) fn put_frame(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&FrameHead { length: payload.len(), kind, flags, stream }.bytes());
    out.extend_from_slice(payload);
}

/// A block of fields that `put` appends, in as many frames as it needs (RFC 9113 §4.3).
pub(super) fn put_fields(out: &mut BytesMut, stream: u32, flags: u8, put: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_bytes(0, HEAD);
    put(out);
    let length = out.len() - start - HEAD;
    let mut head = FrameHead { length, kind: kind::HEADERS, flags: flags | flag::END_HEADERS, stream };
    if length > FULL_FRAME {
        let rest = out.split_off(start + HEAD + FULL_FRAME);
        head = FrameHead { length: FULL_FRAME, flags, ..head };
        let count = rest.len().div_ceil(FULL_FRAME);
        for (place, piece) in rest.chunks(FULL_FRAME).enumerate() {
            put_frame(out, kind::CONTINUATION, if place + 1 == count { flag::END_HEADERS } else { 0 }, stream, piece);
        }
    }
    out[start..start + HEAD].copy_from_slice(&head.bytes());
}

/// The status and the field lines of a head in the form of HTTP/1.1 (RFC 9112 §2.1). Each line was written by this process: a name in lower case,
/// a colon and a space, the value.
fn put_head(out: &mut BytesMut, head: &[u8]) {
    // `HTTP/1.1 200 OK`
    put_status(out, head.get(9..12).unwrap_or(b"500"));
    let mut rest = behind_line(head, 0);
    while let Some(colon) = memchr(b':', rest) {
        let Some(end) = memchr(b'\r', &rest[colon..]).map(|end| colon + end) else { break };
        let name = &rest[..colon];
        if !is_of_connection(name) {
            put_field(out, name, rest.get(colon + 2..end).unwrap_or_default());
        }
        rest = behind_line(rest, end);
    }
}

/// The bytes behind the end of a line, which is not before `from`.
fn behind_line(bytes: &[u8], from: usize) -> &[u8] {
    let end = memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |end| from + end + 1);
    &bytes[end..]
}

/// "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields" (RFC 9113 §8.2.2).
fn is_of_connection(name: &[u8]) -> bool {
    matches!(name, b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade")
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[test]
    fn a_head_has_its_status_and_its_fields_and_none_of_the_connection() {
        let mut out = BytesMut::new();
        put_head(&mut out, b"HTTP/1.1 200 OK\r\nage: 7\r\nx-a: b: c\r\nconnection: close\r\nx-empty: \r\n\r\n");
        assert_eq!(out, b"\x88\x0f\x06\x017\x00\x03x-a\x04b: c\x00\x07x-empty\x00"[..]);
        out.clear();
        put_head(&mut out, b"HTTP/1.1 299 \r\n\r\n");
        assert_eq!(out, b"\x08\x03299"[..]);
    }

    /// Kinds, flags and lengths of the frames in these bytes.
    fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, usize)> {
        let mut frames = Vec::new();
        while let Some(head) = FrameHead::of(bytes) {
            assert_eq!(head.stream, 5);
            frames.push((head.kind, head.flags, head.length));
            bytes = &bytes[HEAD + head.length..];
        }
        frames
    }

    fn answer<B: Body<Data = Bytes> + Unpin>(body: B) -> Vec<(u8, u8, usize)> {
        let mut out = BytesMut::new();
        put_answer(&mut out, 5, b"HTTP/1.1 200 OK\r\n\r\n", body);
        frames(&out)
    }

    #[test]
    fn rfc9113_8_1_the_last_frame_ends_the_stream() {
        assert_eq!(answer(Full::new(Bytes::new())), [(kind::HEADERS, 5, 1)]);
        assert_eq!(answer(Full::new(Bytes::from_static(b"abc"))), [(kind::HEADERS, 4, 1), (kind::DATA, 1, 3)]);
        let large = Full::new(Bytes::from(vec![b'x'; FULL_FRAME + 1]));
        assert_eq!(answer(large), [(kind::HEADERS, 4, 1), (kind::DATA, 0, FULL_FRAME), (kind::DATA, 1, 1)]);
    }

    /// A body of another length than it says.
    struct Short;

    impl Body for Short {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            Poll::Ready(None)
        }

        fn size_hint(&self) -> hyper::body::SizeHint {
            hyper::body::SizeHint::with_exact(3)
        }
    }

    #[test]
    fn a_body_that_ends_too_early_has_its_stream_reset() {
        assert_eq!(answer(Short), [(kind::HEADERS, 4, 1), (kind::RST_STREAM, 0, 4)]);
    }

    #[test]
    fn rfc9113_4_3_a_long_block_continues() {
        let mut out = BytesMut::new();
        put_fields(&mut out, 5, 1, |out| out.put_bytes(b'x', 2 * FULL_FRAME + 1));
        assert_eq!(frames(&out), [(kind::HEADERS, 1, FULL_FRAME), (kind::CONTINUATION, 0, FULL_FRAME), (kind::CONTINUATION, 4, 1)]);
    }
}
