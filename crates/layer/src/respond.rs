//! Responses made from stored ones, and the fields that report how the cache handled the request.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use larder_semantics::cache_status::{CACHE_NAME, with_key};
use larder_semantics::fields::is_for_one_client;
use larder_semantics::precondition::{self, not_modified_fields};
use larder_semantics::range::{Answer, ByteRange, PartialAnswer, answer_ranged, not_satisfiable_fields};
use larder_semantics::{CacheStatus, MethodKind, Reason, RequestContext, StoredHead};
use larder_store::{StoredPart, StoredResponse};

use crate::body::CacheBody;
use crate::body::log::InFlight;
use crate::body::pending::{PendingReader, PendingResponse};
use crate::body::pieces::Pieces;
use crate::error::FetchError;
use crate::outcome::CacheResult;

pub(crate) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// In a 416's extensions: the length that it names is that of content with a coding, of which a client that does not accept it knows nothing.
#[derive(Clone, Copy, Debug)]
pub struct RangeOfCoded;

/// In the extensions of an answer to a request of several parts: the origin's own fields, without the lifetime and the tag that clients are shown. The
/// parts are stored with them.
#[derive(Clone, Debug)]
pub(crate) struct OriginFields(pub(crate) HeaderMap);

/// Answers from a stored response: whole, in part, or as the client's preconditions want it.
pub(crate) fn from_stored<B>(
    request: &RequestContext,
    fields: &HeaderMap,
    stored: &StoredResponse,
    in_flight: &Arc<InFlight>,
    age: u32,
    result: CacheResult,
    status: &CacheStatus,
) -> Response<CacheBody<B>> {
    let answer = answer_ranged(request, fields, &stored.head, stored.body_length());
    let (code, mut headers) = head_of(&answer, &stored.head);
    let body = match &answer {
        Answer::Full if request.method == MethodKind::Head => without_content(&mut headers, stored.body_length()),
        Answer::Full => CacheBody::stored(stored.body(), in_flight),
        Answer::Partial(partial) => match partial.ranges[..] {
            [range] if partial.multipart.is_none() => CacheBody::stored_part(&stored.body(), in_flight, range.first, range.last + 1),
            _ => {
                let body = stored.body();
                parts_of(partial, |pieces, range| pieces.push_stored(&body, in_flight, range.first, range.last + 1))
            }
        },
        Answer::NotModified | Answer::PreconditionFailed | Answer::RangeNotSatisfiable { .. } => CacheBody::empty(),
    };
    let age = decimal(i64::from(age));
    if !plain_hit(status).is_some_and(|own| fill_slots(&mut headers, &age, result, &own)) {
        set(&mut headers, AGE, age);
        annotate(&mut headers, result, status);
    }
    with_coding(respond(code, headers, body), &answer, &stored.head)
}

/// Says so where a range was compared with the length of content with a coding.
fn with_coding<B>(mut response: Response<CacheBody<B>>, answer: &Answer, stored: &StoredHead) -> Response<CacheBody<B>> {
    if matches!(answer, Answer::RangeNotSatisfiable { .. }) && stored.headers.get(&CONTENT_ENCODING).is_some() {
        response.extensions_mut().insert(RangeOfCoded);
    }
    response
}

/// "The HEAD method is identical to GET except that the server MUST NOT send content in the response" (RFC 9110 §9.3.2). hyper sends what it
/// is given over HTTP/2, so the content is left out here. The length is announced as for a GET.
fn without_content<B>(headers: &mut HeaderMap, length: u64) -> CacheBody<B> {
    if length > 0 {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    CacheBody::empty()
}

/// Writes the three fields into the empty slots that stored heads have for them, in one walk: cheaper than three searches. False where a
/// slot is missing or has something in it.
fn fill_slots(headers: &mut HeaderMap, age: &HeaderValue, result: CacheResult, status: &HeaderValue) -> bool {
    let result = HeaderValue::from_static(result.as_str());
    let mut filled = 0;
    for (name, slot) in headers.iter_mut().filter(|(_, value)| value.is_empty()) {
        let value = match name {
            name if *name == AGE => age,
            name if *name == X_CACHE => &result,
            name if *name == CACHE_STATUS => status,
            _ => continue,
        };
        *slot = value.clone();
        filled += 1;
    }
    filled == 3
}

/// Answers from a stored part, which `answer` is about; `None` where it would take more than is there. To be annotated.
pub(crate) fn from_part<B>(answer: &Answer, part: &StoredPart, in_flight: &Arc<InFlight>, age: u32) -> Option<Response<CacheBody<B>>> {
    let body = match answer {
        Answer::Full => return None,
        Answer::Partial(partial) if !partial.ranges.iter().all(|range| part.meta.coverage.contains(*range)) => return None,
        Answer::Partial(partial) => parts_of(partial, |pieces, range| pieces.push_part(part, in_flight, range)),
        Answer::NotModified | Answer::PreconditionFailed | Answer::RangeNotSatisfiable { .. } => CacheBody::empty(),
    };
    let (code, mut headers) = head_of(answer, &part.meta.head);
    set(&mut headers, AGE, decimal(i64::from(age)));
    Some(with_coding(respond(code, headers, body), answer, &part.meta.head))
}

/// Answers from a response that is on its way into the store. With the origin's `own` status, which a write's answer is not stored with, and `own`
/// fields, those that are never stored included, only for the client whose exchange it was. To be annotated.
pub(crate) fn from_pending<B>(
    request: &RequestContext,
    fields: &HeaderMap,
    pending: &PendingResponse,
    reader: PendingReader,
    own: Option<(StatusCode, HeaderMap)>,
) -> Response<CacheBody<B>> {
    let answer = match pending.length {
        Some(length) => answer_ranged(request, fields, &pending.head, length),
        // Without a length the bytes that a range means are unknown, so it is ignored, as any server may (RFC 9110 §14.2).
        None => precondition::evaluate(request, fields, &pending.head).into(),
    };
    let (answer, body) = match answer {
        Answer::Full => {
            let body = CacheBody::pending(reader, pending.length);
            (Answer::Full, pending.recording.iter().cloned().fold(body, CacheBody::replayed))
        }
        Answer::Partial(partial) => match partial.ranges[..] {
            [range] => (Answer::Partial(partial), CacheBody::pending_part(reader, range.first, range.last + 1)),
            // Several ranges may be anywhere, in any order; only what is stored is at hand everywhere.
            _ => (Answer::Full, CacheBody::pending(reader, pending.length)),
        },
        other => (other, CacheBody::empty()),
    };
    let is_head = request.method == MethodKind::Head && answer == Answer::Full;
    let (code, mut headers) = match (own, &answer) {
        (Some((status, mut own)), Answer::Full) => {
            pending.head.show_own(&mut own);
            (status, own)
        }
        (own, _) => {
            let (code, mut headers) = head_of(&answer, &pending.head);
            show_initial_age(&mut headers, &pending.head);
            let own = own.iter().flat_map(|(_, fields)| fields).filter(|(name, _)| is_for_one_client(name));
            own.for_each(|(name, value)| _ = headers.append(name, value.clone()));
            (code, headers)
        }
    };
    let body = if is_head { without_content(&mut headers, pending.length.unwrap_or(0)) } else { body };
    with_coding(respond(code, headers, body), &answer, &pending.head)
}

/// "The presence of an Age header field implies that the response was not generated or validated by the origin server for this request"
/// (RFC 9111 §5.1), so what has just come from there has none.
pub(crate) fn show_initial_age(headers: &mut HeaderMap, head: &StoredHead) {
    match head.initial_age {
        0 => _ = headers.remove(AGE),
        age => set(headers, AGE, decimal(i64::from(age))),
    }
}

fn head_of(answer: &Answer, stored: &StoredHead) -> (StatusCode, HeaderMap) {
    match answer {
        Answer::Full => (stored.status, stored.headers.to_map()),
        Answer::NotModified => (StatusCode::NOT_MODIFIED, not_modified_fields(stored)),
        Answer::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, HeaderMap::new()),
        Answer::Partial(partial) => (StatusCode::PARTIAL_CONTENT, partial.fields(stored)),
        Answer::RangeNotSatisfiable { complete_length } => {
            (StatusCode::RANGE_NOT_SATISFIABLE, not_satisfiable_fields(stored, *complete_length))
        }
    }
}

/// The content of a 206: the ranges' bytes, and the frame around them where there are several.
fn parts_of<B>(partial: &PartialAnswer, push: impl Fn(&mut Pieces, ByteRange)) -> CacheBody<B> {
    let mut pieces = Pieces::default();
    for range in &partial.ranges {
        if let Some(multipart) = &partial.multipart {
            pieces.push_bytes(multipart.part_head(*range, partial.complete_length).into());
        }
        push(&mut pieces, *range);
    }
    partial.multipart.iter().for_each(|multipart| pieces.push_bytes(multipart.closing().into()));
    CacheBody::pieces(pieces)
}

/// Puts `X-Cache` and `Cache-Status` (RFC 9211 §2) in. Our member comes after those of caches nearer to the origin, which the fields
/// have already.
pub(crate) fn annotate(headers: &mut HeaderMap, result: CacheResult, status: &CacheStatus) {
    // Looking at each name once is cheaper than hashing two.
    let (mut has_result, mut has_status) = (false, false);
    for name in headers.keys() {
        has_result |= *name == X_CACHE;
        has_status |= *name == CACHE_STATUS;
    }
    let has_repeated = headers.len() > headers.keys_len();
    let value = match if has_status { members(headers) } else { None } {
        None => alone(status),
        nearer => status_value(nearer.as_ref(), status),
    };
    for (name, value, is_there) in [(X_CACHE, HeaderValue::from_static(result.as_str()), has_result), (CACHE_STATUS, value, has_status)] {
        if !is_there {
            headers.append(name, value);
        } else if has_repeated {
            // All lines of the name give way to one.
            headers.insert(name, value);
        } else {
            set(headers, name, value);
        }
    }
}

/// The member by itself, as many answers in a row have it.
fn alone(status: &CacheStatus) -> HeaderValue {
    LAST_STATUS.with_borrow_mut(|last| match last {
        Some((known, value)) if known == status => value.clone(),
        _ => {
            let value = status_value(None, status);
            *last = Some((status.clone(), value.clone()));
            value
        }
    })
}

/// Adds `key` to our member.
pub(crate) fn tell_key(headers: &mut HeaderMap, key: &str) {
    if let Some(status) = headers.get_mut(CACHE_STATUS) {
        *status = with_key(status, key);
    }
}

/// The value for a hit of which there is nothing to say but its `ttl`, or that it is immutable as well.
pub(crate) fn plain_hit(status: &CacheStatus) -> Option<HeaderValue> {
    let memo = match status.detail {
        None => &PLAIN_HITS,
        Some(detail) if detail == Reason::Immutable.as_str() => &IMMUTABLE_HITS,
        Some(_) => return None,
    };
    let (ttl, detail) = (status.ttl?, status.detail);
    let plain = CacheStatus { hit: true, ttl: Some(ttl), detail, ..CacheStatus::default() };
    (*status == plain).then(|| memo.with_borrow_mut(|memo| memo.get(ttl, || status_value(None, status))))
}

/// As `HeaderMap::insert`, which makes room for one more before it looks whether the field is there already. Stored heads have slots.
fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    match headers.get_mut(&name) {
        Some(slot) => *slot = value,
        None => _ = headers.insert(name, value),
    }
}

/// The lines of `Cache-Status` as one; `None` where there are none, or only an empty slot.
fn members(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(CACHE_STATUS).iter().filter(|line| !line.is_empty());
    let first = lines.next()?;
    let rest: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
    if rest.is_empty() {
        return Some(first.clone());
    }
    HeaderValue::from_bytes(&[&[first.as_bytes()], &rest[..]].concat().join(&b", "[..])).ok()
}

/// The answer in place of one that could not be had: Proxy-Status says what went wrong (RFC 9209), without any of the error's own words, which
/// may name what is inside. Those are in the response's extensions.
pub(crate) fn failed<B>(error: FetchError) -> Response<CacheBody<B>> {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let received = error.upstream_status().map(|status| format!("; received-status={}", status.as_u16())).unwrap_or_default();
    headers.insert(PROXY_STATUS, shared(format!("{CACHE_NAME}; error={}{received}", error.kind().proxy_error())));
    let mut response = respond(error.kind().status(), headers, CacheBody::empty());
    response.extensions_mut().insert(error);
    response
}

pub(crate) fn respond<B>(code: StatusCode, headers: HeaderMap, body: CacheBody<B>) -> Response<CacheBody<B>> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    *response.headers_mut() = headers;
    response
}

/// Values that many hits in a row have in common, so that a hit writes none. Direct-mapped by the number in it.
struct Memo([Option<(i64, HeaderValue)>; Memo::SLOTS]);

impl Memo {
    const SLOTS: usize = 256;

    const fn new() -> Self {
        Self([const { None }; Self::SLOTS])
    }

    fn get(&mut self, number: i64, make: impl FnOnce() -> HeaderValue) -> HeaderValue {
        let slot = &mut self.0[number.rem_euclid(Self::SLOTS as i64) as usize];
        match slot {
            Some((known, value)) if *known == number => value.clone(),
            _ => {
                let value = make();
                *slot = Some((number, value.clone()));
                value
            }
        }
    }
}

thread_local! {
    static DECIMALS: RefCell<Memo> = const { RefCell::new(Memo::new()) };
    static PLAIN_HITS: RefCell<Memo> = const { RefCell::new(Memo::new()) };
    static IMMUTABLE_HITS: RefCell<Memo> = const { RefCell::new(Memo::new()) };
    static LAST_STATUS: RefCell<Option<(CacheStatus, HeaderValue)>> = const { RefCell::new(None) };
}

/// A number as a field value that many clones share.
pub(crate) fn decimal(number: i64) -> HeaderValue {
    DECIMALS.with_borrow_mut(|memo| memo.get(number, || shared(number.to_string())))
}

fn status_value(upstream: Option<&HeaderValue>, status: &CacheStatus) -> HeaderValue {
    status.to_value(upstream, &mut String::with_capacity(64))
}

/// Cloning it copies nothing.
fn shared(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text.into_bytes().into_boxed_slice())).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9211_2_our_member_comes_last_and_once_behind_those_of_several_lines() {
        let lines = [("cache-status", "inner; hit"), ("x-cache", "HIT from a"), ("cache-status", "outer; hit"), ("x-cache", "MISS from b")];
        let mut headers = HeaderMap::new();
        lines.into_iter().for_each(|(name, value)| _ = headers.append(name, HeaderValue::from_static(value)));
        annotate(&mut headers, CacheResult::Miss, &CacheStatus { hit: true, ..CacheStatus::default() });
        tell_key(&mut headers, "k");
        let all = |name| headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect::<Vec<_>>();
        assert_eq!(all(CACHE_STATUS), ["inner; hit, outer; hit, larder; hit; key=\"k\""]);
        assert_eq!(all(X_CACHE), ["MISS"]);
    }
}
