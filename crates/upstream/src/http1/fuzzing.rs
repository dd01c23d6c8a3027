//! A whole response read from bytes that arrive in pieces, without a connection.

use bytes::BytesMut;
use http::{HeaderMap, Method, StatusCode, Version};

use super::Malformed;
use super::chunked::Next;
use super::fields::Shape;
use super::remaining::Remaining;
use super::response::{Head, take_head};

/// A response as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadResponse {
    /// Informational responses before it.
    pub interim: usize,
    /// Of the final response.
    pub status: StatusCode,
    /// Of the final response.
    pub version: Version,
    /// Of the final response.
    pub fields: HeaderMap,
    /// The bytes of it that have arrived, decoded.
    pub body: Vec<u8>,
    /// Fields behind the last chunk.
    pub trailers: HeaderMap,
    /// Bytes behind the end of the body; `None` where its end has not come, or is the end of the connection.
    pub rest: Option<Vec<u8>>,
    /// Only the end of the connection ends the body.
    pub is_until_close: bool,
    /// Its connection may be used again.
    pub persists: bool,
}

/// The response to `method`, from the pieces in which its bytes arrive. `None` where no head could be read, or where the body breaks its framing.
pub fn read_response(pieces: &[&[u8]], method: &Method) -> Option<ReadResponse> {
    let (mut reader, mut input) = (Reader::default(), BytesMut::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        reader.read(&mut input, method).ok()?;
    }
    let Reader { interim, head, content, body, trailers, is_over, .. } = reader;
    let (Head { status, version, headers, persists, .. }, content) = (head?, content?);
    let is_until_close = content.ends_with_connection();
    let rest = is_over.then(|| input.to_vec());
    Some(ReadResponse {
        interim,
        status,
        version,
        fields: headers,
        body,
        trailers,
        rest,
        is_until_close,
        persists: persists && !is_until_close,
    })
}

/// A response, read so far.
#[derive(Default)]
struct Reader {
    shape: Shape,
    interim: usize,
    head: Option<Head>,
    content: Option<Remaining>,
    body: Vec<u8>,
    trailers: HeaderMap,
    is_over: bool,
}

impl Reader {
    /// Takes off the input what can be read of it.
    fn read(&mut self, input: &mut BytesMut, method: &Method) -> Result<(), Malformed> {
        while self.content.is_none() {
            match take_head(input, method, &mut self.shape)? {
                None => return Ok(()),
                Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => return Err(Malformed::Switched),
                Some(head) if head.status.is_informational() => self.interim += 1,
                Some(head) => {
                    self.content = Some(Remaining::new(head.framing));
                    self.head = Some(head);
                }
            }
        }
        let Some(content) = &mut self.content else { return Ok(()) };
        loop {
            match content.next(input)? {
                Next::Data(data) => self.body.extend_from_slice(&data),
                Next::Trailers(trailers) => self.trailers = trailers,
                Next::Unknown => return Ok(()),
                Next::End => {
                    self.is_over = true;
                    return Ok(());
                }
            }
        }
    }
}
