//! What hyper says by itself to a head that it cannot read, said in our words.
//!
//! hyper answers such a head before any handler hears of it, with a bare status line. It does so only where nothing of ours is under way or still
//! to be written (see [`crate::connection::activity`]), so what it writes there can be known for what it is by where it stands, and is replaced.

use http::StatusCode;

use crate::request::guard::HEAD_TOO_LARGE;
use larder_message::problem::Problem;

const MALFORMED: Problem = Problem::refusal(StatusCode::BAD_REQUEST, "The request's head could not be read as HTTP/1.1.");
const TARGET_TOO_LONG: Problem = Problem::refusal(StatusCode::URI_TOO_LONG, "The request target is too long.");

/// The answer to be given instead of the one that begins with these bytes; `None` where it may stay.
pub(crate) fn in_our_words(bytes: &[u8]) -> Option<Problem> {
    let status = bytes.strip_prefix(b"HTTP/1.1 ").or_else(|| bytes.strip_prefix(b"HTTP/1.0 "))?;
    match status.get(..3)? {
        b"400" => Some(MALFORMED),
        b"414" => Some(TARGET_TOO_LONG),
        b"431" => Some(HEAD_TOO_LARGE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_hypers_refusals_has_a_problem_with_its_status() {
        for (bytes, status) in [("HTTP/1.1 400 Bad Request\r\n", 400), ("HTTP/1.0 414 URI Too Long\r\n", 414), ("HTTP/1.1 431 R", 431)] {
            assert_eq!(in_our_words(bytes.as_bytes()).map(|problem| problem.status().as_u16()), Some(status), "{bytes}");
        }
    }

    #[test]
    fn anything_else_stays() {
        for bytes in ["", "HTTP/1.1 4", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "400"] {
            assert_eq!(in_our_words(bytes.as_bytes()), None, "{bytes}");
        }
    }
}
