//! The client's preconditions against a stored response (RFC 9110 §13.2.2, RFC 9111 §4.3.2).

use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName};

use crate::head::entity_tag::{ListMatch, match_list};
use crate::head::stored::StoredHead;
use crate::request::RequestContext;
use crate::time::Timestamp;

/// The outcome of a client's preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// They hold, or there are none.
    Met,
    /// 304, with the fields of [`not_modified_fields`].
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates the client's preconditions in the order of RFC 9110 §13.2.2. Says nothing about `Range`; see
/// [`range::answer_ranged`](crate::range::answer_ranged).
/// Allocates nothing.
pub fn evaluate(request: &RequestContext, headers: &HeaderMap, stored: &StoredHead) -> Precondition {
    // "A server MUST ignore all received preconditions if its response to the same request without those conditions [...] would have been
    // a status code other than a 2xx (Successful) or 412 (Precondition Failed)" (§13.2.1).
    if !request.conditional || !request.method.reads() || !stored.status.is_success() {
        return Precondition::Met;
    }
    let tag = stored.etag();
    // Steps 1 and 2, "when recipient is the origin server": reached only where the origin must not be asked, or where it just has been.
    let unchanged = match match_list(headers, IF_MATCH, tag.as_ref(), false) {
        ListMatch::Absent => date_of(headers, IF_UNMODIFIED_SINCE, stored.response_time).is_none_or(|since| modified(stored) <= since),
        matched => matched == ListMatch::Yes,
    };
    if !unchanged {
        return Precondition::Failed;
    }
    // Step 3: "When If-None-Match is present, evaluate the If-None-Match precondition: [...] if false for GET/HEAD, respond 304".
    // Step 4: "When the method is GET or HEAD, If-None-Match is not present, and If-Modified-Since is present".
    let same = match match_list(headers, IF_NONE_MATCH, tag.as_ref(), true) {
        ListMatch::Absent => date_of(headers, IF_MODIFIED_SINCE, stored.response_time).is_some_and(|since| modified(stored) <= since),
        matched => matched == ListMatch::Yes,
    };
    if same { Precondition::NotModified } else { Precondition::Met }
}

/// "If a request contains an If-Modified-Since header field and the Last-Modified header field is not present in a stored response, a cache
/// SHOULD use the stored response's Date field value (or, if no Date field is present in the stored response, the time that the stored
/// response was received) to evaluate the conditional" (RFC 9111 §4.3.2).
fn modified(stored: &StoredHead) -> Timestamp {
    let sent = stored.last_modified();
    sent.and_then(|value| Timestamp::parse_http_date(value.as_bytes(), stored.response_time)).unwrap_or_else(|| stored.date())
}

/// "A recipient MUST ignore the If-Modified-Since header field if the received field value is not a valid HTTP-date, the field value has
/// more than one member, or if the request method is neither GET nor HEAD" (§13.1.3); the same for `If-Unmodified-Since` (§13.1.4).
fn date_of(headers: &HeaderMap, name: HeaderName, now: Timestamp) -> Option<Timestamp> {
    let mut lines = headers.get_all(name).iter();
    let date = Timestamp::parse_http_date(lines.next()?.as_bytes(), now);
    if lines.next().is_some() { None } else { date }
}

/// The fields of a 304 made from a stored response: "Content-Location, Date, ETag, and Vary; Cache-Control and Expires" and whatever else
/// is no metadata of the representation, since "a sender SHOULD NOT generate representation metadata other than the above listed fields
/// unless said metadata exists for the purpose of guiding cache updates (e.g., Last-Modified might be useful if the response does not have
/// an ETag field)" (RFC 9110 §15.4.5).
pub fn not_modified_fields(stored: &StoredHead) -> HeaderMap {
    let mut headers = stored.headers.to_map();
    for name in METADATA {
        headers.remove(name);
    }
    if stored.has_etag() {
        headers.remove(LAST_MODIFIED);
    }
    headers
}

/// Whether a stored field is among [`not_modified_fields`]. `has_etag`: whether the stored response has an entity tag.
pub fn is_in_not_modified(name: &HeaderName, has_etag: bool) -> bool {
    !(METADATA.contains(name) || (has_etag && *name == LAST_MODIFIED))
}

/// Metadata of the representation, which a 304 does not tell.
const METADATA: [HeaderName; 5] = [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_RANGE];
