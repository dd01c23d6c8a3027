//! Targets of `larder-server`: the bytes of a client's connection.

use http::{Request, Version};
use larder_server::fuzzing::{ProxyHeader, blocks, heads, proxy_header, requests};

use super::http1::{self, LineEnds};

/// Every target of this crate.
pub const TARGETS: &[super::FuzzTarget] =
    &[("request_heads", request_heads), ("connections", connections), ("proxy_headers", proxy_headers), ("hpack", hpack)];

/// Longer heads are not waited for, and whether one is seen then depends on how it arrives.
const MAX_INPUT: usize = 8 * 1024;

/// A longer header of the PROXY protocol is not read.
const MAX_PROXY_HEADER: usize = 16 + 4096;

/// A connection's bytes, in pieces whose length the first byte tells, as the reader before hyper finds heads in them. It finds the same ones in
/// bytes that arrive at once. Each ends where a strict reader sees its end, and a request that may be answered past hyper has no content and is the
/// one that hyper would hand on.
pub fn request_heads(data: &[u8]) {
    let Some((bytes, pieces)) = in_pieces(data) else { return };
    let found = heads(&pieces);
    let at_once = heads(&[bytes]);
    assert_eq!(format!("{found:?}"), format!("{at_once:?}"), "the heads depend on where the bytes are cut");
    for head in found {
        let read = http1::head(&head.text, LineEnds::Crlf).expect("a head that a strict reader reads");
        assert_eq!(read.length, head.text.len());
        assert_eq!(content_of(&read.fields).expect("content with one length"), Content::Length(head.content));
        let Some(plain) = head.plain else { continue };
        assert_eq!(head.content, 0);
        assert_is(&plain, &read);
        for request in requests(&[&head.text]) {
            assert_eq!((request.method(), request.uri(), request.headers()), (plain.method(), plain.uri(), plain.headers()));
        }
    }
}

/// A connection's bytes, in pieces whose length the first byte tells, up to the handler. Each request that comes there is the one that a strict reader
/// finds in its place, with the same content: so none of them can be smuggled in another's content (RFC 9112 §11.2). It is the same again when it
/// is written plainly.
pub fn connections(data: &[u8]) {
    let Some((bytes, pieces)) = in_pieces(data) else { return };
    let (handled, mut rest) = (requests(&pieces), bytes);
    for request in &handled {
        let read = http1::head(rest, LineEnds::Crlf).expect("a head that a strict reader reads");
        assert_is(request, &read);
        rest = &rest[read.length..];
        let length = match content_of(&read.fields).expect("content with one length") {
            Content::Length(length) => {
                let length = usize::try_from(length).expect("content that is there");
                assert_eq!(request.body(), &rest[..length]);
                length
            }
            Content::Chunked => {
                assert_eq!(request.version(), Version::HTTP_11, "HTTP/1.0 has no chunks (RFC 9112 §6.1)");
                let (data, _, length) = http1::chunked(rest).expect("chunks that a strict reader reads");
                assert_eq!(request.body(), &data);
                length
            }
        };
        rest = &rest[length..];
        let again = requests(&[&written(request)]);
        assert!(again.len() == 1 && is_same(&again[0], request), "{request:?} comes back as {again:?}");
    }
    // A fault in a later head refuses an earlier request that arrives with it.
    let at_once = requests(&[bytes]);
    assert!(at_once.len() <= handled.len() && at_once.iter().zip(&handled).all(|(one, other)| is_same(one, other)));
}

/// The start of a connection from a proxy. A header is found as soon as its last byte is there and not before, whatever comes behind it; a line
/// is what one would write about the same addresses.
pub fn proxy_headers(data: &[u8]) {
    let found = proxy_header(data);
    for cut in 0..data.len().min(MAX_PROXY_HEADER + 1) {
        match (&found, proxy_header(&data[..cut])) {
            (ProxyHeader::Whole { length, .. }, before) if cut < *length => assert_eq!(before, ProxyHeader::Partial, "cut at {cut}"),
            (_, ProxyHeader::Partial) => {}
            (_, before) => assert_eq!(before, found, "cut at {cut}"),
        }
    }
    let ProxyHeader::Whole { length, addresses } = found else { return };
    assert!(length <= data.len().min(MAX_PROXY_HEADER));
    let Some((source, destination)) = addresses.filter(|_| data.starts_with(b"PROXY ")) else { return };
    assert_eq!(source.is_ipv4(), destination.is_ipv4());
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let line = format!("PROXY {family} {} {} {} {}\r\n", source.ip(), destination.ip(), source.port(), destination.port());
    assert_eq!(proxy_header(line.as_bytes()), ProxyHeader::Whole { length: line.len(), addresses });
}

/// Blocks of fields on one connection over HTTP/2, parted by bytes of 255, which begin none that anybody writes. Whatever tables and codes a client
/// uses, the block that goes on has the same fields for a reader without any, and stays as it is from then on.
pub fn hpack(data: &[u8]) {
    let given: Vec<&[u8]> = data.split(|byte| *byte == 255).collect();
    for (fields, again) in blocks(&given) {
        let read = blocks(&[&again]);
        let [(fields_again, twice)] = &read[..] else { panic!("{again:?} is broken") };
        assert_eq!((&fields, &again), (fields_again, twice));
        assert!(again.len() <= fields.iter().map(|(name, value, _)| 32 + name.len() + value.len()).sum(), "it is longer than it counts");
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Content {
    Length(u64),
    Chunked,
}

/// The content that a head announces (RFC 9112 §6.3); `None` where two readers could see two lengths.
fn content_of(fields: &http1::Fields) -> Option<Content> {
    let codings: Vec<_> = http1::values(fields, "transfer-encoding").collect();
    let lengths: Vec<_> = http1::values(fields, "content-length").collect();
    match (&*codings, &*lengths) {
        ([], []) => Some(Content::Length(0)),
        ([], [first, others @ ..]) => {
            let length = http1::length(first).filter(|first| others.iter().all(|other| http1::length(other) == Some(*first)))?;
            Some(Content::Length(length))
        }
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Some(Content::Chunked),
        _ => None,
    }
}

/// The request has the method, the target and the fields of this head. Of lengths that are all the same there is one.
fn assert_is<B>(request: &Request<B>, head: &http1::Head) {
    let words: Vec<&[u8]> = head.start.split(|&byte| byte == b' ').collect();
    let [method, target, version] = words[..] else { panic!("{:?} is no request line", head.start) };
    assert_eq!(request.method().as_str().as_bytes(), method);
    assert!(std::str::from_utf8(target).is_ok_and(|target| request.uri() == target), "{} is not {target:?}", request.uri());
    assert_eq!(format!("{:?}", request.version()).as_bytes(), version);
    let mut seen = 0;
    for name in request.headers().keys() {
        let values: Vec<_> = request.headers().get_all(name).iter().map(|value| value.as_bytes()).collect();
        let mut read: Vec<_> = http1::values(&head.fields, name.as_str()).collect();
        seen += read.len();
        if name == "content-length" {
            read.truncate(1);
        }
        assert_eq!(values, read, "{name}");
    }
    assert_eq!(seen, head.fields.len(), "a field is missing");
}

fn is_same(one: &Request<bytes::Bytes>, other: &Request<bytes::Bytes>) -> bool {
    let head = |request: &Request<_>| (request.method().clone(), request.uri().clone(), request.version());
    head(one) == head(other) && one.headers() == other.headers() && one.body() == other.body()
}

/// The request as one would write it that knows the content before.
fn written(request: &Request<bytes::Bytes>) -> Vec<u8> {
    let mut text = format!("{} {} {:?}\r\n", request.method(), request.uri(), request.version()).into_bytes();
    for (name, value) in request.headers() {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend(b"\r\n");
    match request.body() {
        content if request.headers().contains_key("transfer-encoding") => {
            if !content.is_empty() {
                text.extend(format!("{:x}\r\n", content.len()).into_bytes());
                text.extend([content, &b"\r\n"[..]].concat());
            }
            text.extend(b"0\r\n\r\n");
        }
        content => text.extend_from_slice(content),
    }
    text
}

/// The bytes behind the first, which says how long the pieces are in which they arrive.
fn in_pieces(data: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let (size, bytes) = data.split_first()?;
    let bytes = &bytes[..bytes.len().min(MAX_INPUT - 1)];
    Some((bytes, bytes.chunks(1 + usize::from(size % 8)).collect()))
}
