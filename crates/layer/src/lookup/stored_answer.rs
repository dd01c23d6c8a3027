//! A hit in its stored form, for a server that writes it without making a response of it first.

use std::fmt;
use std::sync::Arc;

use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body;
use larder_semantics::fields::CONTENT_DIGESTS;
use larder_semantics::precondition::is_in_not_modified;
use larder_semantics::range::{Answer, answer_ranged};
use larder_semantics::{CacheStatus, MethodKind, RequestContext};
use larder_store::StoredResponse;

use crate::body::CacheBody;
use crate::body::log::InFlight;
use crate::outcome::{CacheResult, Outcome, Served};
use crate::respond::{self, CACHE_STATUS, X_CACHE};

/// An answer to which nothing has to be waited for.
pub struct StoredAnswer<B> {
    head: Head,
    /// For HEAD: the length of the body that a GET would get.
    untold: Option<u64>,
    /// The body; empty where the status has none, and for HEAD.
    pub body: CacheBody<B>,
    /// The decision, for log and metrics.
    pub outcome: Outcome,
}

enum Head {
    /// The stored fields, with these in their slots.
    Slots {
        stored: Arc<StoredResponse>,
        extent: Extent,
        age: HeaderValue,
        cache_status: HeaderValue,
    },
    Made {
        status: StatusCode,
        fields: HeaderMap,
    },
}

/// How much of the stored response is sent.
enum Extent {
    Whole,
    /// 304: its fields, as far as a client has to be told them again.
    NotModified,
    /// 206, with these values of `Content-Length` and `Content-Range`.
    Part {
        length: HeaderValue,
        range: HeaderValue,
    },
}

impl<B> StoredAnswer<B> {
    /// The answer from a stored response where it has a slot for each field of ours and is wanted whole, in one part, or not at all.
    pub(crate) fn in_slots(
        request: &RequestContext,
        fields: &HeaderMap,
        stored: &Arc<StoredResponse>,
        in_flight: &Arc<InFlight>,
        age: u32,
        status: &CacheStatus,
        outcome: Outcome,
    ) -> Option<Self> {
        // Before the body, which a packed one is made for.
        let cache_status = respond::plain_hit(status).filter(|_| stored.head.headers.has_slots())?;
        let mut untold = None;
        let (body, extent) = match answer_ranged(request, fields, &stored.head, stored.body_length()) {
            Answer::Full if request.method == MethodKind::Head => {
                untold = Some(stored.body_length());
                (CacheBody::empty(), Extent::Whole)
            }
            Answer::Full => (CacheBody::stored(stored.body(), in_flight), Extent::Whole),
            Answer::NotModified => (CacheBody::empty(), Extent::NotModified),
            Answer::Partial(partial) => {
                let (bytes, range) = partial.only()?;
                let length = respond::decimal(i64::try_from(bytes.length()).ok()?);
                (CacheBody::stored_part(&stored.body(), in_flight, bytes.first, bytes.last + 1), Extent::Part { length, range })
            }
            _ => return None,
        };
        let head = Head::Slots { stored: Arc::clone(stored), extent, age: respond::decimal(i64::from(age)), cache_status };
        Some(Self { head, untold, body, outcome })
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        match &self.head {
            Head::Slots { stored, extent: Extent::Whole, .. } => stored.head.status,
            Head::Slots { extent: Extent::NotModified, .. } => StatusCode::NOT_MODIFIED,
            Head::Slots { extent: Extent::Part { .. }, .. } => StatusCode::PARTIAL_CONTENT,
            Head::Made { status, .. } => *status,
        }
    }

    /// The length in bytes of the body, or for HEAD of that which a GET would get; `None` where it is not known before its end.
    pub fn length(&self) -> Option<u64>
    where
        CacheBody<B>: Body,
    {
        self.untold.or_else(|| self.body.size_hint().exact())
    }

    /// As a response, for a server that hands it on to others.
    pub fn into_served(self) -> Served<B> {
        let mut fields = HeaderMap::new();
        self.for_each_line(|name, value| {
            // It was one when it was stored.
            let Ok(value) = HeaderValue::from_bytes(value) else { return };
            fields.append(name, value);
        });
        if let Some(length) = self.untold.filter(|length| *length > 0) {
            fields.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
        }
        let mut response = Response::new(CacheBody::empty());
        (*response.status_mut(), *response.headers_mut()) = (self.status(), fields);
        *response.body_mut() = self.body;
        Served { response, outcome: self.outcome }
    }

    /// Appends the field lines in the form of HTTP/1.1 where they can be copied out of the store, which is a fraction of [`Self::for_each_line`].
    /// Returns whether a `Content-Length` is among them; `None` where nothing was appended.
    pub fn put_lines(&self, out: &mut Vec<u8>) -> Option<bool> {
        match &self.head {
            Head::Slots { stored, extent: Extent::Whole, age, cache_status } => {
                stored.head.headers.put_lines(out, |name| slot(name, age, cache_status))
            }
            Head::Slots { .. } | Head::Made { .. } => None,
        }
    }

    /// Calls `put` for each field line, in order. Lines of one name stand together.
    pub fn for_each_line(&self, mut put: impl FnMut(&HeaderName, &[u8])) {
        match &self.head {
            Head::Made { fields, .. } => fields.iter().for_each(|(name, value)| put(name, value.as_bytes())),
            Head::Slots { stored, extent, age, cache_status } => {
                let lines = stored.head.headers.lines().map(|(name, value)| match value {
                    [] => (name, slot(name, age, cache_status)),
                    value => (name, value),
                });
                extent.lines(lines, || stored.head.has_etag(), put);
            }
        }
    }
}

/// The value of a line that is empty in the store.
fn slot<'v>(name: &HeaderName, age: &'v HeaderValue, cache_status: &'v HeaderValue) -> &'v [u8] {
    match name {
        name if *name == AGE => age.as_bytes(),
        name if *name == X_CACHE => CacheResult::Hit.as_str().as_bytes(),
        name if *name == CACHE_STATUS => cache_status.as_bytes(),
        _ => b"",
    }
}

impl Extent {
    /// Calls `put` for each of a stored response's lines that is sent, and for those that only this extent has.
    fn lines<'l>(
        &'l self,
        lines: impl Iterator<Item = (&'l HeaderName, &'l [u8])>,
        has_etag: impl FnOnce() -> bool,
        mut put: impl FnMut(&HeaderName, &[u8]),
    ) {
        match self {
            Self::Whole => lines.for_each(|(name, value)| put(name, value)),
            Self::NotModified => {
                let has_etag = has_etag();
                lines.filter(|(name, _)| is_in_not_modified(name, has_etag)).for_each(|(name, value)| put(name, value));
            }
            Self::Part { length, range } => {
                let is_of_the_whole = |name| [CONTENT_LENGTH, CONTENT_RANGE].contains(name) || CONTENT_DIGESTS.contains(name);
                lines.filter(|(name, _)| !is_of_the_whole(name)).for_each(|(name, value)| put(name, value));
                put(&CONTENT_LENGTH, length.as_bytes());
                put(&CONTENT_RANGE, range.as_bytes());
            }
        }
    }
}

impl<B> From<Served<B>> for StoredAnswer<B> {
    fn from(served: Served<B>) -> Self {
        let (parts, body) = served.response.into_parts();
        Self { head: Head::Made { status: parts.status, fields: parts.headers }, untold: None, body, outcome: served.outcome }
    }
}

impl<B> fmt::Debug for StoredAnswer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredAnswer").field("status", &self.status()).field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
