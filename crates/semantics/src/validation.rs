//! Conditional requests to the origin (RFC 9111 §4.3.1).

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue};

use crate::head::stored::StoredHead;
use crate::request::{MethodKind, RequestContext};
use crate::vary::names_codings_of;

/// Edits the client's fields into those of a request whose answer may be stored: the client's own preconditions and `Range` go
/// (they are answered from what is stored), and the validators of `candidates` come in (§4.3.1), all entity tags in one `If-None-Match`.
/// A candidate that may not answer this request (§3.5) is passed over.
///
/// The fields stay as the client sent them where the answer is for this client alone: a `no-store` request, one with `If-Match` or
/// `If-Unmodified-Since`, an unsafe method, and a `HEAD` with nothing to validate. Not to be called for requests that pass by the cache.
pub fn upstream_fields(request: &RequestContext, headers: &mut HeaderMap, candidates: &[&StoredHead]) {
    let fills = request.method == MethodKind::Get || (request.method == MethodKind::Head && !candidates.is_empty());
    if !fills || request.directives.no_store || request.origin_conditional {
        return;
    }
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE] {
        headers.remove(name);
    }
    let candidates: Vec<&StoredHead> = candidates.iter().copied().filter(|candidate| candidate.suits(request)).collect();
    let Some(selected) = candidates.first() else { return };
    // "Clients SHOULD send both validators in cache validation requests if both an entity tag and a Last-Modified date were provided by
    // the origin server" (RFC 9110 §8.8.1).
    let modified = selected.last_modified();
    if let Some(modified) = &modified {
        headers.insert(IF_MODIFIED_SINCE, modified.clone());
    }
    // Tags of other variants beside a selected response without one would make the origin ignore the selected one's date
    // (RFC 9110 §13.1.3).
    let named_by_tag = modified.is_none() || selected.origin_etag().is_some();
    if let Some(tags) = entity_tags(&candidates).filter(|_| named_by_tag) {
        headers.insert(IF_NONE_MATCH, tags);
    }
}

/// Whether a stored response may be named in the conditional request of a request that selects another variant. "The stored responses with
/// matching primary cache key" (§4.3.1) may all be, but what the origin says of a weak tag holds for several representations: a server that
/// makes its tags before it codes its content answers 304 to the same weak tag for all codings. So only strong tags go up, and of what is
/// coded only where the request names the coding, for there are servers that give every coding the same strong tag as well.
pub fn may_confirm_another(stored: &StoredHead, request: &HeaderMap) -> bool {
    stored.has_strong_origin_etag() && names_codings_of(request, stored)
}

/// Every entity tag once. "If-None-Match [...] using the entity tags of stored responses" (§4.3.1).
fn entity_tags(candidates: &[&StoredHead]) -> Option<HeaderValue> {
    let mut tags: Vec<HeaderValue> = Vec::with_capacity(candidates.len());
    for tag in candidates.iter().filter_map(|candidate| candidate.origin_etag()) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    match tags.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        several => HeaderValue::from_bytes(&several.iter().map(|tag| tag.as_bytes()).collect::<Vec<_>>().join(&b", "[..])).ok(),
    }
}
