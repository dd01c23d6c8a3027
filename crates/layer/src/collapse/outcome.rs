//! The outcome of a fetch: one value for the client whose fetch it was and for its followers.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, response};
use larder_semantics::fields::is_for_one_client;
use larder_semantics::{CacheStatus, ForwardReason, Reason};
use larder_store::StoredResponse;

use super::server_error::ServerError;
use crate::body::CacheBody;
use crate::body::pending::{PendingReader, PendingResponse};
use crate::error::FetchError;
use crate::lookup::request::ClientRequest;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond;

/// The outcome of a fetch. Where a stored response may stand in for an answer (RFC 5861 §4), the outcome carries it.
#[derive(Clone, Debug)]
pub(crate) enum FetchOutcome {
    /// A response on its way into the store.
    Fetched(Arc<PendingResponse>),
    /// The origin confirmed a stored response; this is it, freshened.
    Validated {
        stored: Arc<StoredResponse>,
        /// `false`: it answers the leader's request only.
        is_shared: bool,
    },
    /// Another replica has stored this.
    Loaded(Arc<StoredResponse>),
    /// Another replica has stored this, and its body is on its way from there.
    Arriving(Arc<PendingResponse>),
    /// No answer. All fail together, or use what is stored.
    Failed { error: FetchError, stored: Option<Arc<StoredResponse>> },
    /// A server error that is not stored. All share it, or use what is stored.
    ServerError(Arc<ServerError>),
    /// The leader was refused for what stands in its own request, or for its client's limits, which says nothing about the other requests.
    Refused,
    /// The answer is for the leader's client only. The others fetch alone, at once.
    NotShared,
}

impl FetchOutcome {
    /// Whether it is for the requests that wait already, and for none that comes later.
    pub(super) fn ends_flight(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::ServerError(_) | Self::Refused)
    }

    /// Whether another replica answered, so that the origin was not asked.
    pub(super) fn is_from_replica(&self) -> bool {
        matches!(self, Self::Loaded(_) | Self::Arriving(_))
    }
}

/// The part of an answer that only the client whose fetch it was gets.
#[derive(Debug)]
pub(crate) enum Own<B> {
    /// Nothing.
    Nothing,
    /// Nothing: another replica asked the origin, and the client is one of those that waited for it.
    Elsewhere,
    /// The origin's head, with the fields that are never stored, and a reader of the body.
    Head { head: response::Parts, reader: PendingReader },
    /// A reader of the body.
    Reader(PendingReader),
    /// The fields that came with the confirmation of a stored response.
    Fields(OwnFields),
    /// A part, on its way into the store or confirmed.
    Part(PartAnswer<B>),
    /// An answer that is not stored.
    Response { response: Response<CacheBody<B>>, reason: Reason },
    /// A server error that a stored response may stand in for.
    ServerError(Response<CacheBody<B>>),
    /// Its client may not ask the origin now. With what is stored, which may stand in.
    Limited { error: FetchError, stored: Option<Arc<StoredResponse>> },
}

impl<B> Own<B> {
    /// The status of the origin's answer, where there is one.
    pub(super) fn upstream_status(&self) -> Option<StatusCode> {
        match self {
            Self::Head { head, .. } => Some(head.status),
            Self::Fields(_) => Some(StatusCode::NOT_MODIFIED),
            Self::Part(part) => Some(part.code),
            Self::Response { response, .. } | Self::ServerError(response) => Some(response.status()),
            Self::Nothing | Self::Elsewhere | Self::Reader(_) | Self::Limited { .. } => None,
        }
    }
}

/// The message to the client whose fetch it was.
#[derive(Debug)]
pub(crate) struct Reply<B> {
    pub(crate) outcome: FetchOutcome,
    pub(crate) own: Own<B>,
}

/// Fields of an answer that are never stored, and for the one client only.
pub(crate) type OwnFields = Vec<(HeaderName, HeaderValue)>;

/// Those fields of an answer.
pub(crate) fn own_fields<B>(response: &Response<B>) -> OwnFields {
    let own = response.headers().iter().filter(|(name, _)| is_for_one_client(name));
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Adds them to the answer for their client.
pub(crate) fn add_own(headers: &mut HeaderMap, own: OwnFields) {
    for (name, value) in own {
        headers.append(name, value);
    }
}

/// An answer made of a part.
#[derive(Debug)]
pub(crate) struct PartAnswer<B> {
    pub(crate) response: Response<CacheBody<B>>,
    /// The status of the origin's answer.
    pub(crate) code: StatusCode,
    /// Seconds of freshness left, where the bytes were stored before and have been confirmed.
    pub(crate) confirmed: Option<i64>,
}

impl<B> PartAnswer<B> {
    /// The response with `X-Cache` and `Cache-Status`.
    pub(super) fn serve(self, request: &ClientRequest, result: CacheResult, reason: Reason, status: CacheStatus) -> Served<B> {
        let status = CacheStatus { fwd_status: Some(self.code.as_u16()), ..status };
        let forward: Option<ForwardReason> = status.fwd;
        let (result, reason, status) = match self.confirmed {
            Some(_) => {
                let detail = Some(Reason::Validated.as_str());
                (CacheResult::Revalidated, Reason::Validated, CacheStatus { ttl: self.confirmed, detail, ..status })
            }
            None => (result, reason, CacheStatus { stored: true, ..status }),
        };
        let mut response = self.response;
        respond::annotate(response.headers_mut(), result, &status);
        let mut outcome = Outcome::new(result, reason, Some(request.key.clone()));
        (outcome.forward, outcome.stored) = (forward, true);
        Served { response, outcome }
    }
}
