//! A server error that requests share which waited for the answer.

use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use larder_semantics::{CacheStatus, Reason};
use larder_store::{StoredResponse, Variant};

use crate::body::CacheBody;
use crate::body::log::LogHandle;
use crate::lookup::request::ClientRequest;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond;

/// A server error, as requests get it that waited for the answer.
#[derive(Debug)]
pub(crate) struct ServerError {
    pub(crate) status: StatusCode,
    /// May stand in for it.
    pub(crate) stored: Option<Arc<StoredResponse>>,
    /// The fields that are for every client.
    pub(crate) headers: HeaderMap,
    /// The content, where that is for every client too.
    pub(crate) content: Option<Content>,
}

/// The content of a server error.
#[derive(Debug)]
pub(crate) struct Content {
    /// Which requests it is for; `None` without `Vary`.
    pub(crate) variant: Option<Variant>,
    pub(crate) log: LogHandle,
    pub(crate) length: Option<u64>,
}

impl ServerError {
    /// A status, and when to ask again: no more of an answer that was made for one client.
    pub(crate) fn bare(status: StatusCode, headers: &HeaderMap, stored: Option<Arc<StoredResponse>>) -> Self {
        let retry = headers.get(RETRY_AFTER).cloned();
        Self { status, stored, headers: retry.into_iter().map(|retry| (RETRY_AFTER, retry)).collect(), content: None }
    }

    /// The answer to a request that waited.
    pub(super) fn answer<B>(&self, request: &ClientRequest, status: CacheStatus) -> Served<B> {
        let status = CacheStatus { fwd_status: Some(self.status.as_u16()), ..status };
        let content = self.content.as_ref().filter(|content| {
            let suits = |variant: &Variant| variant.suits(&request.parts.headers);
            content.variant.as_ref().is_none_or(suits)
        });
        let read = content.and_then(|content| Some((content.log.reader()?, content.length)));
        let (mut headers, body) = match read {
            Some((reader, length)) => (self.headers.clone(), CacheBody::arriving(reader, length)),
            // Its fields describe a content that this request does not get.
            None => (Self::bare(self.status, &self.headers, None).headers, CacheBody::empty()),
        };
        respond::annotate(&mut headers, CacheResult::Miss, &status);
        let response = respond::respond(self.status, headers, body);
        Served { response, outcome: Outcome::new(CacheResult::Miss, Reason::Collapsed, Some(request.key.clone())) }
    }
}
