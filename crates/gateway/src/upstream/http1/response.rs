//! The head of a response (RFC 9112 §4, §5).

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use httparse::{Header, ParserConfig, Status};

use super::Malformed;
use super::framing::{Framed, Framing};

/// The most fields of a head or a trailer section (what hyper takes).
pub(super) const MOST_FIELDS: usize = 100;

/// The longest head, in bytes (what hyper takes).
pub(super) const LONGEST_HEAD: usize = 8 * 1024 + 4 * 1024 * 100;

/// A response head, final or not.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(super) framing: Framing,
    /// Whether the connection is meant to go on after it.
    pub(super) persists: bool,
}

/// Takes the head of a response to `method` off the input; `None` while it is not all there.
pub(super) fn take_head(input: &mut BytesMut, method: &Method) -> Result<Option<Head>, Malformed> {
    let mut lines = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, &mut lines);
    let length = match parsed {
        Ok(Status::Complete(length)) if length <= LONGEST_HEAD => length,
        Ok(Status::Partial) if input.len() < LONGEST_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Malformed::TooLarge),
        Err(error) => return Err(Malformed::Head(error)),
    };
    let version = if response.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Malformed::Head(httparse::Error::Status))?;
    let mut framed = Framed::default();
    let headers = fields(response.headers, &input[..length], |name, value| framed.see(name, value))?;
    input.advance(length);
    let framing = if status.is_informational() { Framing::Length(0) } else { framed.framing(method, status, version)? };
    Ok(Some(Head { status, version, headers, framing, persists: framed.persists(method, version) }))
}

/// A map of field lines that lie in `text`. The values are slices of one copy of it, so that none of them keeps more alive than a head.
pub(super) fn fields(lines: &[Header<'_>], text: &[u8], mut see: impl FnMut(&HeaderName, &HeaderValue)) -> Result<HeaderMap, Malformed> {
    let copy = Bytes::copy_from_slice(text);
    let mut map = HeaderMap::with_capacity(lines.len() + SPARE_FIELDS);
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Malformed::Head(httparse::Error::HeaderName))?;
        let start = line.value.as_ptr() as usize - text.as_ptr() as usize;
        let value = copy.slice(start..start + line.value.len());
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| Malformed::Head(httparse::Error::HeaderValue))?;
        see(&name, &value);
        map.append(name, value);
    }
    Ok(map)
}

/// Room for the fields that the cache adds, so that the map does not grow for them.
const SPARE_FIELDS: usize = 5;
