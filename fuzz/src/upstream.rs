//! Targets of `larder-upstream`: the bytes of an origin's connection, and those of a name server.

use http::{HeaderMap, Method, StatusCode, Version};
use larder_upstream::fuzzing::{ReadResponse, dns_answer, read_response};

use super::http1::{self, LineEnds};

/// Every target of this crate.
pub const TARGETS: &[super::FuzzTarget] = &[("responses", responses), ("dns_answers", dns_answers)];

/// The longest head, trailer section and chunk extensions are far longer.
const MAX_INPUT: usize = 8 * 1024;

/// Bits of the first byte: the length of the pieces, and a method.
const PIECES: u8 = 7;
const HEAD: u8 = 8;

/// A packet of a name server, as the answer to a question for addresses and to one for a service. It answers one of them at most, with no more
/// records than fit into it, and says the same whatever comes behind it.
pub fn dns_answers(data: &[u8]) {
    let longer = [data, &[0; 4]].concat();
    let answers = [false, true].map(|is_service| {
        let answer = dns_answer(data, is_service);
        assert!(answer.is_none() || dns_answer(&longer, is_service) == answer, "it depends on what comes behind it");
        answer
    });
    assert!(answers.iter().flatten().count() <= 1, "one answer to two questions");
    // A record has a name of a byte, ten bytes of fixed fields, and four at least of its own.
    assert!(answers.iter().flatten().all(|records| records.len() <= data.len() / 15), "{answers:?}");
}

/// The answer of an origin: a byte for the length of the pieces in which it arrives and for the method, then its bytes. The response is the same
/// wherever they are cut; a strict reader sees the same body, which ends at the same byte; and it is the same again when it is written plainly. A
/// connection goes on only where nobody can see another end of the body (RFC 9112 §6.3).
pub fn responses(data: &[u8]) {
    let Some((&flags, bytes)) = data.split_first() else { return };
    let bytes = &bytes[..bytes.len().min(MAX_INPUT)];
    let method = if flags & HEAD == 0 { Method::GET } else { Method::HEAD };
    let pieces: Vec<&[u8]> = bytes.chunks(1 + usize::from(flags & PIECES)).collect();
    let response = read_response(&pieces, &method);
    assert_eq!(response, read_response(&[bytes], &method), "the response depends on where its bytes are cut");
    let Some(response) = response else { return };
    assert_is_strict(&response, bytes, &method);
    let again = read_response(&[&written(&response)], &method).expect("a response that is written plainly");
    assert_eq!((again.status, &again.body, &again.trailers), (response.status, &response.body, &response.trailers));
    assert!(fields(&again.fields).eq(fields(&response.fields)), "{:?} is not {:?}", again.fields, response.fields);
}

/// The fields but for those that frame the body.
fn fields(fields: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    let framing = ["content-length", "transfer-encoding"];
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    fields.filter(move |(name, _)| !framing.contains(name))
}

fn assert_is_strict(response: &ReadResponse, bytes: &[u8], method: &Method) {
    let mut rest = bytes;
    let read = |rest: &mut &[u8]| {
        let head = http1::head(rest, LineEnds::CrlfOrLf).expect("a head that a strict reader reads");
        *rest = &rest[head.length..];
        head
    };
    for _ in 0..response.interim {
        assert!(read(&mut rest).start.get(9) == Some(&b'1'), "an informational response");
    }
    let head = read(&mut rest);
    assert_eq!(head.start.get(..12), Some(format!("{:?} {}", response.version, response.status.as_str()).as_bytes()));
    assert_eq!(map(&head.fields), response.fields);
    let lengths: Vec<_> = lengths(&head.fields);
    let last_coding =
        http1::values(&head.fields, "transfer-encoding").last().and_then(|value| value.split(|&byte| byte == b',').next_back());
    if *method == Method::HEAD || matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        assert!(response.body.is_empty() && response.rest.as_deref() == Some(rest));
    } else if let Some(coding) = last_coding {
        assert_eq!(response.version, Version::HTTP_11);
        assert!(!response.persists || lengths.is_empty(), "two ends of the body, and the connection goes on");
        assert_eq!(response.is_until_close, !coding.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        match &response.rest {
            Some(left) => {
                let (data, trailers, length) = http1::chunked(rest).expect("chunks that a strict reader reads");
                assert_eq!((&response.body, &response.trailers, &**left), (&data, &map(&trailers), &rest[length..]));
            }
            None if response.is_until_close => assert_eq!(response.body, rest),
            None => assert!(http1::chunked(rest).is_none(), "the chunks have an end"),
        }
    } else if let Some(length) = lengths.first() {
        assert!(lengths.iter().all(|other| length.is_some() && other == length), "two lengths");
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
        assert_eq!(response.body, rest[..length.min(rest.len())]);
        assert_eq!(response.rest.as_deref(), rest.get(length..));
    } else {
        assert!(response.is_until_close && response.rest.is_none() && response.body == rest);
    }
}

/// All the lengths that a head names, in its lines and in lists within them.
fn lengths(fields: &http1::Fields) -> Vec<Option<u64>> {
    http1::values(fields, "content-length")
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(|one| http1::length(one.trim_ascii()))
        .collect()
}

fn map(fields: &http1::Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(name.parse::<http::HeaderName>().expect("a name"), value.as_slice().try_into().expect("a value"));
    }
    map
}

/// The response as one would write it that knows the body before: with its length, or in one chunk where there are trailers.
fn written(response: &ReadResponse) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} \r\n", response.status.as_str()).into_bytes();
    put_lines(&mut text, fields(&response.fields));
    let length = response.body.len();
    if response.trailers.is_empty() {
        text.extend(format!("content-length: {length}\r\n\r\n").into_bytes());
        text.extend_from_slice(&response.body);
        return text;
    }
    text.extend(b"transfer-encoding: chunked\r\n\r\n");
    if length > 0 {
        text.extend(format!("{length:X} ;a=b\r\n").into_bytes());
        text.extend([&*response.body, b"\r\n"].concat());
    }
    text.extend(b"0\r\n");
    put_lines(&mut text, response.trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    text.extend(b"\r\n");
    text
}

fn put_lines<'a>(text: &mut Vec<u8>, lines: impl Iterator<Item = (&'a str, &'a [u8])>) {
    for (name, value) in lines {
        text.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
}
