//! The way of an origin's interim responses (1xx, RFC 9110 §15.2).

use http::{HeaderMap, StatusCode};

use crate::request::expect::{Gate, Verdict};
use larder_message::InterimResponses;

/// Receives the interim responses to one request.
#[derive(Clone, Default)]
pub(crate) struct InterimSink {
    /// Holds the request's content back.
    pub(crate) gate: Option<Gate>,
    /// The client, where it can be sent any.
    pub(crate) client: Option<InterimResponses>,
}

impl InterimSink {
    /// Whether interim responses are used at all.
    pub(crate) fn is_used(&self) -> bool {
        self.gate.is_some() || self.client.is_some()
    }

    /// "A client MUST be able to parse one or more 1xx responses received prior to a final response, even if the client does not expect
    /// one" (RFC 9110 §15.2). The others are dropped.
    pub(crate) fn receive(&self, status: StatusCode, headers: &HeaderMap) {
        match (status, &self.gate, &self.client) {
            (StatusCode::CONTINUE, Some(gate), _) => gate.decide(Verdict::Continue),
            (status, _, Some(client)) => client.push(status, headers),
            _ => {}
        }
    }
}
