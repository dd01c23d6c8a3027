//! Hits over HTTP/2, answered before the HTTP/2 library sees their requests: its streams and tasks, and maps of fields both ways, are most of what
//! a hit costs there.
//!
//! The front stands between the socket and the library, and reads a client's frames before it.
//!
//! 1. [`Front::take`] lets frames go on as they are that are of no interest here, and keeps the others until they are whole ([`incoming`]).
//! 2. Every block of fields is decoded, for the table of a client's encoder is one for its connection ([`requests`], [`crate::http2::hpack`]).
//! 3. A plain GET or HEAD, whole and with nothing unusual about it, is made a request ([`request`]) and shown to the handler, which answers where
//!    it has the answer stored, and where that fits into the windows of stream and connection ([`window`], [`settings`]).
//! 4. The answer's frames ([`answer`]) are written behind what the library has written, where it is between two frames ([`outgoing`]). They use no
//!    dynamic table, so the library's encoder and the client's decoder stay together.
//! 5. Everything else goes on to the library, its fields written again without a table. The library sees a connection on which some streams
//!    were skipped, which are closed for it (RFC 9113 §5.1.1), and nothing about those comes to it.
//! 6. What is malformed goes on in a form that the library refuses, so errors are the library's to answer. From then on all bytes are.

mod answer;
mod incoming;
mod outgoing;
mod request;
mod requests;
mod settings;
mod window;

pub(crate) use incoming::Front;
pub(crate) use outgoing::{find_goaway, put_goaway};
