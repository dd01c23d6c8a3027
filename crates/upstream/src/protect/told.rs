//! What an answer tells of the limits of its origin: how long it takes no more requests.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use larder_semantics::Timestamp;
use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parameters, Parser};

/// Nobody is held back for longer by one answer: an origin's clock may be wrong.
const MAX_HOLD: Duration = Duration::from_secs(3600);

/// Numbers from here on are seconds since 1970 and not from now: the time of day as origins had it in 2001.
const EPOCH_SECONDS: f64 = 1e9;

/// And from here on milliseconds.
const EPOCH_MILLIS: f64 = 1e12;

/// Who is to be held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Requests with the same credentials.
    Key,
    /// All requests.
    Upstream,
}

/// Whom an answer holds back, and for how long. 503 says that of the origin itself (RFC 9110 §15.6.4), all else of whoever asked.
pub(crate) fn told(status: StatusCode, fields: &HeaderMap, now: Timestamp) -> Option<(Held, Duration)> {
    let (held, time) = match status {
        StatusCode::SERVICE_UNAVAILABLE => (Held::Upstream, retry_after(fields, now)?),
        StatusCode::TOO_MANY_REQUESTS => (Held::Key, retry_after(fields, now).or_else(|| used_up(fields, now))?),
        _ => (Held::Key, used_up(fields, now)?),
    };
    (!time.is_zero()).then(|| (held, time.min(MAX_HOLD)))
}

/// RFC 9110 §10.2.3, and the finer one of model providers.
fn retry_after(fields: &HeaderMap, now: Timestamp) -> Option<Duration> {
    if let Some(millis) = text(fields, "retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(millis / 1000.0).ok();
    }
    let value = fields.get(RETRY_AFTER)?;
    match value.to_str().ok()?.trim().parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.into())),
        Err(_) => Some(until(Timestamp::parse_http_date(value.as_bytes(), now)?, now)),
    }
}

/// The longest time until a limit of which nothing is left is there again, in any of the forms that are in use.
fn used_up(fields: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let pairs = fields.iter().filter(|(_, left)| is_nothing(left.as_bytes())).filter_map(|(name, _)| {
        let reset = reset_of(name.as_str())?;
        reset_time(text(fields, &reset)?, now)
    });
    pairs.chain(structured(fields)).max()
}

/// The field that says when the limit is there again of which a field with this name tells what is left.
fn reset_of(name: &str) -> Option<String> {
    let known = ["x-ratelimit-remaining", "x-rate-limit-remaining", "ratelimit-remaining"].iter().any(|known| name.starts_with(known))
        || (name.starts_with("anthropic-ratelimit-") && name.ends_with("-remaining"));
    known.then(|| name.replacen("remaining", "reset", 1))
}

fn is_nothing(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(|text| text.trim().parse::<f64>().is_ok_and(|left| left <= 0.0))
}

/// Seconds from now, a moment as a number or as text (RFC 3339), or a duration as Go writes it (`1m0.5s`).
fn reset_time(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        let moment = |millis: f64| until(Timestamp::from_millis(millis as u64), now);
        return match number {
            millis if millis >= EPOCH_MILLIS => Some(moment(millis)),
            seconds if seconds >= EPOCH_SECONDS => Some(moment(seconds * 1000.0)),
            seconds => Duration::try_from_secs_f64(seconds).ok(),
        };
    }
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(until(Timestamp::from_millis(u64::try_from(moment.as_millisecond()).ok()?), now));
    }
    text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok())
}

/// `RateLimit` as the IETF's drafts have it: `"burst";r=0;t=30` (a List of names), and before version 8 `limit=100, remaining=0, reset=30`.
fn structured(fields: &HeaderMap) -> Option<Duration> {
    let lines: Vec<&str> = fields.get_all("ratelimit").iter().filter_map(|line| line.to_str().ok()).collect();
    if lines.is_empty() {
        return None;
    }
    let text = lines.join(", ");
    if let Ok(list) = Parser::new(&text).parse::<List>() {
        let empty = |entry: &ListEntry| match entry {
            ListEntry::Item(Item { params, .. }) if number(params, "r") == Some(0) => number(params, "t"),
            _ => None,
        };
        if let Some(seconds) = list.iter().filter_map(empty).max() {
            return u64::try_from(seconds).ok().map(Duration::from_secs);
        }
    }
    let members = Parser::new(&text).parse::<Dictionary>().ok()?;
    let member = |name: &str| match members.get(name)? {
        ListEntry::Item(Item { bare_item: BareItem::Integer(number), .. }) => Some(i64::from(*number)),
        _ => None,
    };
    let seconds = member("reset").filter(|_| member("remaining") == Some(0))?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

fn number(parameters: &Parameters, name: &str) -> Option<i64> {
    match parameters.get(name)? {
        BareItem::Integer(number) => Some(i64::from(*number)),
        _ => None,
    }
}

fn text<'f>(fields: &'f HeaderMap, name: &str) -> Option<&'f str> {
    fields.get(name)?.to_str().ok()
}

fn until(moment: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(moment.as_millis().saturating_sub(now.as_millis()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    /// 2026-11-30 12:00:00 UTC.
    const NOW: Timestamp = Timestamp::from_secs(1_796_040_000);

    fn told_by(status: u16, fields: &[(&'static str, &str)]) -> Option<(Held, f64)> {
        let value = |value: &str| HeaderValue::from_str(value).expect("a value");
        let fields = fields.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect();
        let status = StatusCode::from_u16(status).expect("a status");
        told(status, &fields, NOW).map(|(held, time)| (held, time.as_secs_f64()))
    }

    #[test]
    fn rfc9110_10_2_3_an_origin_says_when_it_may_be_asked_again() {
        for (status, fields, expected) in [
            (429, &[("retry-after", "30")][..], Some((Held::Key, 30.0))),
            (503, &[("retry-after", "30")], Some((Held::Upstream, 30.0))),
            (429, &[("retry-after", "Mon, 30 Nov 2026 12:01:00 GMT")], Some((Held::Key, 60.0))),
            (429, &[("retry-after", "Mon, 30 Nov 2026 11:01:00 GMT")], None),
            (429, &[("retry-after", "1"), ("retry-after-ms", "250")], Some((Held::Key, 0.25))),
            (429, &[("retry-after", "0")], None),
            (429, &[("retry-after", "soon")], None),
            (429, &[("retry-after-ms", "-5"), ("retry-after", "7")], None),
            (429, &[("retry-after", "86400")], Some((Held::Key, 3600.0))),
            (429, &[], None),
            (503, &[], None),
            (503, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")], None),
            (200, &[("retry-after", "30")], None),
            (301, &[("retry-after", "30")], None),
        ] {
            assert_eq!(told_by(status, fields), expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn what_is_used_up_is_told_in_the_forms_that_are_in_use() {
        let epoch = "1796040030";
        for (fields, seconds) in [
            // GitHub, and many others.
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", epoch)][..], Some(30.0)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "12")], Some(12.0)),
            (&[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1796040030000")], Some(30.0)),
            (&[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "12")], None),
            (&[("x-ratelimit-remaining", "0")], None),
            // OpenAI.
            (&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "20ms")], Some(0.02)),
            (&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")], Some(360.0)),
            (
                &[
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-remaining-tokens", "0"),
                    ("x-ratelimit-reset-tokens", "1m2.5s"),
                ],
                Some(62.5),
            ),
            // Anthropic.
            (&[("anthropic-ratelimit-tokens-remaining", "0"), ("anthropic-ratelimit-tokens-reset", "2026-11-30T12:00:45Z")], Some(45.0)),
            // The drafts, the newest first.
            (&[("ratelimit", "\"day\";r=10;t=50000, \"burst\";r=0;t=7")], Some(7.0)),
            (&[("ratelimit", "\"day\";r=10;t=50000")], None),
            (&[("ratelimit", "limit=100, remaining=0, reset=8")], Some(8.0)),
            (&[("ratelimit", "limit=100, remaining=2, reset=8")], None),
            (&[("ratelimit-remaining", "0"), ("ratelimit-reset", "9")], Some(9.0)),
            (&[("ratelimit", "\"broken")], None),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "-3")], None),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "never")], None),
        ] {
            let expected = seconds.map(|seconds| (Held::Key, seconds));
            assert_eq!(told_by(200, fields), expected, "{fields:?}");
            assert_eq!(told_by(429, fields), expected, "{fields:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_answer_holds_anybody_for_longer_than_it_may(name in 0..5_usize, text in "[ -~]{0,30}", number in proptest::num::f64::ANY) {
            let names = ["retry-after", "retry-after-ms", "ratelimit", "x-ratelimit-reset", "anthropic-ratelimit-a-reset"];
            for value in [text, number.to_string()] {
                let nothing = [("x-ratelimit-remaining", "0"), ("anthropic-ratelimit-a-remaining", "0"), (names[name], value.as_str())];
                for status in [200, 429, 503] {
                    proptest::prop_assert!(told_by(status, &nothing).is_none_or(|(_, seconds)| seconds > 0.0 && seconds <= 3600.0));
                }
            }
        }
    }
}
