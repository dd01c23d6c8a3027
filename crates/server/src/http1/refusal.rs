//! Replaces the bare status that hyper writes for a head that it cannot read.
//!
//! hyper answers such a head before any handler sees it. It does so only while no response is under way or still to be written (see
//! [`crate::connection::activity`]), so whatever it writes then is such a refusal.

use http::StatusCode;

use crate::request::guard::HEAD_TOO_LARGE;
use larder_message::problem::Problem;

const MALFORMED: Problem = Problem::refusal(StatusCode::BAD_REQUEST, "The request's head could not be read as HTTP/1.1.");
const TARGET_TOO_LONG: Problem = Problem::refusal(StatusCode::URI_TOO_LONG, "The request target is too long.");

/// The refusal that replaces the response beginning with these bytes; `None` if that may stay.
pub(crate) fn replacement_for(bytes: &[u8]) -> Option<Problem> {
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
            assert_eq!(replacement_for(bytes.as_bytes()).map(|problem| problem.status().as_u16()), Some(status), "{bytes}");
        }
    }

    #[test]
    fn anything_else_stays() {
        for bytes in ["", "HTTP/1.1 4", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "400"] {
            assert_eq!(replacement_for(bytes.as_bytes()), None, "{bytes}");
        }
    }
}
