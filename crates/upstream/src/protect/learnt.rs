//! Limits that an upstream has told of: whoever has used his up is held back until there is more, instead of being refused by it again and again.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use larder_limits::Keyed;
use larder_semantics::Timestamp;
use larder_semantics::content::model::CREDENTIALS;
use larder_semantics::key::put_header;
use larder_tower::clock::{monotonic, timer_now};
use larder_tower::{FetchError, FetchErrorKind};
use tokio::time::Instant;

use super::failure_log::RateLimited;
use super::told::{Held, told};
use crate::error::{HeldBack, UpstreamError};

/// Keys that are known at the same time; those that were held longest ago are forgotten first.
const MAX_KEYS: usize = 10_000;

/// The key of all requests together.
const ALL: &str = "";

/// The limits of one upstream, as far as its answers have told of them.
pub(crate) struct LearntLimits {
    until: Keyed<Option<Instant>>,
    held: AtomicU64,
    name: Arc<str>,
    log: Mutex<RateLimited>,
}

/// The credentials of a request, as a hash: an upstream's limits are for those. `None` where it shows none, or several in one field: the upstream may
/// tell such clients apart by what is not known here, such as a session or an address, and one of them must not hold back the others.
#[derive(Debug)]
pub(crate) struct LimitedKey(Option<String>);

impl LearntLimits {
    /// Of the upstream with this name.
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self { until: Keyed::new(MAX_KEYS), held: AtomicU64::new(0), name, log: Mutex::default() }
    }

    /// Requests that were held back since the start.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether a request may go out now.
    pub(crate) fn check(&self, key: &LimitedKey) -> Result<(), UpstreamError> {
        let keys = std::iter::once(ALL).chain(key.0.as_deref());
        let left = keys.filter_map(|key| (*self.until.peek(key)?.lock())?.checked_duration_since(timer_now())).max();
        let Some(left) = left.filter(|left| !left.is_zero()) else { return Ok(()) };
        self.held.fetch_add(1, Ordering::Relaxed);
        let seconds = u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
        let held = self.log.lock().unwrap_or_else(PoisonError::into_inner).count_event(monotonic());
        if let Some(held) = held {
            let upstream = &*self.name;
            tracing::warn!(upstream, seconds, held, "requests are held back because an upstream has said that it takes no more for now");
        }
        let kind = FetchErrorKind::Limited { may_be_stale: true };
        Err(UpstreamError::Limited(FetchError::new(kind, HeldBack { seconds })))
    }

    /// Learns from an answer. One that tells of a shorter time than another before does not shorten it, since they may be about different limits.
    pub(crate) fn learn(&self, key: &LimitedKey, status: StatusCode, fields: &HeaderMap, now: Timestamp) {
        let Some((held, time)) = told(status, fields, now) else { return };
        let key = match held {
            Held::Key => key.0.as_deref(),
            Held::Upstream => Some(ALL),
        };
        let Some(key) = key else { return };
        let known = self.until.get(key);
        let mut until = known.lock();
        *until = (*until).max(Some(timer_now() + time));
    }
}

impl LimitedKey {
    /// Of a request with these fields, as they go out.
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        let (mut text, mut has_any) = (String::new(), false);
        for name in CREDENTIALS.map(HeaderName::from_static) {
            // The names are apart from each other by their number.
            text.push('/');
            if fields.get_all(&name).iter().all(HeaderValue::is_empty) {
                continue;
            }
            if !put_header(fields, &name, &mut text) {
                return Self(None);
            }
            has_any = true;
        }
        Self(has_any.then_some(text))
    }
}

impl fmt::Debug for LearntLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearntLimits").field("keys", &self.until.len()).field("held", &self.held()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use http::header::{AUTHORIZATION, RETRY_AFTER};

    use super::*;

    fn key(token: &'static str) -> LimitedKey {
        LimitedKey::of(&HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(token))]))
    }

    fn learn(limits: &LearntLimits, key: &LimitedKey, status: u16, seconds: &'static str) {
        let fields = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(seconds))]);
        limits.learn(key, StatusCode::from_u16(status).expect("a status"), &fields, Timestamp::from_secs(1_796_040_000));
    }

    /// The seconds that a request is told to wait.
    fn seconds(limits: &LearntLimits, key: &LimitedKey) -> Option<u32> {
        match limits.check(key) {
            Err(UpstreamError::Limited(error)) => error.downcast_ref::<HeldBack>().map(|held| held.seconds),
            Err(error) => panic!("{error}"),
            Ok(()) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_one_key_are_held_back_until_the_time_that_was_told() {
        let limits = LearntLimits::new("api".into());
        let (ann, bob) = (key("Bearer ann"), key("Bearer bob"));
        assert_eq!(seconds(&limits, &ann), None);
        learn(&limits, &ann, 429, "30");
        assert_eq!((seconds(&limits, &ann), seconds(&limits, &bob)), (Some(30), None));
        tokio::time::advance(Duration::from_millis(28_500)).await;
        assert_eq!(seconds(&limits, &ann), Some(2));
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!((seconds(&limits, &ann), limits.held()), (None, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn without_credentials_that_name_one_account_nothing_is_learnt_of_a_client_and_nobody_is_held() {
        let limits = LearntLimits::new("api".into());
        let of = |lines: &[(&'static str, &'static str)]| {
            let lines = lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            LimitedKey::of(&lines.collect())
        };
        for lines in [
            &[][..],
            &[("cookie", "session=ann")],
            &[("x-api-key", "")],
            &[("authorization", "Bearer ann"), ("authorization", "Bearer bob")],
            &[("authorization", "Bearer ann"), ("x-api-key", "ann"), ("x-api-key", "")],
        ] {
            learn(&limits, &of(lines), 429, "30");
            assert_eq!((seconds(&limits, &of(lines)), limits.until.len()), (None, 0), "{lines:?}");
        }
        learn(&limits, &of(&[("authorization", "Bearer ann")]), 429, "30");
        assert_eq!(seconds(&limits, &of(&[("authorization", "bearer  ann"), ("cookie", "a=1")])), Some(30));
        assert_eq!(seconds(&limits, &of(&[("authorization", "Bearer ann"), ("x-api-key", "bob")])), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_is_away_holds_back_all_and_a_shorter_time_shortens_nothing() {
        let limits = LearntLimits::new("api".into());
        learn(&limits, &key("Bearer ann"), 503, "30");
        learn(&limits, &key("Bearer ann"), 503, "5");
        for key in [key("Bearer ann"), key("Bearer bob"), LimitedKey::of(&HeaderMap::new())] {
            assert_eq!(seconds(&limits, &key), Some(30));
        }
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(seconds(&limits, &key("Bearer bob")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_hashes_and_bounded_in_number() {
        let text = key("Bearer hush").0.expect("credentials");
        assert!(!text.contains("hush") && text.starts_with("/*"), "{text}");
        let api_key =
            LimitedKey::of(&HeaderMap::from_iter([(HeaderName::from_static("x-api-key"), HeaderValue::from_static("Bearer hush"))]));
        assert_ne!(Some(text), api_key.0, "the same text in another field is another key");
        let limits = LearntLimits::new("api".into());
        for number in 0..MAX_KEYS * 2 {
            let value = HeaderValue::try_from(number.to_string()).expect("a value");
            learn(&limits, &LimitedKey::of(&HeaderMap::from_iter([(AUTHORIZATION, value)])), 429, "30");
        }
        assert!(limits.until.len() <= MAX_KEYS, "{limits:?}");
    }
}
