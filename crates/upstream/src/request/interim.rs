//! Informational responses of an origin (RFC 9110 §15.2): whom they concern.

use http::{HeaderMap, StatusCode};

use crate::request::expect::{Gate, Verdict};
use larder_message::EarlyResponses;

/// Who hears of the 1xx responses to one request.
#[derive(Clone, Default)]
pub(crate) struct Interim {
    /// Holds the request's content back.
    pub(crate) gate: Option<Gate>,
    /// The client, where it can be sent any.
    pub(crate) early: Option<EarlyResponses>,
}

impl Interim {
    /// Whether there is anybody to tell.
    pub(crate) fn is_anyone(&self) -> bool {
        self.gate.is_some() || self.early.is_some()
    }

    /// "A client MUST be able to parse one or more 1xx responses received prior to a final response, even if the client does not expect
    /// one" (RFC 9110 §15.2). What concerns nobody is passed over.
    pub(crate) fn told(&self, status: StatusCode, headers: &HeaderMap) {
        match (status, &self.gate, &self.early) {
            (StatusCode::CONTINUE, Some(gate), _) => gate.decide(Verdict::Continue),
            (status, _, Some(early)) => early.push(status, headers),
            _ => {}
        }
    }
}
