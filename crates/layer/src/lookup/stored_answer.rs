//! A hit in its stored form, for a server that writes it without making a response of it first.

use std::fmt;
use std::sync::Arc;

use http::header::AGE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use larder_semantics::precondition::is_in_not_modified;
use larder_semantics::range::{Answer, answer_ranged};
use larder_semantics::{CacheStatus, RequestContext};
use larder_store::StoredResponse;

use crate::body::CacheBody;
use crate::body::log::InFlight;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond::{self, CACHE_STATUS, X_CACHE};

/// An answer to which nothing has to be waited for.
pub struct StoredAnswer<B> {
    head: Head,
    /// The body; empty where the status has none.
    pub body: CacheBody<B>,
    /// The decision, for log and metrics.
    pub outcome: Outcome,
}

enum Head {
    /// The stored fields, with these in their slots.
    Slots {
        stored: Arc<StoredResponse>,
        not_modified: bool,
        age: HeaderValue,
        cache_status: HeaderValue,
    },
    Made {
        status: StatusCode,
        fields: HeaderMap,
    },
}

impl<B> StoredAnswer<B> {
    /// The answer from a stored response where it has a slot for each field of ours and is wanted whole, or not at all.
    pub(crate) fn in_slots(
        request: &RequestContext,
        fields: &HeaderMap,
        stored: &Arc<StoredResponse>,
        in_flight: &Arc<InFlight>,
        age: u32,
        status: &CacheStatus,
        outcome: Outcome,
    ) -> Option<Self> {
        let (body, not_modified) = match answer_ranged(request, fields, &stored.head, stored.body_length()) {
            Answer::Full => (CacheBody::stored(stored.body(), in_flight), false),
            Answer::NotModified => (CacheBody::empty(), true),
            _ => return None,
        };
        let cache_status = respond::plain_hit(status)?;
        let slots = stored.head.headers.lines().filter(|(name, value)| value.is_empty() && is_slot(name)).count();
        let head = Head::Slots { stored: Arc::clone(stored), not_modified, age: respond::decimal(i64::from(age)), cache_status };
        (slots == 3).then(|| Self { head, body, outcome })
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        match &self.head {
            Head::Slots { not_modified: true, .. } => StatusCode::NOT_MODIFIED,
            Head::Slots { stored, .. } => stored.head.status,
            Head::Made { status, .. } => *status,
        }
    }

    /// Calls `put` for each field line, in order. Lines of one name stand together.
    pub fn for_each_line(&self, mut put: impl FnMut(&HeaderName, &[u8])) {
        match &self.head {
            Head::Made { fields, .. } => fields.iter().for_each(|(name, value)| put(name, value.as_bytes())),
            Head::Slots { stored, not_modified, age, cache_status } => {
                let has_etag = stored.head.has_etag();
                for (name, value) in stored.head.headers.lines() {
                    let value = match value {
                        [] if *name == AGE => age.as_bytes(),
                        [] if *name == X_CACHE => CacheResult::Hit.as_str().as_bytes(),
                        [] if *name == CACHE_STATUS => cache_status.as_bytes(),
                        value => value,
                    };
                    if !not_modified || is_in_not_modified(name, has_etag) {
                        put(name, value);
                    }
                }
            }
        }
    }
}

fn is_slot(name: &HeaderName) -> bool {
    [AGE, X_CACHE, CACHE_STATUS].contains(name)
}

impl<B> From<Served<B>> for StoredAnswer<B> {
    fn from(served: Served<B>) -> Self {
        let (parts, body) = served.response.into_parts();
        Self { head: Head::Made { status: parts.status, fields: parts.headers }, body, outcome: served.outcome }
    }
}

impl<B> fmt::Debug for StoredAnswer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredAnswer").field("status", &self.status()).field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
