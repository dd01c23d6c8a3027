//! The head of a response (RFC 9112 §4, §5).

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::{HeaderMap, Method, StatusCode, Version};
use httparse::{ParserConfig, Status};

use super::Malformed;
use super::fields::{MAX_FIELDS, Shape};
use super::framing::{Framed, Framing};

/// The longest head, in bytes (what hyper takes).
pub(super) const MAX_HEAD: usize = 8 * 1024 + 4 * 1024 * 100;

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

/// Takes the head of a response to `method` off the input; `None` while it is not all there. `shape` is that of the head before.
pub(super) fn take_head(input: &mut BytesMut, method: &Method, shape: &mut Shape) -> Result<Option<Head>, Malformed> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, &mut lines);
    let length = match parsed {
        Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(Status::Partial) if input.len() < MAX_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Malformed::TooLarge),
        Err(error) => return Err(Malformed::Head(error)),
    };
    let version = if response.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Malformed::Head(httparse::Error::Status))?;
    let mut framed = Framed::default();
    let headers = shape.map(response.headers, &input[..length], |name, value| framed.see(name, value))?;
    input.advance(length);
    let framing = if status.is_informational() { Framing::Length(0) } else { framed.framing(method, status, version)? };
    Ok(Some(Head { status, version, headers, framing, persists: framed.persists(method, version) }))
}
