//! Responses made from what is stored, and the fields that tell what was done.

use std::cell::RefCell;

use http::header::{AGE, CACHE_CONTROL, EXPIRES, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use larder_semantics::precondition::{Answer, answer, not_modified_fields};
use larder_semantics::{CacheStatus, LifetimeSource, StoredHead};
use larder_store::StoredResponse;

use crate::body::CacheBody;
use crate::fill::Asked;
use crate::outcome::CacheResult;

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Answers from a stored response: whole, or as the client's preconditions want it.
pub(crate) fn from_stored<B>(
    request: &larder_semantics::RequestContext,
    fields: &HeaderMap,
    stored: &StoredResponse,
    age: u32,
    result: CacheResult,
    status: &CacheStatus,
) -> Response<CacheBody<B>> {
    let (code, mut headers, body) = match answer(request, fields, &stored.head) {
        Answer::Full => (stored.head.status, stored.head.headers.clone(), CacheBody::stored(&stored.body)),
        Answer::NotModified => (StatusCode::NOT_MODIFIED, not_modified_fields(&stored.head), CacheBody::empty()),
        Answer::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, HeaderMap::new(), CacheBody::empty()),
    };
    headers.insert(AGE, decimal(i64::from(age)));
    annotate(&mut headers, result, status);
    respond(code, headers, body)
}

/// The head of an answer that another client's exchange is bringing in: what is being stored, never what was for that client alone.
pub(crate) fn live_head(asked: &Asked, head: &StoredHead) -> (StatusCode, HeaderMap) {
    match answer(&asked.context, &asked.parts.headers, head) {
        Answer::Full => (head.status, head.headers.clone()),
        Answer::NotModified => (StatusCode::NOT_MODIFIED, not_modified_fields(head)),
        Answer::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, HeaderMap::new()),
    }
}

/// Where the lifetime is the route's, the client is told that lifetime instead of the origin's fields.
pub(crate) fn tell_lifetime(headers: &mut HeaderMap, stored: &StoredHead) {
    if stored.lifetime.source != LifetimeSource::Route {
        return;
    }
    if let Some(lifetime) = stored.headers.get(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, lifetime.clone());
        headers.remove(EXPIRES);
    }
}

/// Puts `X-Cache` and our member of `Cache-Status` (RFC 9211 §2) in. Ours comes last: the list runs from the origin to the client.
pub(crate) fn annotate(headers: &mut HeaderMap, result: CacheResult, status: &CacheStatus) {
    headers.insert(X_CACHE, HeaderValue::from_static(result.as_str()));
    let ours = status_value(status);
    match headers.get(&CACHE_STATUS) {
        Some(theirs) if !theirs.is_empty() => {
            headers.append(CACHE_STATUS, ours);
        }
        _ => {
            headers.insert(CACHE_STATUS, ours);
        }
    }
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
}

/// A number as a field value that many clones share.
fn decimal(number: i64) -> HeaderValue {
    DECIMALS.with_borrow_mut(|memo| memo.get(number, || shared(number.to_string())))
}

fn status_value(status: &CacheStatus) -> HeaderValue {
    let plain = |ttl| CacheStatus { hit: true, ttl: Some(ttl), ..CacheStatus::default() };
    match status.ttl {
        Some(ttl) if *status == plain(ttl) => PLAIN_HITS.with_borrow_mut(|memo| memo.get(ttl, || written(status))),
        _ => written(status),
    }
}

fn written(status: &CacheStatus) -> HeaderValue {
    let mut text = String::with_capacity(64);
    status.write(&mut text);
    shared(text)
}

/// Cloning it copies nothing.
fn shared(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text.into_bytes().into_boxed_slice())).unwrap_or(HeaderValue::from_static(""))
}
