//! The limit of a request's content (`max_request_body`).
//!
//! Content is streamed and never kept here, so the limit protects the origin, not this process. What is announced as too long is refused before
//! anything of it goes on; what only turns out to be too long breaks off there ([`UpstreamError`](crate::upstream::UpstreamError)).

use http::Request;
use http_body_util::Limited;
use hyper::body::Body;

use crate::server::Lingering;

/// Whether a request's content is announced as longer than `max` bytes; `None` is no limit.
pub(crate) fn is_too_large(request: &Request<Lingering>, max: Option<u64>) -> bool {
    max.is_some_and(|max| request.body().size_hint().lower() > max)
}

/// The request with a body that fails with [`LengthLimitError`](http_body_util::LengthLimitError) where it has more than `max` bytes.
pub(crate) fn limited(request: Request<Lingering>, max: Option<u64>) -> Request<Limited<Lingering>> {
    let max = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    request.map(|body| Limited::new(body, max))
}
