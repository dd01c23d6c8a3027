//! How much content a request may have (`max_request_body`).
//!
//! Content is streamed and never kept here, so the limit protects the origin, not this process. What is announced as too long is refused before
//! anything of it goes on; what only turns out to be too long breaks off there ([`UpstreamError`](crate::upstream::UpstreamError)).

use http::Request;
use http_body_util::Limited;
use hyper::body::Body;

use crate::server::Lingering;

/// Whether a request's content is announced as longer than `most` bytes; `None` is no limit.
pub(crate) fn is_too_large(request: &Request<Lingering>, most: Option<u64>) -> bool {
    most.is_some_and(|most| request.body().size_hint().lower() > most)
}

/// The request with a body that fails with [`LengthLimitError`](http_body_util::LengthLimitError) where it has more than `most` bytes.
pub(crate) fn limited(request: Request<Lingering>, most: Option<u64>) -> Request<Limited<Lingering>> {
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    request.map(|body| Limited::new(body, most))
}
