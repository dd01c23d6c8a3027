//! The content behind a response head, taken off the bytes that have arrived.

use bytes::BytesMut;

use super::Malformed;
use super::chunked::{Chunks, Next};
use super::framing::Framing;

/// The rest of a body, by the way in which its end is known.
#[derive(Debug)]
pub(super) enum Remaining {
    Length(u64),
    Chunks(Chunks),
    UntilClose,
}

impl Remaining {
    /// Content of which nothing has been read.
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunks(Chunks::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Takes the next piece off the input.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Next, Malformed> {
        match self {
            Self::Chunks(chunks) => chunks.next(input),
            Self::Length(0) => Ok(Next::End),
            Self::Length(_) | Self::UntilClose if input.is_empty() => Ok(Next::Unknown),
            Self::Length(left) => {
                let here = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= here as u64;
                Ok(Next::Data(input.split_to(here).freeze()))
            }
            Self::UntilClose => Ok(Next::Data(input.split().freeze())),
        }
    }

    /// Whether everything has been read.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunks(chunks) => chunks.is_over(),
            Self::UntilClose => false,
        }
    }

    /// "A message body that uses the chunked transfer coding is incomplete if the zero-sized chunk that terminates the encoding has not been
    /// received. A message that uses a valid Content-Length is incomplete if the size of the message body received (in octets) is less than
    /// the value given by Content-Length" (RFC 9112 §8). Without either, the end of the connection is the end of the body.
    pub(super) fn ends_with_connection(&self) -> bool {
        matches!(self, Self::UntilClose)
    }

    /// Bytes still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunks(_) | Self::UntilClose => None,
        }
    }
}
