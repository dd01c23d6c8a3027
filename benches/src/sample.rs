//! A response as APIs send it.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, SERVER};

/// The entity-tag of every sample response.
pub const TAG: HeaderValue = HeaderValue::from_static("\"33a64df551425fcc\"");

/// The body: `len` bytes of JSON-like text.
pub fn body(len: usize) -> Bytes {
    b"{\"id\":7,\"title\":\"Search returns archived products\",\"state\":\"open\"},".iter().copied().cycle().take(len).collect()
}

/// The fields of a response with a body of `len` bytes: nine, with the `Date` that the server adds.
pub fn fields(len: usize) -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8")),
        (CONTENT_LENGTH, HeaderValue::from(len)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
        (ETAG, TAG),
        (LAST_MODIFIED, HeaderValue::from_static("Fri, 20 Nov 2026 08:00:00 GMT")),
        (SERVER, HeaderValue::from_static("sample/1.0")),
        (HeaderName::from_static("x-request-id"), HeaderValue::from_static("7f3a9c52-11d0-4c4b")),
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    ])
}

/// The fields that a cache adds to a hit, so that a constant response is as long as one.
pub fn hit_fields() -> [(HeaderName, HeaderValue); 3] {
    [
        (http::header::AGE, HeaderValue::from_static("7")),
        (HeaderName::from_static("x-cache"), HeaderValue::from_static("HIT")),
        (HeaderName::from_static("cache-status"), HeaderValue::from_static("larder;hit;ttl=3593")),
    ]
}
