//! Updating a stored response by a 304 or by an answer to HEAD (RFC 9111 §3.2, §4.3.4, §4.3.5).

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::head::entity_tag::{strong_match, weak_match};
use crate::head::fields::{CONTENT_DIGESTS, connection_options, never_stored, written_anew};
use crate::head::stored::StoredHead;
use crate::reason::Reason;
use crate::reuse::set_aside::counted;
use crate::storing::assemble::{Parts, assemble};
use crate::storing::disposition::{Disposition, Exchange, Freshened};
use crate::storing::storage;
use crate::storing::unkeyed::may_steer;
use crate::vary::VarySpec;

/// The meaning of a 304.
pub(crate) fn on_not_modified(exchange: &Exchange<'_>, candidates: &[&StoredHead]) -> Disposition {
    let nominated = |candidate: &StoredHead| candidate.has_validator() && candidate.suits(exchange.request);
    if !candidates.iter().any(|candidate| nominated(candidate)) {
        // No validator of ours went out: the client asked about its own copy, and gets the answer as it is.
        return Disposition::Pass { reason: Reason::NotModified, remember: false };
    }
    if may_steer(exchange.request_headers) {
        return Disposition::Refetch { reason: Reason::UnkeyedField };
    }
    match select(exchange.headers, candidates, &nominated) {
        Some(index) => {
            let others = same_strong_tag(exchange.headers, candidates).filter(|&other| other != index && nominated(candidates[other]));
            let others = others.map(|other| freshened(exchange, candidates, other)).collect();
            Disposition::Freshen { answer: freshened(exchange, candidates, index), others }
        }
        None => Disposition::Refetch { reason: Reason::ValidatorMismatch },
    }
}

/// "All the stored responses with one of those same strong validators are identified for update" (§4.3.4).
fn same_strong_tag<'a>(headers: &'a HeaderMap, candidates: &'a [&StoredHead]) -> impl Iterator<Item = usize> + 'a {
    let tag = headers.get(ETAG);
    let same = move |candidate: &StoredHead| match (tag, candidate.etag()) {
        (Some(tag), Some(stored)) => strong_match(&stored, tag),
        _ => false,
    };
    candidates.iter().enumerate().filter(move |(_, candidate)| same(candidate)).map(|(index, _)| index)
}

/// Which stored response answers the request that a 304 came for (§4.3.4).
fn select(headers: &HeaderMap, candidates: &[&StoredHead], nominated: &dyn Fn(&StoredHead) -> bool) -> Option<usize> {
    let newest = |matches: &dyn Fn(&StoredHead) -> bool| {
        let matching = candidates.iter().enumerate().filter(|(_, candidate)| nominated(candidate) && matches(candidate));
        // The selected response stands first, and wins over others of its date.
        matching.rev().max_by_key(|(_, candidate)| candidate.date_seconds).map(|(index, _)| index)
    };
    if let Some(tag) = headers.get(ETAG) {
        // "If the new response contains one or more strong validators, then each of those strong validators identifies a selected
        // representation for update. All the stored responses with one of those same strong validators are identified for update. If none
        // of the stored responses contains at least one of the same strong validators, then the cache MUST NOT use the new response to
        // update any stored responses."
        let same = |candidate: &StoredHead| candidate.etag().is_some_and(|stored| strong_match(&stored, tag));
        if !tag.as_bytes().starts_with(b"W/") {
            return newest(&same);
        }
        // "If the new response contains no strong validators but does contain one or more weak validators, and if those validators
        // correspond to one of the stored responses, then the most recent of those matching stored responses is identified for update."
        return newest(&|candidate| candidate.etag().is_some_and(|stored| weak_match(&stored, tag)));
    }
    if let Some(modified) = headers.get(LAST_MODIFIED) {
        return newest(&|candidate| candidate.last_modified().as_ref() == Some(modified));
    }
    // "If the new response does not include any form of validator [...], and there is only one stored response" it is that one. The RFC
    // adds "and that stored response also lacks a validator"; but where ours named one stored response only, the answer can be about no
    // other, and many origins leave the validators out of a 304.
    let mut meant = candidates.iter().enumerate().filter(|(_, candidate)| nominated(candidate));
    let (only, _) = meant.next()?;
    meant.next().is_none().then_some(only)
}

fn freshened(exchange: &Exchange<'_>, candidates: &[&StoredHead], index: usize) -> Freshened {
    let (head, keep) = freshen(exchange, candidates[index]);
    let vary = VarySpec::on_route(exchange.policy, &head.headers.to_map());
    // By fields that cannot be read no response can be found again (§4.1).
    let keep = keep && vary.is_some();
    Freshened { index, head: Box::new(head), vary: vary.filter(|vary| !vary.names().is_empty()), keep }
}

/// The stored response with the fields of `exchange` (§3.2), and whether it may be kept.
fn freshen(exchange: &Exchange<'_>, stored: &StoredHead) -> (StoredHead, bool) {
    let headers = merge(stored, exchange.headers);
    let directives = counted(exchange.policy, stored.status, &headers);
    let parts = Parts { status: stored.status, headers: &headers, ..exchange.parts(&directives) };
    let keep = storage::permitted(exchange.policy, exchange.request, stored.status, &headers, &directives).is_ok();
    let head = assemble(&parts);
    let keep = keep && head.suits(exchange.request);
    (head, keep)
}

/// "For each field in the provided response, the cache MUST add it to the stored response, replacing field values that are already
/// present, with the following exceptions" (§3.2).
fn merge(stored: &StoredHead, update: &HeaderMap) -> HeaderMap {
    let mut merged = stored.headers.to_map();
    let slots: Vec<HeaderName> = merged.keys().filter(|name| written_anew(name)).cloned().collect();
    for name in slots {
        merged.remove(name);
    }
    if let Some(control) = &stored.origin_control {
        for (name, value) in [(CACHE_CONTROL, &control.cache_control), (EXPIRES, &control.expires)] {
            merged.remove(&name);
            if let Some(value) = value {
                merged.insert(name, value.clone());
            }
        }
    }
    // An answer without Date was made when it arrived (RFC 9110 §6.6.1), not when the stored one was.
    merged.remove(DATE);
    let named = connection_options(update);
    for name in update.keys().filter(|name| !kept_as_stored(name) && !named.contains(name)) {
        merged.remove(name);
        for value in update.get_all(name) {
            merged.append(name, value.clone());
        }
    }
    merged
}

/// The exceptions: "header fields excepted from storage in Section 3.1, header fields that the cache's stored response depends upon, header
/// fields that are automatically processed and removed by the recipient, and the Content-Length header field". What the stored bytes depend
/// upon is their coding and their range; what is computed from them are their digests (RFC 9530 §2, RFC 2616 §14.15), which "ensure integrity of
/// the stored response".
fn kept_as_stored(name: &HeaderName) -> bool {
    never_stored(name) || [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE].contains(name) || CONTENT_DIGESTS.contains(name)
}

/// The effect of an answer to HEAD on a stored answer to GET.
#[derive(Clone, Debug)]
pub enum HeadUpdate {
    /// It describes the same representation: the stored response with its fields updated, and whether it may still be kept.
    Freshen {
        /// Its head, updated.
        head: Box<StoredHead>,
        /// As in [`Disposition::Freshen`].
        keep: bool,
    },
    /// It describes another one: "the cache SHOULD consider the stored response to be stale". The head, made so.
    Stale(Box<StoredHead>),
    /// It says nothing about the stored response: not a 200, a stored response of another status, one that is not for this request (§3.5),
    /// an answer without a validator that contradicts nothing, one that an unkeyed field may have caused, or another answer to credentials.
    Unrelated,
}

/// Compares an answer to HEAD with a stored response "that could have been chosen for that request" (§4.3.5). `body_length` is the length of
/// the stored body in bytes.
pub fn head_update(exchange: &Exchange<'_>, stored: &StoredHead, body_length: u64) -> HeadUpdate {
    if exchange.status != StatusCode::OK
        || stored.status != StatusCode::OK
        || !stored.suits(exchange.request)
        || may_steer(exchange.request_headers)
    {
        return HeadUpdate::Unrelated;
    }
    // "If the stored response and HEAD response have matching values for any received validator fields (ETag and Last-Modified) and, if the
    // HEAD response has a Content-Length header field, the value of Content-Length matches that of the stored response, the cache SHOULD
    // update the stored response [...]; otherwise, the cache SHOULD consider the stored response to be stale."
    let validator = |name: HeaderName| exchange.headers.get(&name).map(|value| stored.headers.get(&name).as_ref() == Some(value));
    let validators = [validator(ETAG), validator(LAST_MODIFIED)];
    let length = exchange.headers.get(CONTENT_LENGTH).map(|value| value.to_str().ok().and_then(|text| text.parse::<u64>().ok()));
    let same_length = length.is_none_or(|length| length == Some(body_length));
    let update = if !validators.contains(&Some(false)) && same_length {
        let (head, keep) = freshen(exchange, stored);
        // Selected by other fields than before, it cannot be found any more by those that it was made for.
        let selects_by = |head: &StoredHead| VarySpec::on_route(exchange.policy, &head.headers.to_map());
        let keep = keep && selects_by(&head).is_some_and(|vary| selects_by(stored) == Some(vary));
        HeadUpdate::Freshen { head: Box::new(head), keep }
    } else {
        HeadUpdate::Stale(Box::new(stored.clone().into_stale()))
    };
    match update {
        // Any two answers match in no validator at all, and a page of another text may have the same length: a stored response that is stale
        // would be fresh again with its old content, each time that somebody asks by HEAD. The next GET finds out.
        HeadUpdate::Freshen { keep: true, .. } if !validators.contains(&Some(true)) => HeadUpdate::Unrelated,
        HeadUpdate::Freshen { keep: true, .. } => update,
        // An answer to credentials ends no response that other clients get.
        _ if exchange.request.authorization => HeadUpdate::Unrelated,
        _ => update,
    }
}
