//! Storing, combining and using partial responses (RFC 9111 §3.3, §3.4; RFC 9110 §15.3.7.3).
//!
//! A 206 is kept only under a strong entity tag, and never taken for the whole: what is stored knows which bytes it has.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::answer::{Answer, answer_ranged};
use super::coverage::ByteRangeSet;
use super::parse::{ByteRange, RangeSet, number};
use crate::head::entity_tag::{is_strong, strong_match};
use crate::head::fields::remove_content_digests;
use crate::head::stored::StoredHead;
use crate::reason::Reason;
use crate::request::RequestContext;
use crate::reuse::set_aside::counted;
use crate::storing::assemble::{Parts, assemble};
use crate::storing::disposition::Exchange;
use crate::storing::storage;
use crate::storing::unkeyed;
use crate::vary::VarySpec;

/// `Content-Range` in bytes (RFC 9110 §14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentRange {
    /// `bytes 0-4/10`, or `bytes 0-4/*` where the whole length is unknown.
    Range {
        /// The bytes enclosed.
        range: ByteRange,
        /// The length of the whole, where it is known.
        complete_length: Option<u64>,
    },
    /// `bytes */10`, of a 416.
    Unsatisfied {
        /// The length of the whole.
        complete_length: u64,
    },
}

impl ContentRange {
    /// Reads the field. "A Content-Range field value is invalid if it contains a range-resp that has a last-pos value less than its first-pos
    /// value, or a complete-length value less than or equal to its last-pos value. The recipient of an invalid Content-Range MUST NOT attempt
    /// to recombine the received content with a stored representation": `None` for those, and for other units.
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let (unit, rest) = value.as_bytes().split_at_checked(6)?;
        if !unit.eq_ignore_ascii_case(b"bytes ") {
            return None;
        }
        let slash = rest.iter().position(|&byte| byte == b'/')?;
        let (range, length) = (&rest[..slash], &rest[slash + 1..]);
        let complete_length = if length == b"*" { None } else { Some(number(length)?) };
        if range == b"*" {
            return complete_length.map(|complete_length| Self::Unsatisfied { complete_length });
        }
        let dash = range.iter().position(|&byte| byte == b'-')?;
        let range = ByteRange { first: number(&range[..dash])?, last: number(&range[dash + 1..])? };
        let valid = range.first <= range.last && complete_length.is_none_or(|length| range.last < length);
        valid.then_some(Self::Range { range, complete_length })
    }
}

/// A stored response of which only some bytes are there.
#[derive(Clone, Debug)]
pub struct PartialResponse {
    /// The head of the whole: a 200 with the whole length, whatever the 206 said of its part.
    pub head: StoredHead,
    /// The selecting fields (RFC 9111 §4.1); `None` without `Vary`.
    pub vary: Option<VarySpec>,
    /// The length of the whole in bytes.
    pub complete_length: u64,
    /// The bytes that are there.
    pub coverage: ByteRangeSet,
}

impl PartialResponse {
    /// The part to store of a 206 with one range: "A cache MUST NOT store incomplete or partial-content responses if it does not support the
    /// Range and Content-Range header fields" (RFC 9111 §3.3). Wants a strong entity tag and the whole length; everything else is as for a
    /// 200. The coverage is the range the 206 announces, true once its body is proven complete.
    pub fn of_exchange(exchange: &Exchange<'_>) -> Result<Self, Reason> {
        let refused = Err(Reason::PartialContent);
        if exchange.status != StatusCode::PARTIAL_CONTENT || !exchange.headers.get(ETAG).is_some_and(is_strong) {
            return refused;
        }
        let Some(ContentRange::Range { range, complete_length: Some(complete_length) }) = content_range(exchange.headers) else {
            return refused;
        };
        if is_multipart(exchange.headers) || announced(exchange.headers).is_some_and(|length| length != range.length()) {
            return refused;
        }
        let mut headers = exchange.headers.clone();
        headers.remove(CONTENT_RANGE);
        remove_content_digests(&mut headers);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(complete_length));
        let directives = counted(exchange.policy, StatusCode::OK, &headers);
        storage::permitted(exchange.policy, exchange.request, StatusCode::OK, &headers, &directives)?;
        unkeyed::check(exchange.request_headers, StatusCode::OK)?;
        let vary = VarySpec::on_route(exchange.policy, &headers).ok_or(Reason::VaryStar)?;
        let head = assemble(&Parts { status: StatusCode::OK, headers: &headers, ..exchange.parts(&directives) });
        if let Some(reason) = head.objection(exchange.request) {
            return Err(reason);
        }
        let mut coverage = ByteRangeSet::default();
        coverage.insert(range);
        Ok(Self { head, vary: Some(vary).filter(|vary| !vary.names().is_empty()), complete_length, coverage })
    }

    /// Both together, `newer` being the later answer to the same request: "A client that has received multiple partial responses [...] MAY
    /// combine those ranges into a larger continuous range if they share the same strong validator" and "MUST use other header fields
    /// provided in the new response, aside from Content-Range, to replace all instances of the corresponding header fields in the stored
    /// response" (RFC 9110 §15.3.7.3). `None` where they are not of the same representation: then the newer one alone is true.
    pub fn join(&self, newer: &Self) -> Option<Self> {
        let (old, new) = (self.head.etag()?, newer.head.etag()?);
        if !strong_match(&old, &new) || !is_strong(&old) || self.complete_length != newer.complete_length {
            return None;
        }
        let mut joined = newer.clone();
        let (kept, mut fields) = (self.head.headers.to_map(), newer.head.headers.to_map());
        for name in kept.keys().filter(|name| newer.head.headers.get(name).is_none()) {
            for value in kept.get_all(name) {
                fields.append(name, value.clone());
            }
        }
        joined.head.headers = (&fields).into();
        for range in self.coverage.ranges() {
            joined.coverage.insert(*range);
        }
        Some(joined)
    }

    /// Whether every byte is there, so that it is a complete response from now on (RFC 9111 §3.4: "the resulting combined response is
    /// considered complete").
    pub fn is_complete(&self) -> bool {
        self.coverage.is_complete(self.complete_length)
    }

    /// How it answers a request: from what is there, or which bytes have to be fetched first. "A cache MUST NOT use an incomplete response to
    /// answer requests unless the response has been made complete, or the request is partial and specifies a range wholly within the
    /// incomplete response" (RFC 9111 §3.3).
    pub fn answer(&self, request: &RequestContext, headers: &HeaderMap) -> PartialUse {
        let whole = || match self.complete_length.checked_sub(1) {
            Some(last) => self.coverage.missing(ByteRange { first: 0, last }),
            None => None,
        };
        let found = answer_ranged(request, headers, &self.head, self.complete_length);
        let missing = match &found {
            Answer::Full => whole(),
            Answer::Partial(partial) => partial
                .ranges
                .iter()
                .filter_map(|range| self.coverage.missing(*range))
                .reduce(|one, other| ByteRange { first: one.first.min(other.first), last: one.last.max(other.last) }),
            Answer::NotModified | Answer::PreconditionFailed | Answer::RangeNotSatisfiable { .. } => None,
        };
        missing.map_or(PartialUse::Answer(found), |missing| PartialUse::Fetch { missing })
    }

    /// Edits the client's fields into those of a request for `missing`: `Range` under `If-Range`, so that a 206 is of the same representation
    /// and a changed one comes whole.
    pub fn fetch_fields(&self, headers: &mut HeaderMap, missing: ByteRange) {
        for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE] {
            headers.remove(name);
        }
        if let (Some(etag), Ok(range)) = (self.head.etag(), HeaderValue::from_str(&format!("bytes={}-{}", missing.first, missing.last))) {
            headers.insert(RANGE, range);
            headers.insert(IF_RANGE, etag);
        }
    }
}

/// The use of a partial stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartialUse {
    /// It answers the request; a `Full` one only where every byte is there.
    Answer(Answer),
    /// These bytes have to be fetched first ([`PartialResponse::fetch_fields`]).
    Fetch {
        /// The shortest range with all that is missing.
        missing: ByteRange,
    },
}

/// The client's range, where it may be fetched alone: a single one, so that the 206 can be stored. `None` where the whole should be fetched.
pub fn range_to_fetch(request: &RequestContext, headers: &HeaderMap) -> Option<RangeSet> {
    let alone = request.method == crate::request::MethodKind::Get && request.range && !headers.contains_key(IF_RANGE);
    RangeSet::parse(headers).filter(|set| alone && set.specs.len() == 1)
}

pub(super) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let mut lines = headers.get_all(CONTENT_RANGE).iter();
    let range = ContentRange::parse(lines.next()?);
    if lines.next().is_some() { None } else { range }
}

pub(super) fn is_multipart(headers: &HeaderMap) -> bool {
    let essence = headers.get(CONTENT_TYPE).map(|value| value.as_bytes().get(..20).unwrap_or_default());
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case(b"multipart/byteranges"))
}

pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    number(headers.get(CONTENT_LENGTH)?.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::policy::Policy;
    use crate::time::Timestamp;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn request(fields: &[(&'static str, &'static str)]) -> (RequestContext, HeaderMap) {
        let headers = map(fields);
        (RequestContext::new(&Method::GET, &headers, &Policy::default(), false, false), headers)
    }

    fn received(fields: &[(&'static str, &'static str)]) -> Result<PartialResponse, Reason> {
        let (context, request_headers) = request(&[("range", "bytes=0-")]);
        let (policy, headers) = (Policy::default(), map(fields));
        let at = Timestamp::from_secs(1_700_000_000);
        PartialResponse::of_exchange(&Exchange {
            policy: &policy,
            request: &context,
            method: &Method::GET,
            request_headers: &request_headers,
            request_time: at,
            response_time: at,
            status: StatusCode::PARTIAL_CONTENT,
            headers: &headers,
        })
    }

    fn part(etag: &'static str, content_range: &'static str) -> PartialResponse {
        received(&[("cache-control", "max-age=60"), ("etag", etag), ("content-range", content_range)]).unwrap()
    }

    #[test]
    fn rfc9110_14_4_content_range() {
        let parse = |value| ContentRange::parse(&HeaderValue::from_static(value));
        let range = ByteRange { first: 42, last: 1233 };
        assert_eq!(parse("bytes 42-1233/1234"), Some(ContentRange::Range { range, complete_length: Some(1234) }));
        assert_eq!(parse("Bytes 42-1233/*"), Some(ContentRange::Range { range, complete_length: None }));
        assert_eq!(parse("bytes */1234"), Some(ContentRange::Unsatisfied { complete_length: 1234 }));
        for invalid in ["bytes 5-4/10", "bytes 0-10/10", "bytes 0-4", "bytes */*", "lines 0-1/2", "bytes=0-1/2", "bytes -1/2", "", "bytes "]
        {
            assert_eq!(parse(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn rfc9111_3_4_a_partial_response_is_kept_under_a_strong_validator_only() {
        let cc = ("cache-control", "max-age=60");
        let at = ("content-range", "bytes 0-4/10");
        let kept = received(&[cc, at, ("etag", "\"1\""), ("content-length", "5")]).unwrap();
        assert_eq!(kept.head.status, StatusCode::OK);
        assert_eq!(kept.head.headers.to_map()[CONTENT_LENGTH], "10");
        assert!(!kept.head.headers.to_map().contains_key(CONTENT_RANGE) && !kept.is_complete());
        for refused in [
            &[cc, at][..],
            &[cc, at, ("etag", "W/\"1\"")],
            &[cc, ("etag", "\"1\"")],
            &[cc, ("etag", "\"1\""), ("content-range", "bytes 0-4/*")],
            &[cc, at, ("etag", "\"1\""), ("content-length", "6")],
            &[cc, at, ("etag", "\"1\""), ("content-type", "multipart/byteranges; boundary=x")],
        ] {
            assert_eq!(received(refused).unwrap_err(), Reason::PartialContent, "{refused:?}");
        }
        assert_eq!(received(&[("cache-control", "no-store"), at, ("etag", "\"1\"")]).unwrap_err(), Reason::NoStore);
    }

    #[test]
    fn rfc9530_2_a_part_keeps_no_digest_of_its_own_content() {
        let at = ("content-range", "bytes 0-4/10");
        let digests = [("content-digest", "sha-256=:AA==:"), ("content-md5", "AA=="), ("repr-digest", "sha-256=:BB==:")];
        let kept = received(&[&[("cache-control", "max-age=60"), at, ("etag", "\"1\"")][..], &digests].concat()).unwrap();
        assert_eq!(digests.map(|(name, _)| kept.head.headers.to_map().contains_key(name)), [false, false, true]);
    }

    #[test]
    fn rfc9110_15_3_7_3_parts_of_one_representation_are_joined() {
        let (first, last) = (part("\"1\"", "bytes 0-4/10"), part("\"1\"", "bytes 5-9/10"));
        let joined = first.join(&last).unwrap();
        assert!(joined.is_complete());
        for other in [part("\"2\"", "bytes 5-9/10"), part("\"1\"", "bytes 5-9/11")] {
            assert!(first.join(&other).is_none());
        }
    }

    #[test]
    fn rfc9111_3_3_an_incomplete_response_answers_ranges_within_it_only() {
        let stored = part("\"1\"", "bytes 0-499/1000");
        let answer = |fields: &[(&'static str, &'static str)]| {
            let (context, headers) = request(fields);
            stored.answer(&context, &headers)
        };
        assert!(matches!(answer(&[("range", "bytes=100-199")]), PartialUse::Answer(Answer::Partial(_))));
        assert_eq!(answer(&[("range", "bytes=400-599")]), PartialUse::Fetch { missing: ByteRange { first: 500, last: 599 } });
        assert_eq!(answer(&[]), PartialUse::Fetch { missing: ByteRange { first: 500, last: 999 } });
        assert_eq!(answer(&[("if-none-match", "\"1\"")]), PartialUse::Answer(Answer::NotModified));
        assert_eq!(answer(&[("range", "bytes=1000-")]), PartialUse::Answer(Answer::RangeNotSatisfiable { complete_length: 1000 }));
    }

    #[test]
    fn missing_bytes_are_fetched_under_if_range() {
        let stored = part("\"1\"", "bytes 0-499/1000");
        let mut headers = map(&[("if-none-match", "\"x\""), ("accept", "a")]);
        stored.fetch_fields(&mut headers, ByteRange { first: 500, last: 599 });
        assert_eq!(headers, map(&[("accept", "a"), ("range", "bytes=500-599"), ("if-range", "\"1\"")]));
    }

    #[test]
    fn only_a_single_range_is_fetched_alone() {
        let alone = |fields: &[(&'static str, &'static str)]| {
            let (context, headers) = request(fields);
            range_to_fetch(&context, &headers).is_some()
        };
        assert!(alone(&[("range", "bytes=5-")]));
        assert!(!alone(&[("range", "bytes=5-6,8-9")]));
        assert!(!alone(&[("range", "bytes=5-"), ("if-range", "\"1\"")]));
        assert!(!alone(&[]));
    }
}
