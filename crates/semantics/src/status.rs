//! Statuses whose answers are about one request.

use http::StatusCode;

/// Statuses that answer the one request at hand (its preconditions, its range, its connection), and those of which RFC 6585 says
/// "Responses with the [...] status code MUST NOT be stored by a cache".
pub fn never_stored(status: StatusCode) -> bool {
    matches!(status.as_u16(), 304 | 407 | 408 | 412 | 416 | 417 | 421 | 425 | 426 | 428 | 429 | 431 | 511)
}

/// Statuses with which an origin refuses a request for what stands in it (its syntax, its credentials, its method, what it accepts, its
/// size), and those that are never stored. Anybody can bring them about by a field that is no part of the key, so they tell nothing about
/// what others get.
pub fn refuses_the_request(status: StatusCode) -> bool {
    never_stored(status) || matches!(status.as_u16(), 400 | 401 | 403 | 405 | 406 | 411 | 413 | 414 | 415)
}
