//! The fields that tell a client how it stands: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11, and the older `X-RateLimit-*`.
//!
//! The draft may still rename its parameters, so they stand here alone.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{RouteLimits, RunningLimit, UnderLimits};
use crate::config::{LimitCount, LimitOver, Period};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");
const LEGACY_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const LEGACY_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const LEGACY_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The largest number in a structured field (RFC 9651 §3.3.1).
const MAX: u64 = 999_999_999_999_999;

thread_local! {
    /// Every answer of this thread has its values written here, so none allocates for that.
    static VALUE: RefCell<String> = RefCell::default();
}

/// `"burst";q=100;w=60, "daily";q=1000;w=86400`; `None` where clients are told of none.
pub(super) fn policies(limits: &[Arc<RunningLimit>]) -> Option<HeaderValue> {
    let told = limits.iter().filter(|limit| limit.settings.over != LimitOver::Observe);
    let members: Vec<String> = told.map(|limit| policy(limit)).collect();
    HeaderValue::try_from(members.join(", ")).ok().filter(|value| !value.is_empty())
}

fn policy(limit: &RunningLimit) -> String {
    let settings = &limit.settings;
    let mut text = format!("\"{}\";q={}", settings.name, told(settings.count, settings.max));
    // A window is told in whole seconds, and one that is not, or is not always as long, is told not at all.
    let is_even = settings.quota.as_ref().is_none_or(|quota| quota.period != Period::Month);
    if is_even && settings.per == Duration::from_secs(settings.per.as_secs()) {
        text.push_str(&format!(";w={}", settings.per.as_secs()));
    }
    text.push_str(match settings.count {
        LimitCount::Requests | LimitCount::Misses => "",
        LimitCount::Bytes => ";qu=\"content-bytes\"",
        LimitCount::Tokens => ";qu=\"tokens\"",
        LimitCount::Cost => ";qu=\"millionths\"",
    });
    text
}

/// Units as fields tell them: integers are all that they have, so a sum of money is told in millionths.
fn told(count: LimitCount, units: u64) -> u64 {
    let units = if count == LimitCount::Cost { units / (LimitCount::COST_UNITS / 1_000_000) } else { units };
    units.min(MAX)
}

impl RouteLimits {
    /// Gives `put` each field that an answer has to have.
    pub(crate) fn for_each_field(&self, limited: &UnderLimits, mut put: impl FnMut(&HeaderName, &[u8])) {
        let Some((note, was_asked)) = limited.standing() else { return };
        let limit = self.at(note.limit);
        if let Some(policy) = &self.policies[usize::from(was_asked)] {
            put(&POLICY, policy.as_bytes());
        }
        let count = limit.settings.count;
        let (remaining, reset) = (told(count, note.remaining), note.reset.min(MAX));
        VALUE.with_borrow_mut(|value| {
            let mut put_text = |name: &HeaderName, text: std::fmt::Arguments<'_>| {
                value.clear();
                // Writing to a String cannot fail.
                let _ = value.write_fmt(text);
                put(name, value.as_bytes());
            };
            put_text(&STANDING, format_args!("\"{}\";r={remaining};t={reset}", limit.settings.name));
            if limit.settings.legacy_fields {
                put_text(&LEGACY_LIMIT, format_args!("{}", told(count, limit.table().rate().capacity())));
                put_text(&LEGACY_REMAINING, format_args!("{remaining}"));
                put_text(&LEGACY_RESET, format_args!("{reset}"));
            }
        });
    }

    /// Adds those fields. Fields of the draft that the origin has sent stay: it may have limits of its own.
    pub(crate) fn tell(&self, limited: &UnderLimits, headers: &mut HeaderMap) {
        self.for_each_field(limited, |name, value| {
            let Ok(value) = HeaderValue::from_bytes(value) else { return };
            if *name == POLICY || *name == STANDING {
                headers.append(name, value);
            } else {
                headers.insert(name, value);
            }
        });
    }
}
