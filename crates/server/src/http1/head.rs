//! Request heads as they arrive, read before hyper sees them: a hit needs nothing of what hyper does for a request.
//!
//! A head is either answered from here or goes to hyper byte for byte. So only plain heads have to be understood here: complete, and with no
//! field that concerns the connection. hyper reads any other again.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

/// Heads with more fields are left to hyper.
const MAX_FIELDS: usize = 64;
/// Bytes of a head. Longer ones are left to hyper.
const MAX_HEAD: usize = 8 * 1024;
/// Bytes of room for reads, which is what an idle connection holds, and those that a read has at least.
const ROOM: usize = 2 * 1024;
const MIN_ROOM: usize = 512;

/// The kind of head that the bytes read so far begin with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeadKind {
    /// Not a whole head yet.
    Partial,
    /// A GET or HEAD, which [`HeadBuffer::request`] returns.
    Plain,
    /// Another request: its head and this many bytes of content are for hyper.
    Other { content: u64 },
    /// Something else, whose end only hyper can find.
    Unclear,
}

/// The bytes of one connection that have been read and not handed on, and the request they begin with.
#[derive(Debug, Default)]
pub(crate) struct HeadBuffer {
    bytes: BytesMut,
    /// The last head that was found, until it is answered or handed on.
    head: Bytes,
    request: Request<()>,
}

impl HeadBuffer {
    pub(crate) fn beginning_with(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), ..Self::default() }
    }

    /// The buffer, with room for the next read.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        if self.bytes.capacity() - self.bytes.len() < MIN_ROOM {
            self.bytes.reserve(ROOM);
        }
        &mut self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes to be handed on: the head that was found, or else those behind it.
    pub(crate) fn pending(&self) -> &[u8] {
        if self.head.is_empty() { &self.bytes } else { &self.head }
    }

    /// The first `count` of [`Self::pending`] have been handed on.
    pub(crate) fn advance(&mut self, count: usize) {
        if self.head.is_empty() {
            self.bytes.advance(count);
        } else if count < self.head.len() {
            self.head.advance(count);
        } else {
            // An empty rest would still hold the buffer, and the next read would need a new one.
            self.head = Bytes::new();
        }
    }

    /// Whether [`Self::pending`] is a head that was found.
    pub(crate) fn has_head(&self) -> bool {
        !self.head.is_empty()
    }

    /// The request, after [`HeadKind::Plain`].
    pub(crate) fn request(&self) -> &Request<()> {
        &self.request
    }

    pub(crate) fn request_mut(&mut self) -> &mut Request<()> {
        &mut self.request
    }

    /// Drops the request, which has been answered.
    pub(crate) fn drop_request(&mut self) {
        self.head = Bytes::new();
        self.release();
    }

    /// Releases the bytes that the request shares.
    pub(crate) fn release(&mut self) {
        self.request.headers_mut().clear();
        *self.request.uri_mut() = Uri::default();
    }

    /// Tells what the bytes begin with. All but [`HeadKind::Partial`] and [`HeadKind::Unclear`] take a head out.
    pub(crate) fn next_head(&mut self) -> HeadKind {
        if self.bytes.is_empty() {
            return HeadKind::Partial;
        }
        let outline = match Outline::of(&self.bytes) {
            Ok(Some(outline)) => outline,
            Ok(None) if self.bytes.len() < MAX_HEAD => return HeadKind::Partial,
            Ok(None) | Err(_) => return HeadKind::Unclear,
        };
        if !outline.has_strict_lines(&self.bytes) {
            return HeadKind::Unclear;
        }
        self.head = self.bytes.split_to(outline.length).freeze();
        let seen = self.fill(&outline).unwrap_or(HeadKind::Unclear);
        if seen != HeadKind::Plain {
            self.release();
        }
        seen
    }

    /// Fills in the request of a head. `None` if a part of it is not valid after all.
    fn fill(&mut self, outline: &Outline) -> Option<HeadKind> {
        let part = |(start, end): Span| self.head.slice(usize::from(start)..usize::from(end));
        *self.request.method_mut() = Method::from_bytes(&part(outline.method)).ok()?;
        *self.request.uri_mut() = Uri::from_maybe_shared(part(outline.target)).ok()?;
        let fields = self.request.headers_mut();
        fields.clear();
        for &(name, value) in &outline.fields[..outline.count] {
            let name = HeaderName::from_bytes(&self.head[usize::from(name.0)..usize::from(name.1)]).ok()?;
            fields.append(name, HeaderValue::from_maybe_shared(part(value)).ok()?);
        }
        Some(kind(self.request.method(), self.request.headers()))
    }
}

fn kind(method: &Method, fields: &HeaderMap) -> HeadKind {
    let (mut content, mut is_plain) = (None, *method == Method::GET || *method == Method::HEAD);
    for (name, value) in fields {
        match *name {
            TRANSFER_ENCODING | UPGRADE | EXPECT => return HeadKind::Unclear,
            CONTENT_LENGTH => match length(value) {
                Some(length) if content.is_none() => content = Some(length),
                _ => return HeadKind::Unclear,
            },
            CONNECTION => is_plain &= value.as_bytes().eq_ignore_ascii_case(b"keep-alive"),
            _ => {}
        }
    }
    match content {
        None if is_plain => HeadKind::Plain,
        content => HeadKind::Other { content: content.unwrap_or_default() },
    }
}

/// Digits only, and few enough that every reader agrees on the value.
fn length(value: &HeaderValue) -> Option<u64> {
    let bytes = value.as_bytes();
    (bytes.len() <= 15 && bytes.iter().all(u8::is_ascii_digit)).then(|| value.to_str().ok()?.parse().ok()).flatten()
}

/// Start and end, in a head's bytes.
type Span = (u16, u16);

/// Where the parts of a head are.
struct Outline {
    length: usize,
    method: Span,
    target: Span,
    fields: [(Span, Span); MAX_FIELDS],
    count: usize,
}

impl Outline {
    /// `None` where the head is not complete. Only HTTP/1.1 has one.
    fn of(bytes: &[u8]) -> Result<Option<Self>, httparse::Error> {
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, &mut fields)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return Ok(None),
        };
        let (Some(method), Some(target), Some(1)) = (request.method, request.path, request.version) else {
            return Err(httparse::Error::Version);
        };
        if u16::try_from(length).is_err() {
            return Err(httparse::Error::TooManyHeaders);
        }
        let span = |part: &[u8]| -> Span {
            let start = part.as_ptr().addr() - bytes.as_ptr().addr();
            (start as u16, (start + part.len()) as u16)
        };
        let mut outline = Self {
            length,
            method: span(method.as_bytes()),
            target: span(target.as_bytes()),
            fields: [((0, 0), (0, 0)); MAX_FIELDS],
            count: 0,
        };
        for (slot, field) in outline.fields.iter_mut().zip(request.headers.iter()) {
            // An empty value may be anywhere.
            let value = if field.value.is_empty() { (0, 0) } else { span(field.value) };
            *slot = (span(field.name.as_bytes()), value);
        }
        outline.count = request.headers.len();
        Ok(Some(outline))
    }

    /// Whether each line ends in CRLF, with no empty one before the first. hyper takes a bare LF for the end of a line, and others do not:
    /// [`crate::http1::framing`] sees it, and the request is refused.
    fn has_strict_lines(&self, bytes: &[u8]) -> bool {
        let begins_line = |(start, _): Span| bytes[..usize::from(start)].ends_with(b"\r\n");
        let fields = &self.fields[..self.count];
        self.method.0 == 0 && fields.iter().all(|(name, _)| begins_line(*name)) && bytes[..self.length].ends_with(b"\r\n\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(text: &str) -> HeadBuffer {
        let mut heads = HeadBuffer::default();
        heads.room().extend_from_slice(text.as_bytes());
        heads
    }

    fn seen(text: &str) -> HeadKind {
        heads(text).next_head()
    }

    #[test]
    fn a_get_with_fields_of_its_own_is_plain() {
        let mut heads = heads("GET /a?b=c HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nAccept:  x \r\nConnection: Keep-Alive\r\n\r\nGET /next");
        assert_eq!(heads.next_head(), HeadKind::Plain);
        assert_eq!(heads.request().uri(), "/a?b=c");
        let fields: Vec<_> = heads.request().headers().iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        assert_eq!(fields, ["host=a", "x-empty=", "accept=x", "connection=Keep-Alive"]);
        heads.drop_request();
        assert_eq!(heads.pending(), b"GET /next");
        assert_eq!(heads.next_head(), HeadKind::Partial);
    }

    #[test]
    fn a_head_is_seen_once_it_is_whole() {
        let text = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut heads = HeadBuffer::default();
        for byte in &text.as_bytes()[..text.len() - 1] {
            heads.room().extend_from_slice(&[*byte]);
            assert_eq!(heads.next_head(), HeadKind::Partial);
        }
        heads.room().extend_from_slice(b"\n");
        assert_eq!(heads.next_head(), HeadKind::Plain);
        assert_eq!(heads.pending(), text.as_bytes(), "hyper may have to read it again");
    }

    #[test]
    fn a_head_with_content_has_its_length() {
        assert_eq!(seen("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n"), HeadKind::Other { content: 12 });
        assert_eq!(seen("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), HeadKind::Other { content: 0 });
        assert_eq!(seen("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"), HeadKind::Other { content: 0 });
        assert_eq!(seen("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), HeadKind::Other { content: 0 });
    }

    #[test]
    fn a_head_that_could_be_read_in_two_ways_is_left_to_hyper() {
        for fields in [
            "Transfer-Encoding: chunked\r\n",
            "Upgrade: websocket\r\nConnection: upgrade\r\n",
            "Expect: 100-continue\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: 99999999999999999\r\n",
        ] {
            assert_eq!(seen(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")), HeadKind::Unclear, "{fields}");
        }
        for head in [
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
            "GET / HTTP/1.1\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            "nothing of the kind\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
        ] {
            assert_eq!(seen(head), HeadKind::Unclear, "{head}");
        }
    }

    #[test]
    fn a_head_that_is_too_long_or_has_too_many_fields_is_not_waited_for() {
        assert_eq!(seen(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(MAX_HEAD))), HeadKind::Unclear);
        assert_eq!(seen(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS))), HeadKind::Unclear);
    }
}
