//! The client side of HTTP/1.1 (RFC 9112): one exchange at a time on a connection, driven by the task that waits for the answer.
//!
//! hyper's client connection is made to be a task of its own: request, response and body go through channels, though one task holds
//! both ends, and it keeps no text of a request that may have to be sent once more. Here a request is written once, straight into the
//! buffer that is sent and that a retry sends again; a head is read in place; and a small body that came with its head needs no further read.

mod body;
mod chunked;
mod connection;
mod fields;
mod framing;
mod fuzzing;
mod pool;
mod remaining;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod upload;

pub(crate) use body::ResponseBody;
pub use fuzzing::{ReadResponse, read_response};
pub(crate) use pool::Pool;
pub(crate) use request::HeadWriter;
pub(crate) use upload::{ContentFailed, Upload};

/// The origin's bytes are not HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// The status line or a field line is not one (RFC 9112 §4, §5).
    #[error("the response head cannot be read: {0}")]
    Head(httparse::Error),
    /// The head, or its number of fields, has no end.
    #[error("the response head is too large")]
    TooLarge,
    /// Lengths that are no numbers, or that differ (RFC 9112 §6.3).
    #[error("the response's Content-Length is invalid")]
    ContentLength,
    /// "A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request indicates HTTP/1.1 (or later
    /// minor revisions)" (RFC 9112 §6.1), so a server of HTTP/1.0 does not know what it says.
    #[error("an HTTP/1.0 response has a Transfer-Encoding")]
    TransferEncoding,
    /// The body is not made of chunks, as its fields say (RFC 9112 §7.1).
    #[error("the response's chunks cannot be read")]
    Chunk,
    /// Informational responses without an end, and no final one.
    #[error("the origin sent more informational responses than a client would read")]
    EndlessInterim,
    /// Switching protocols without being asked (RFC 9110 §7.8).
    #[error("the origin switched protocols without being asked")]
    Switched,
}

/// The head of the response did not come before its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response did not begin in time")]
pub(crate) struct Late;

/// The connection, or the stream of HTTP/2, ended before the message did (RFC 9112 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection ended within the message")]
pub(crate) struct Incomplete;
