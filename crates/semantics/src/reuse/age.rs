//! The age of a response (RFC 9111 §4.2.3).

use http::HeaderMap;
use http::header::{AGE, DATE};

use crate::directives::parse_delta_seconds;
use crate::time::Timestamp;

/// When the origin made the response: `date_value` of §4.2.3. "A recipient with a clock that receives a response message without a Date
/// header field MUST record the time it was received" (RFC 9110 §6.6.1), and the same where it cannot be read.
pub fn date_value(headers: &HeaderMap, response_time: Timestamp) -> Timestamp {
    sent_date(headers, response_time).unwrap_or(response_time)
}

/// `Date` as sent; `None` where it is absent or cannot be read. The first of several counts.
pub fn sent_date(headers: &HeaderMap, response_time: Timestamp) -> Option<Timestamp> {
    Timestamp::parse_http_date(headers.get(DATE)?.as_bytes(), response_time)
}

/// The age of a response whose `Age` cannot be read: no lifetime is longer (§1.2.2).
const UNKNOWN_AGE: u32 = 1 << 31;

/// `age_value` in seconds: "a cache encountering a message with a list-based Age field value SHOULD use the first member of the field
/// value, discarding subsequent ones" (§5.1). 0 where the field is absent or empty.
///
/// An invalid one "SHOULD" be ignored (§5.1), which would make the response of another cache a new one, however old it is. Its age is unknown, so it
/// is stale here until the origin validates it, as "caches are encouraged to consider responses that have invalid freshness information" (§4.2.1).
pub fn age_value(headers: &HeaderMap) -> u32 {
    let first = headers.get(AGE).and_then(|value| value.as_bytes().split(|&byte| byte == b',').next()).map(<[u8]>::trim_ascii);
    first.filter(|member| !member.is_empty()).map_or(0, |member| parse_delta_seconds(member).unwrap_or(UNKNOWN_AGE))
}

/// `corrected_initial_age` in seconds, of a response with this `date_value`.
pub fn corrected_initial_age(headers: &HeaderMap, date: Timestamp, request_time: Timestamp, response_time: Timestamp) -> u32 {
    // "apparent_age = max(0, response_time - date_value);"
    let apparent_age = response_time.seconds_since(date);
    // "response_delay = response_time - request_time;"
    let response_delay = response_time.seconds_since(request_time);
    // "corrected_age_value = age_value + response_delay;"
    let corrected_age_value = age_value(headers).saturating_add(response_delay);
    // "corrected_initial_age = max(apparent_age, corrected_age_value);"
    apparent_age.max(corrected_age_value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const T: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn initial_age(headers: &HeaderMap, request_time: Timestamp, response_time: Timestamp) -> u32 {
        corrected_initial_age(headers, date_value(headers, response_time), request_time, response_time)
    }

    fn with_age(lines: &[&'static str]) -> u32 {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(AGE, HeaderValue::from_static(line));
        }
        age_value(&headers)
    }

    #[test]
    fn rfc9111_5_1_age_takes_the_first_member_and_one_that_cannot_be_read_is_stale() {
        assert_eq!(with_age(&[]), 0);
        assert_eq!(with_age(&["60"]), 60);
        assert_eq!(with_age(&["60, 120"]), 60);
        assert_eq!(with_age(&["60", "120"]), 60);
        assert_eq!(with_age(&["", "120"]), 0);
        for rubbish in ["abc, 120", "-5", "1.5", "60;a=b", "60 120"] {
            assert_eq!(with_age(&[rubbish]), UNKNOWN_AGE, "{rubbish}");
        }
        assert_eq!(with_age(&["18446744073709551615"]), 1 << 31);
    }

    #[test]
    fn rfc9111_4_2_3_age_counts_response_delay() {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, T.to_http_date());
        headers.insert(AGE, HeaderValue::from_static("10"));
        let received = Timestamp::from_millis(T.as_millis() + 4_900);
        assert_eq!(initial_age(&headers, T, received), 14);
    }

    #[test]
    fn rfc9111_4_2_3_apparent_age_counts_where_age_is_missing() {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, T.to_http_date());
        let received = Timestamp::from_secs(T.as_millis() / 1000 + 100);
        assert_eq!(initial_age(&headers, received, received), 100);
    }

    #[test]
    fn rfc9110_6_6_1_a_date_that_is_missing_broken_or_ahead_makes_no_age() {
        let mut headers = HeaderMap::new();
        assert_eq!(initial_age(&headers, T, T), 0);
        headers.insert(DATE, HeaderValue::from_static("yesterday"));
        assert_eq!(initial_age(&headers, T, T), 0);
        headers.insert(DATE, Timestamp::from_secs(T.as_millis() / 1000 + 3600).to_http_date());
        assert_eq!(initial_age(&headers, T, T), 0);
    }
}
