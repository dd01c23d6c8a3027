//! Answers of a complete stored response to a request: with its preconditions (RFC 9110 §13.2.2) and for ranges (RFC 9110 §14.2, §15.3.7, §15.5.17).

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use smallvec::SmallVec;

use super::multipart::{Multipart, PART_OVERHEAD};
use super::parse::{ByteRange, RangeSet, RangeSpec};
use crate::head::entity_tag::strong_match;
use crate::head::fields::remove_content_digests;
use crate::head::stored::StoredHead;
use crate::precondition::{Precondition, evaluate, not_modified_fields};
use crate::request::{MethodKind, RequestContext};
use crate::time::Timestamp;

/// How a stored response answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The whole of it.
    Full,
    /// 304, with the fields of [`not_modified_fields`].
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 206, with the fields of [`PartialAnswer::fields`].
    Partial(Box<PartialAnswer>),
    /// 416, with the fields of [`not_satisfiable_fields`].
    RangeNotSatisfiable {
        /// The length of the whole response in bytes.
        complete_length: u64,
    },
}

impl From<Precondition> for Answer {
    fn from(precondition: Precondition) -> Self {
        match precondition {
            Precondition::Met => Self::Full,
            Precondition::NotModified => Self::NotModified,
            Precondition::Failed => Self::PreconditionFailed,
        }
    }
}

/// Evaluates the client's preconditions, and then step 5: "When the method is GET and both Range and If-Range are present, evaluate the If-Range precondition".
/// `complete_length` is the length of the stored body in bytes.
pub fn answer_ranged(request: &RequestContext, headers: &HeaderMap, stored: &StoredHead, complete_length: u64) -> Answer {
    match evaluate(request, headers, stored) {
        Precondition::Met if request.range => answer(request, headers, stored, complete_length),
        other => other.into(),
    }
}

/// A 206 made of a complete stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialAnswer {
    /// The ranges to send, in this order. At least one; more than one only with `multipart`.
    pub ranges: SmallVec<[ByteRange; 1]>,
    /// The length of the whole in bytes.
    pub complete_length: u64,
    /// The frame around several ranges.
    pub multipart: Option<Multipart>,
}

impl PartialAnswer {
    /// The fields of the 206: those of the stored response but its content's digest, with the length and place of this part of it. "A server MUST NOT generate a
    /// Content-Range in the header section of a multiple part response" (§15.3.7.2).
    pub fn fields(&self, stored: &StoredHead) -> HeaderMap {
        let mut headers = stored.headers.to_map();
        remove_content_digests(&mut headers);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.content_length()));
        match &self.multipart {
            Some(multipart) => _ = headers.insert(CONTENT_TYPE, multipart.content_type()),
            None => _ = headers.insert(CONTENT_RANGE, content_range(self.ranges[0], self.complete_length)),
        }
        headers
    }

    /// The range and its `Content-Range`, where it is the only one, so that the content is nothing but its bytes.
    pub fn only(&self) -> Option<(ByteRange, HeaderValue)> {
        match self.ranges[..] {
            [range] if self.multipart.is_none() => Some((range, content_range(range, self.complete_length))),
            _ => None,
        }
    }

    /// The length of the 206's content in bytes.
    pub fn content_length(&self) -> u64 {
        match &self.multipart {
            Some(multipart) => multipart.content_length(&self.ranges, self.complete_length),
            None => self.ranges.iter().map(|range| range.length()).sum(),
        }
    }
}

/// Evaluates `If-Range` and `Range` against a complete stored response of `complete_length` bytes.
pub fn answer(request: &RequestContext, headers: &HeaderMap, stored: &StoredHead, complete_length: u64) -> Answer {
    // "A server MUST ignore a Range header field received with a request method that is unrecognized or for which range handling is not
    // defined. For this specification, GET is the only method for which range handling is defined"; and it applies "if [...] the response
    // would otherwise be a 200 (OK)" (§14.2).
    if request.method != MethodKind::Get || stored.status != StatusCode::OK {
        return Answer::Full;
    }
    let Some(set) = RangeSet::parse(headers) else { return Answer::Full };
    if !if_range_holds(headers, stored) {
        return Answer::Full;
    }
    // A suffix of nothing is satisfiable, but has no Content-Range to name it by.
    if complete_length == 0 && set.specs.iter().any(|spec| matches!(spec, RangeSpec::Suffix { length: 1.. })) {
        return Answer::Full;
    }
    let ranges: SmallVec<[ByteRange; 1]> = set.specs.iter().filter_map(|spec| spec.satisfy(complete_length)).collect();
    if ranges.is_empty() {
        return Answer::RangeNotSatisfiable { complete_length };
    }
    let ranges = if ranges.len() == 1 { ranges } else { coalesce(ranges) };
    if ranges.len() == 1 {
        return Answer::Partial(Box::new(PartialAnswer { ranges, complete_length, multipart: None }));
    }
    let multipart = Multipart::new(stored, &ranges, complete_length);
    let partial = PartialAnswer { ranges, complete_length, multipart: Some(multipart) };
    // Many small pieces that cost more than the whole get the whole (§17.15).
    if partial.content_length() >= complete_length { Answer::Full } else { Answer::Partial(Box::new(partial)) }
}

/// "A server that generates a multipart response MAY coalesce any of the ranges that overlap, or that are separated by a gap that is smaller
/// than the overhead of sending multiple parts, regardless of the order in which the corresponding range-spec appeared in the received
/// Range header field" (§15.3.7.2). Ranges that need none of it stay in the client's order: "a server [...] SHOULD send the parts in the
/// same order" where it can.
fn coalesce(ranges: SmallVec<[ByteRange; 1]>) -> SmallVec<[ByteRange; 1]> {
    let mut sorted = ranges.clone();
    sorted.sort_by_key(|range| range.first);
    let mut joined: SmallVec<[ByteRange; 1]> = SmallVec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.first <= last.last.saturating_add(PART_OVERHEAD) => last.last = last.last.max(range.last),
            _ => joined.push(range),
        }
    }
    if joined.len() == ranges.len() { ranges } else { joined }
}

/// `If-Range` (§13.1.5): true where there is none. "A recipient of an If-Range header field MUST ignore the Range header field if the If-Range
/// condition evaluates as false."
fn if_range_holds(headers: &HeaderMap, stored: &StoredHead) -> bool {
    let Some(validator) = headers.get(IF_RANGE) else { return true };
    let bytes = validator.as_bytes();
    // "A valid entity-tag can be distinguished from a valid HTTP-date by examining the first three characters for a DQUOTE."
    if bytes.iter().take(3).any(|&byte| byte == b'"') {
        return stored.etag().is_some_and(|etag| strong_match(&etag, validator));
    }
    // "If the HTTP-date validator provided is not a strong validator in the sense defined by Section 8.8.2.2, the condition is false. If
    // the HTTP-date validator provided exactly matches the Last-Modified field value [...], the condition is true."
    let Some(modified) = stored.last_modified() else { return false };
    validator == modified && strong_date(&modified, stored.date())
}

/// "That cache entry includes a Date value that is at least one second after the Last-Modified value and the cache has some reason to believe
/// that they are generated by the same clock" (§8.8.2.2).
fn strong_date(modified: &HeaderValue, date: Timestamp) -> bool {
    Timestamp::parse_http_date(modified.as_bytes(), date).is_some_and(|modified| date.seconds_since(modified) >= 1)
}

/// `Content-Range: bytes 0-4/10` (§14.4).
pub(super) fn content_range(range: ByteRange, complete_length: u64) -> HeaderValue {
    let text = format!("bytes {}-{}/{complete_length}", range.first, range.last);
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("bytes */*"))
}

/// The fields of a 416: those of a 304, and "a Content-Range header field specifying the current length of the selected representation"
/// (§15.5.17). Its content is empty.
pub fn not_satisfiable_fields(stored: &StoredHead, complete_length: u64) -> HeaderMap {
    let mut headers = not_modified_fields(stored);
    remove_content_digests(&mut headers);
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{complete_length}")) {
        headers.insert(CONTENT_RANGE, value);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    headers
}
