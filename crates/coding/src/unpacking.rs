//! Answers for clients that do not accept the coding they have.

use bytes::Bytes;
use compression_codecs::core::util::WriteBuffer;
use http::header::{CONTENT_ENCODING, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use larder_semantics::coding::Coding;

use crate::body::STEP;
use crate::codec::Codec;
use crate::head::{has_directive, is_known_as_weak, recoded, weaken};

/// The coding of an answer, where it is one that can be unpacked, and the only one.
pub fn coding_of(headers: &HeaderMap) -> Option<Coding> {
    let mut lines = headers.get_all(CONTENT_ENCODING).iter();
    let (only, more) = (lines.next()?, lines.next());
    if more.is_some() { None } else { Coding::named(only.as_bytes().trim_ascii()) }
}

/// A whole content with these fields without its coding; `None` where that is none that can be unpacked, there are several, the content is damaged, cut or
/// followed by something else, or it is longer than `max_length` bytes. A bomb costs no more memory than that, and no more time.
pub fn decoded(headers: &HeaderMap, content: &Bytes, max_length: usize) -> Option<Vec<u8>> {
    let Undone { mut codec, mut room, bytes, is_all } = Undone::of(headers, content, max_length.saturating_add(1))?;
    if !is_all || bytes.len() > max_length {
        return None;
    }
    codec.finish(&mut WriteBuffer::new_initialized(&mut room)).is_ok_and(|is_finished| is_finished).then_some(bytes)
}

/// At most `max_length` bytes of what the beginning of a content with these fields is without its coding; `None` where that is none that can be unpacked,
/// or the content is damaged.
pub fn beginning_decoded(headers: &HeaderMap, beginning: &Bytes, max_length: usize) -> Option<Vec<u8>> {
    let mut decoded = Undone::of(headers, beginning, max_length)?.bytes;
    decoded.truncate(max_length);
    Some(decoded)
}

/// A content whose coding was undone as far as was wanted.
struct Undone {
    codec: Codec,
    room: Box<[u8]>,
    bytes: Vec<u8>,
    /// Whether this is all that its bytes stand for.
    is_all: bool,
}

impl Undone {
    /// Undoes the coding of a content until there are `enough` bytes, or no more.
    fn of(headers: &HeaderMap, content: &Bytes, enough: usize) -> Option<Self> {
        let (codec, room) = (Codec::unpacking(coding_of(headers)?), vec![0; STEP].into_boxed_slice());
        let mut undone = Self { codec, room, bytes: Vec::new(), is_all: false };
        let mut input = content.clone();
        while !undone.is_all && undone.bytes.len() < enough {
            let mut output = WriteBuffer::new_initialized(&mut undone.room);
            if input.is_empty() {
                undone.is_all = undone.codec.flush(&mut output).ok()?;
            } else {
                undone.codec.run(&mut input, &mut output).ok()?;
            }
            undone.bytes.extend_from_slice(output.written());
        }
        Some(undone)
    }
}

/// Whether an answer to a request with these fields may be unpacked: the client allows it (RFC 9111 §5.2.1.6), it is whole, and "a proxy MUST NOT transform the content of a response message that contains a no-transform cache
/// directive" (RFC 9110 §7.7).
pub fn may_unpack(request: &HeaderMap, status: StatusCode, headers: &HeaderMap) -> bool {
    !has_directive(request, &["no-transform"])
        && status != StatusCode::PARTIAL_CONTENT
        && status != StatusCode::RANGE_NOT_SATISFIABLE
        && !has_directive(headers, &["no-transform"])
}

/// Makes the fields of an answer into those of the same one unpacked.
pub fn unpacked_fields(headers: &mut HeaderMap) {
    headers.remove(CONTENT_ENCODING);
    recoded(headers);
}

/// Gives a 304 the entity tag that its client knows: that of the answer that was unpacked for it.
pub fn weaken_for(request: &HeaderMap, headers: &mut HeaderMap) {
    if request.get(IF_NONE_MATCH).is_some_and(|known| is_known_as_weak(known.as_bytes(), headers)) {
        weaken(headers);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::ETAG;

    use super::*;

    #[test]
    fn only_one_known_coding_can_be_undone() {
        let coding = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            lines.iter().for_each(|line| _ = headers.append(CONTENT_ENCODING, HeaderValue::from_static(line)));
            coding_of(&headers)
        };
        assert_eq!(coding(&["BR"]), Some(Coding::Brotli));
        assert_eq!(coding(&["x-gzip"]), Some(Coding::Gzip));
        for lines in [&[][..], &["deflate"], &["gzip, br"], &["gzip", "br"], &["identity"]] {
            assert_eq!(coding(lines), None, "{lines:?}");
        }
    }

    fn packed(coding: Coding, content: &[u8]) -> Bytes {
        let (mut codec, mut input) = (Codec::packing(coding), Bytes::copy_from_slice(content));
        let (mut room, mut whole) = (vec![0; STEP].into_boxed_slice(), Vec::new());
        loop {
            let mut output = WriteBuffer::new_initialized(&mut room);
            let is_done = if input.is_empty() {
                codec.finish(&mut output).expect("packed")
            } else {
                codec.run(&mut input, &mut output).expect("packed");
                false
            };
            whole.extend_from_slice(output.written());
            if is_done {
                return whole.into();
            }
        }
    }

    fn undone(coding: Coding, content: &Bytes, max_length: usize) -> Option<Vec<u8>> {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(coding.name()))]);
        decoded(&headers, content, max_length)
    }

    #[test]
    fn a_content_is_decoded_whole_or_not_at_all() {
        let text = "{\"a\":1}".repeat(5000);
        for coding in Coding::ALL {
            let content = packed(coding, text.as_bytes());
            assert_eq!(undone(coding, &content, text.len()).as_deref(), Some(text.as_bytes()), "{coding:?}");
            assert_eq!(undone(coding, &content, text.len() - 1), None, "{coding:?}: a byte too long");
            for cut in [1, content.len() / 2, content.len() - 1] {
                assert_eq!(undone(coding, &content.slice(..cut), text.len()), None, "{coding:?}: cut at {cut}");
            }
            let mut more = content.to_vec();
            more.extend_from_slice(b"more");
            assert_eq!(undone(coding, &more.into(), text.len()), None, "{coding:?}: followed by something else");
            assert_eq!(undone(coding, &Bytes::from_static(b"{\"a\":1}"), text.len()), None, "{coding:?}: not coded");
        }
        assert_eq!(decoded(&HeaderMap::new(), &Bytes::from_static(b"{}"), 10), None, "no coding is named");
    }

    #[test]
    fn the_beginning_of_a_content_is_decoded_as_far_as_it_goes() {
        // Longer than a block of zstd, which is decoded as a whole.
        let text: String = (0..60_000).map(|number| format!("{{\"a\":{number}}}")).collect();
        for coding in Coding::ALL {
            let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(coding.name()))]);
            let content = packed(coding, text.as_bytes());
            let whole = beginning_decoded(&headers, &content, 1 << 20);
            assert_eq!(whole.as_deref(), Some(text.as_bytes()), "{coding:?}");
            let part = beginning_decoded(&headers, &content.slice(..content.len() / 2), 1000).expect("a beginning");
            assert_eq!(part, &text.as_bytes()[..1000], "{coding:?}");
            assert_eq!(beginning_decoded(&headers, &Bytes::from_static(b"{\"a\":1}"), 10), None, "{coding:?}: not coded");
        }
    }

    #[test]
    fn a_bomb_is_put_aside_at_the_permitted_length() {
        let zeros = vec![0; 64 << 20];
        for coding in Coding::ALL {
            let bomb = packed(coding, &zeros);
            assert!(bomb.len() < 256 << 10, "{coding:?}: {}", bomb.len());
            assert_eq!(undone(coding, &bomb, 256 << 10), None, "{coding:?}");
        }
    }

    #[test]
    fn rfc9110_7_7_what_must_not_be_transformed_is_not() {
        let mut headers = HeaderMap::new();
        let request = HeaderMap::new();
        assert!(may_unpack(&request, StatusCode::OK, &headers) && !may_unpack(&request, StatusCode::PARTIAL_CONTENT, &headers));
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("max-age=1, No-Transform"));
        assert!(!may_unpack(&request, StatusCode::OK, &headers));
        assert!(!may_unpack(&headers, StatusCode::OK, &request), "the client's own word");
    }

    #[test]
    fn a_client_is_told_the_tag_that_it_knows() {
        let told = |known: &'static str| {
            let mut headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"1\""))]);
            weaken_for(&HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(known))]), &mut headers);
            headers[ETAG].clone()
        };
        assert_eq!(
            (told("W/\"1\""), told("\"1\""), told("*")),
            ("W/\"1\"".parse().unwrap(), "\"1\"".parse().unwrap(), "\"1\"".parse().unwrap())
        );
    }
}
