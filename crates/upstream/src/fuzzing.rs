//! The readers of HTTP/1.1 responses and of answers of name servers, as functions of bytes: for the fuzz targets in `fuzz/`, and no part of the library's interface.

pub use crate::http1::{ReadResponse, read_response};
use crate::names::dns::message::{Kind, answer, question};

/// The id of the question that [`dns_answer`] is about.
pub const DNS_ID: u16 = 7;

/// What these bytes answer to a question for the addresses of `a.example`, or for the service `_a._tcp.a.example`; `None` where they answer none.
pub fn dns_answer(message: &[u8], is_service: bool) -> Option<Vec<String>> {
    let (name, kind) = if is_service { ("_a._tcp.a.example", Kind::Srv) } else { ("a.example", Kind::A) };
    let answer = answer(&question(DNS_ID, name, kind)?, message, kind)?;
    Some(answer.records.iter().map(|record| format!("{record:?}")).collect())
}
