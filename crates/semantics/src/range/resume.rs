//! Going on with a representation of which the first bytes are there, and whose other source broke off (RFC 9110 §13.1.5, §14.2, §15.3.7.3).

use http::header::{ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::parse::ByteRange;
use super::partial::{ContentRange, announced, content_range, is_multipart};
use crate::head::entity_tag::{is_strong, strong_match};
use crate::head::stored::StoredHead;

/// The request to the origin for the bytes from `first` on, and the check of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumption {
    etag: HeaderValue,
    missing: ByteRange,
}

impl Resumption {
    /// For a stored response of `length` bytes of which those before `first` are there. `None` where no answer could be told to be of the
    /// same representation: "a client that has received multiple partial responses [...] MAY combine those ranges into a larger continuous
    /// range if they share the same strong validator" (RFC 9110 §15.3.7.3).
    pub fn of(head: &StoredHead, first: u64, length: u64) -> Option<Self> {
        let etag = head.origin_etag().filter(is_strong)?;
        let missing = ByteRange { first, last: length.checked_sub(1)? };
        (head.status == StatusCode::OK && first < length).then_some(Self { etag, missing })
    }

    /// Edits the client's fields into those of a request for the rest. "If the validator matches, the Range header field is applied;
    /// otherwise, the origin sends the entire new representation" (RFC 9110 §13.1.5), and so does one that knows no ranges.
    pub fn fields(&self, headers: &mut HeaderMap) {
        for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
            headers.remove(name);
        }
        if let Ok(range) = HeaderValue::from_str(&format!("bytes={}-", self.missing.first)) {
            headers.insert(RANGE, range);
            headers.insert(IF_RANGE, self.etag.clone());
        }
    }

    /// How many bytes of an answer's content come before the rest; `None` where it is not of the same representation, or not all of the rest.
    pub fn bytes_before(&self, status: StatusCode, headers: &HeaderMap) -> Option<u64> {
        let mut tags = headers.get_all(ETAG).iter();
        if !tags.next().is_some_and(|tag| strong_match(&self.etag, tag)) || tags.next().is_some() {
            return None;
        }
        let (before, length) = match status {
            StatusCode::OK => (self.missing.first, self.missing.last + 1),
            StatusCode::PARTIAL_CONTENT if !is_multipart(headers) => {
                let ContentRange::Range { range, complete_length } = content_range(headers)? else { return None };
                if range != self.missing || complete_length.is_some_and(|length| length != self.missing.last + 1) {
                    return None;
                }
                (0, range.length())
            }
            _ => return None,
        };
        announced(headers).is_none_or(|announced| announced == length).then_some(before)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::{FreshnessLifetime, HeadFlags, LifetimeSource, StoredFields, Timestamp};

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn head(status: u16, etag: Option<&'static str>) -> StoredHead {
        StoredHead {
            status: StatusCode::from_u16(status).unwrap(),
            headers: StoredFields::from(&map(&etag.map(|etag| ("etag", etag)).into_iter().collect::<Vec<_>>())),
            response_time: Timestamp::from_secs(0),
            initial_age: 0,
            lifetime: FreshnessLifetime { seconds: 60, source: LifetimeSource::MaxAge },
            stale_while_revalidate: 0,
            stale_if_error: 0,
            flags: HeadFlags::default(),
            date_seconds: 0,
            origin_control: None,
        }
    }

    #[test]
    fn rfc9110_15_3_7_3_only_a_strong_validator_joins_bytes_of_two_sources() {
        for (status, etag, first, possible) in [
            (200, Some("\"1\""), 4, true),
            (200, Some("\"1\""), 0, true),
            (200, Some("\"1\""), 10, false),
            (200, Some("W/\"1\""), 4, false),
            (200, None, 4, false),
            (404, Some("\"1\""), 4, false),
        ] {
            assert_eq!(Resumption::of(&head(status, etag), first, 10).is_some(), possible, "{status} {etag:?} {first}");
        }
    }

    #[test]
    fn the_rest_is_asked_for_under_if_range_and_nothing_else_of_the_client() {
        let mut headers = map(&[("if-none-match", "\"x\""), ("if-match", "*"), ("range", "bytes=0-1"), ("accept", "a")]);
        Resumption::of(&head(200, Some("\"1\"")), 4, 10).unwrap().fields(&mut headers);
        assert_eq!(headers, map(&[("accept", "a"), ("range", "bytes=4-"), ("if-range", "\"1\"")]));
    }

    #[test]
    fn only_the_rest_or_the_whole_of_the_same_representation_will_do() {
        let rest = Resumption::of(&head(200, Some("\"1\"")), 4, 10).unwrap();
        type Fields = &'static [(&'static str, &'static str)];
        let cases: [(u16, Fields, Option<u64>); 19] = [
            (206, &[("etag", "\"1\""), ("content-range", "bytes 4-9/10")], Some(0)),
            (206, &[("etag", "\"1\""), ("content-range", "bytes 4-9/*"), ("content-length", "6")], Some(0)),
            (200, &[("etag", "\"1\"")], Some(4)),
            (200, &[("etag", "\"1\""), ("content-length", "10")], Some(4)),
            (206, &[("etag", "\"2\""), ("content-range", "bytes 4-9/10")], None),
            (206, &[("etag", "W/\"1\""), ("content-range", "bytes 4-9/10")], None),
            (206, &[("content-range", "bytes 4-9/10")], None),
            (206, &[("etag", "\"1\"")], None),
            (206, &[("etag", "\"1\""), ("content-range", "bytes 3-9/10")], None),
            (206, &[("etag", "\"1\""), ("content-range", "bytes 4-8/10")], None),
            (206, &[("etag", "\"1\""), ("content-range", "bytes 4-9/11")], None),
            (206, &[("etag", "\"1\""), ("content-range", "bytes 4-9/10"), ("content-length", "5")], None),
            (206, &[("etag", "\"1\""), ("content-range", "bytes 4-9/10"), ("content-type", "multipart/byteranges; boundary=x")], None),
            (200, &[("etag", "\"2\"")], None),
            (200, &[("etag", "\"1\""), ("etag", "\"1\"")], None),
            (200, &[("etag", "\"1\""), ("content-length", "9")], None),
            (304, &[("etag", "\"1\"")], None),
            (416, &[("etag", "\"1\""), ("content-range", "bytes */10")], None),
            (500, &[("etag", "\"1\"")], None),
        ];
        for (status, fields, before) in cases {
            assert_eq!(rest.bytes_before(StatusCode::from_u16(status).unwrap(), &map(fields)), before, "{status} {fields:?}");
        }
    }
}
